"""Attempts on other processes and on the kernel."""

from __future__ import annotations

import ctypes
import errno
import fcntl
import os
import pty
import signal
import socket
import struct
import termios
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
