"""A seccomp filter as classic BPF, written without libseccomp: default allow, with a list of what is denied.

The list follows Flatpak's and field-notes/sandbox.md section 7. EPERM for what an agent has no business with, ENOSYS
for what has an older form that programs fall back to (clone3, io_uring), since their arguments cannot be inspected.
https://www.kernel.org/doc/html/latest/userspace-api/seccomp_filter.html
"""

from __future__ import annotations

import struct

from msgspec import Struct

EPERM, ENOSYS, EAFNOSUPPORT = 1, 38, 97
ALLOW, ERRNO = 0x7FFF0000, 0x00050000

# struct seccomp_data: int nr; u32 arch; u64 instruction_pointer; u64 args[6]. Both machines are little endian.
NUMBER, ARCHITECTURE = 0, 4
ARGUMENTS = tuple(16 + 8 * index for index in range(6))

LOAD, JUMP_EQUAL, JUMP_SET, JUMP_AT_LEAST, AND, RETURN = 0x20, 0x15, 0x45, 0x35, 0x54, 0x06

NEW_NAMESPACES = 0x7E020080  # CLONE_NEW{NS,CGROUP,UTS,IPC,USER,PID,NET}, and NEWTIME (0x80) of unshare
CLONE_NAMESPACES = 0x7E020000  # in clone, 0x80 belongs to the exit signal
TERMINAL_INPUT = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX
FAMILIES = (1, 2, 10, 16)  # UNIX, INET, INET6, NETLINK
FILE_TYPE, CHARACTER_DEVICE, BLOCK_DEVICE = 0xF000, 0x2000, 0x6000

# name: (x86-64, aarch64); None where the architecture has no such call
DENIED: dict[str, tuple[int | None, int | None]] = {
    "acct": (163, 89),
    "add_key": (248, 217),
    "adjtimex": (159, 171),
    "bpf": (321, 280),
    "chroot": (161, 51),
    "clock_adjtime": (305, 266),
    "clock_settime": (227, 112),
    "create_module": (174, None),
    "delete_module": (176, 106),
    "fanotify_init": (300, 262),
    "finit_module": (313, 273),
    "fsconfig": (431, 431),
    "fsmount": (432, 432),
    "fsopen": (430, 430),
    "fspick": (433, 433),
    "get_kernel_syms": (177, None),
    "init_module": (175, 105),
    "ioperm": (173, None),
    "iopl": (172, None),
    "kexec_file_load": (320, 294),
    "kexec_load": (246, 104),
    "keyctl": (250, 219),
    "lookup_dcookie": (212, 18),
    "modify_ldt": (154, None),
    "mount": (165, 40),
    "mount_setattr": (442, 442),
    "move_mount": (429, 429),
    "nfsservctl": (180, 42),
    "open_by_handle_at": (304, 265),
    "open_tree": (428, 428),
    "open_tree_attr": (467, 467),
    "perf_event_open": (298, 241),
    "pivot_root": (155, 41),
    "query_module": (178, None),
    "quotactl": (179, 60),
    "quotactl_fd": (443, 443),
    "reboot": (169, 142),
    "request_key": (249, 218),
    "setns": (308, 268),
    "settimeofday": (164, 170),
    "swapoff": (168, 225),
    "swapon": (167, 224),
    "syslog": (103, 116),
    "umount2": (166, 39),
    "uselib": (134, None),
    "userfaultfd": (323, 282),
    "vhangup": (153, 58),
}
MISSING: dict[str, tuple[int | None, int | None]] = {
    "clone3": (435, 435),
    "io_uring_enter": (426, 426),
    "io_uring_register": (427, 427),
    "io_uring_setup": (425, 425),
}
INSPECTED: dict[str, tuple[int | None, int | None]] = {
    "clone": (56, 220),
    "ioctl": (16, 29),
    "mknod": (133, None),
    "mknodat": (259, 33),
    "socket": (41, 198),
    "socketpair": (53, 199),
    "unshare": (272, 97),
}
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}
X32_BIT = 0x40000000


class Instruction(Struct, frozen=True):
    """One BPF instruction; `yes` and `no` name labels, or are empty for the next instruction."""

    code: int
    value: int
    yes: str = ""
    no: str = ""


Line = Instruction | str
"""An instruction, or the name of a label that stands before the next one."""


def filter_program(machine: str) -> bytes | None:
    """The filter for `machine` (as `platform.machine()` gives it), as an array of struct sock_filter.

    Returns:
        None where no table is written for the machine: the caller must then say that system calls are not filtered.
    """
    if machine not in MACHINES:
        return None
    return assemble(listing(machine))


def listing(machine: str) -> list[Line]:
    """The filter as instructions and labels."""
    column, architecture = MACHINES[machine]
    lines: list[Line] = [
        Instruction(LOAD, ARCHITECTURE),
        Instruction(JUMP_EQUAL, architecture, no="missing"),
        Instruction(LOAD, NUMBER),
    ]
    if machine == "x86_64":
        lines.append(Instruction(JUMP_AT_LEAST, X32_BIT, yes="missing"))
    tables = ((DENIED, "denied"), (MISSING, "missing"))
    wanted = [(numbers[column], label) for table, label in tables for numbers in table.values()]
    wanted += [(numbers[column], name) for name, numbers in INSPECTED.items()]
    lines += [Instruction(JUMP_EQUAL, number, yes=label) for number, label in wanted if number is not None]
    lines.append(Instruction(RETURN, ALLOW))
    for name, numbers in INSPECTED.items():
        if numbers[column] is not None:
            lines += [name, *_inspect(name)]
    return [
        *lines,
        "allowed",
        Instruction(RETURN, ALLOW),
        "denied",
        Instruction(RETURN, ERRNO | EPERM),
        "missing",
        Instruction(RETURN, ERRNO | ENOSYS),
        "family",
        Instruction(RETURN, ERRNO | EAFNOSUPPORT),
    ]


def _inspect(name: str) -> list[Line]:
    """Checks of one call's arguments. The low 32 bits are what the kernel itself uses of each of them."""
    if name in {"clone", "unshare"}:
        mask = CLONE_NAMESPACES if name == "clone" else NEW_NAMESPACES
        return [Instruction(LOAD, ARGUMENTS[0]), Instruction(JUMP_SET, mask, yes="denied", no="allowed")]
    if name == "ioctl":
        first, second = TERMINAL_INPUT
        return [
            Instruction(LOAD, ARGUMENTS[1]),
            Instruction(JUMP_EQUAL, first, yes="denied"),
            Instruction(JUMP_EQUAL, second, yes="denied", no="allowed"),
        ]
    if name in {"mknod", "mknodat"}:
        # fifos and sockets are files like others
        return [
            Instruction(LOAD, ARGUMENTS[1 if name == "mknod" else 2]),
            Instruction(AND, FILE_TYPE),
            Instruction(JUMP_EQUAL, CHARACTER_DEVICE, yes="denied"),
            Instruction(JUMP_EQUAL, BLOCK_DEVICE, yes="denied", no="allowed"),
        ]
    checks: list[Line] = [Instruction(LOAD, ARGUMENTS[0])]
    checks += [Instruction(JUMP_EQUAL, family, yes="allowed") for family in FAMILIES[:-1]]
    return [*checks, Instruction(JUMP_EQUAL, FAMILIES[-1], yes="allowed", no="family")]


def assemble(lines: list[Line]) -> bytes:
    """Resolve the labels; a jump's offset is one byte, counted from the next instruction."""
    labels: dict[str, int] = {}
    instructions: list[Instruction] = []
    for line in lines:
        if isinstance(line, str):
            labels[line] = len(instructions)
        else:
            instructions.append(line)
    packed = []
    for index, item in enumerate(instructions):
        yes, no = (labels[label] - index - 1 if label else 0 for label in (item.yes, item.no))
        packed.append(struct.pack("<HBBI", item.code, yes, no, item.value))
    return b"".join(packed)
