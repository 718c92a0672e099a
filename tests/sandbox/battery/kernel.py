"""Attempts on other processes and on the kernel."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import pty
import resource
import signal
import socket
import struct
import termios
from collections.abc import Callable
from pathlib import Path

from tests.sandbox.battery import (
    ARM,
    CLONE_NEWNS,
    CLONE_NEWUSER,
    Targets,
    attempt,
    c,
    call,
    libc,
    others,
    words,
)


@attempt
def see_processes(t: Targets) -> object:
    word = t["process_word"].encode()
    return [entry.name for entry in others() if word in words(entry)]


@attempt
def signal_process(t: Targets) -> object:
    os.kill(t["process"], 0)
    return t["process"]


@attempt
def trace_process(t: Targets) -> object:
    c(libc.ptrace(16, t["process"], 0, 0))
    os.waitpid(t["process"], 0x40000000)
    return c(libc.ptrace(17, t["process"], 0, 0)) == 0


@attempt
def enter_namespace_of_init(_: Targets) -> object:
    return c(libc.setns(os.open("/proc/1/ns/uts", os.O_RDONLY), 0)) == 0


@attempt
def user_namespace(_: Targets) -> object:
    return c(libc.unshare(CLONE_NEWUSER)) == 0


@attempt
def mount_namespace(_: Targets) -> object:
    return c(libc.unshare(CLONE_NEWNS)) == 0


@attempt
def user_namespace_by_clone(_: Targets) -> object:
    pid = call(220 if ARM else 56, CLONE_NEWUSER | signal.SIGCHLD, 0, 0, 0, 0)
    if pid == 0:
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


@attempt
def user_namespace_by_clone3(_: Targets) -> object:
    arguments = struct.pack("<8Q", CLONE_NEWUSER, 0, 0, 0, signal.SIGCHLD, 0, 0, 0)
    pid = call(435, arguments, len(arguments))
    if pid == 0:
        os._exit(0)
    return os.waitpid(pid, 0)[1] == 0


@attempt
def mount_something(t: Targets) -> object:
    libc.unshare(CLONE_NEWNS)
    libc.mount(None, b"/", None, 0x44000, None)
    return c(libc.mount(b"tmpfs", t["home"].encode(), b"tmpfs", 0, None)) == 0


@attempt
def new_mount_interface(_: Targets) -> object:
    return call(430, b"tmpfs", 0)


@attempt
def change_root(t: Targets) -> object:
    os.chroot(t["workspace"])
    return True


@attempt
def make_device(t: Targets) -> object:
    os.mknod(Path(t["workspace"], f"device-{os.getpid()}"), 0o020666, os.makedev(1, 1))
    return True


@attempt
def core_pattern(_: Targets) -> object:
    return os.open("/proc/sys/kernel/core_pattern", os.O_WRONLY)


@attempt
def sysrq(_: Targets) -> object:
    return os.open("/proc/sysrq-trigger", os.O_WRONLY)


@attempt
def kernel_module(_: Targets) -> object:
    try:
        call(105 if ARM else 175, b"not a module", 12, b"")
    except OSError as error:
        return error.errno == errno.ENOEXEC
    return True


@attempt
def restart_machine(_: Targets) -> object:
    try:
        call(142 if ARM else 169, 1, 1, 1, 0)  # wrong magic numbers: refused for those, or for want of rights
    except OSError as error:
        return error.errno == errno.EINVAL
    return True


@attempt
def keyring(_: Targets) -> object:
    return call(219 if ARM else 250, 0, -3, 1)


@attempt
def add_key(_: Targets) -> object:
    return call(217 if ARM else 248, b"user", b"handrail-battery", b"x", 1, -2)


@attempt
def load_bpf(_: Targets) -> object:
    return call(280 if ARM else 321, 0, struct.pack("<4I", 2, 4, 4, 1) + bytes(56), 72)


@attempt
def performance_events(_: Targets) -> object:
    return call(241 if ARM else 298, struct.pack("<IIQ", 1, 112, 0) + bytes(96), 0, -1, -1, 0)


@attempt
def io_ring(_: Targets) -> object:
    return call(425, 4, ctypes.create_string_buffer(120))


@attempt
def user_fault(_: Targets) -> object:
    return call(282 if ARM else 323, 0)


@attempt
def file_handles(t: Targets) -> object:
    handle = ctypes.create_string_buffer(struct.pack("<Ii", 128, 0), 136)
    mount = ctypes.c_int()
    c(libc.name_to_handle_at(-100, t["workspace"].encode(), handle, ctypes.byref(mount), 0))
    return c(libc.open_by_handle_at(os.open(t["workspace"], os.O_RDONLY), handle, os.O_RDONLY))


@attempt
def kernel_log_call(_: Targets) -> object:
    return call(116 if ARM else 103, 10, 0, 0) >= 0


@attempt
def set_host_name(_: Targets) -> object:
    name = socket.gethostname().encode()
    return c(libc.sethostname(name, len(name))) == 0


@attempt
def type_into_terminal(_: Targets) -> object:
    os.setsid()
    terminal = pty.openpty()[1]
    fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
    fcntl.ioctl(terminal, termios.TIOCSTI, b"x")
    return True


@attempt
def raise_priority(_: Targets) -> object:
    os.setpriority(os.PRIO_PROCESS, 0, -5)
    return True


@attempt
def hold_capabilities(_: Targets) -> object:
    status = Path("/proc/self/status").read_text()
    return int(status.split("CapEff:")[1].split()[0], 16)


@attempt
def gain_privileges(_: Targets) -> object:
    return "NoNewPrivs:\t0" in Path("/proc/self/status").read_text()


@attempt
def use_inherited_descriptors(_: Targets) -> object:
    held = [_target(int(entry.name)) for entry in Path("/proc/self/fd").iterdir() if int(entry.name) > 2]
    return [target for target in held if target and "pipe" not in target and "/proc/" not in target]


def _target(descriptor: int) -> str:
    try:
        return str(Path(f"/proc/self/fd/{descriptor}").readlink())
    except OSError:
        return ""


@attempt
def other_namespaces(_: Targets) -> object:
    # network, process ids, host name, IPC, control groups
    return c(libc.unshare(0x40000000 | 0x20000000 | 0x04000000 | 0x08000000 | 0x02000000)) == 0


@attempt
def write_memory_of_process(t: Targets) -> object:
    return os.open(f"/proc/{t['process']}/mem", os.O_RDWR)


@attempt
def read_memory_by_call(t: Targets) -> object:
    start = int(Path(f"/proc/{t['process']}/maps").read_text("ascii").split("-")[0], 16)
    buffer = ctypes.create_string_buffer(8)
    local, remote = struct.pack("<2Q", ctypes.addressof(buffer), 8), struct.pack("<2Q", start, 8)
    one = ctypes.c_ulong(1)
    return c(libc.process_vm_readv(t["process"], local, one, remote, one, ctypes.c_ulong(0))) == 8


@attempt
def take_descriptor_of_process(t: Targets) -> object:
    return call(438, os.pidfd_open(t["process"]), 0, 0)


@attempt
def limit_process(t: Targets) -> object:
    resource.prlimit(t["process"], resource.RLIMIT_CORE, (0, 0))
    return True


@attempt
def renice_process(t: Targets) -> object:
    os.setpriority(os.PRIO_PROCESS, t["process"], 5)
    return True


@attempt
def pin_process(t: Targets) -> object:
    os.sched_setaffinity(t["process"], os.sched_getaffinity(t["process"]))
    return True


@attempt
def realtime(_: Targets) -> object:
    os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
    return True


@attempt
def be_spared_when_memory_ends(_: Targets) -> object:
    return Path("/proc/self/oom_score_adj").write_text("-1000")


@attempt
def swap_off(_: Targets) -> object:
    return _refused_for(errno.ENOENT, libc.swapoff, b"/nonexistent")


@attempt
def accounting(_: Targets) -> object:
    return _refused_for(errno.ENOENT, libc.acct, b"/nonexistent")


@attempt
def new_root(_: Targets) -> object:
    return _refused_for((errno.EINVAL, errno.EBUSY), libc.syscall, 41 if ARM else 155, b".", b".")


@attempt
def load_kernel(_: Targets) -> object:
    return _refused_for(errno.EINVAL, libc.syscall, 104 if ARM else 246, 0, 999, 0, 0xFFFF0000)


def _refused_for(reasons: int | tuple[int, ...], function: Callable[..., int], *arguments: object) -> bool:
    """Whether a call that cannot succeed was refused for its arguments: the right to it was there."""
    if function(*arguments) >= 0:
        return True
    return ctypes.get_errno() in (reasons if isinstance(reasons, tuple) else (reasons,))


@attempt
def ports_of_the_machine(_: Targets) -> object:
    return c(libc.iopl(3)) == 0


@attempt
def watch_the_file_system(_: Targets) -> object:
    return c(libc.fanotify_init(0, os.O_RDONLY))


@attempt
def copy_mounts(_: Targets) -> object:
    return call(428, -100, b"/", 1)


@attempt
def change_mounts(_: Targets) -> object:
    tree = call(428, -100, b"/usr", 1)
    return call(442, tree, b"", 0x1000, struct.pack("<4Q", 1, 0, 0, 0), 32) == 0


@attempt
def program_of_modules(_: Targets) -> object:
    return os.open("/proc/sys/kernel/modprobe", os.O_WRONLY)


@attempt
def drop_caches(_: Targets) -> object:
    return os.open("/proc/sys/vm/drop_caches", os.O_WRONLY)


@attempt
def forward_packets(_: Targets) -> object:
    return os.open("/proc/sys/net/ipv4/ip_forward", os.O_WRONLY)


@attempt
def control_group(_: Targets) -> object:
    names = ("cgroup.procs", "memory/cgroup.procs", "pids/cgroup.procs")
    return [os.open(path, os.O_WRONLY) for name in names if (path := Path("/sys/fs/cgroup", name)).exists()]


@attempt
def other_binary_interface(_: Targets) -> object:
    return not ARM and call(0x40000000 | 39)


@attempt
def kernel_cryptography(_: Targets) -> object:
    socket.socket(38, socket.SOCK_SEQPACKET).close()
    return True


@attempt
def packet_counters(_: Targets) -> object:
    socket.socket(44, socket.SOCK_RAW).close()
    return True
