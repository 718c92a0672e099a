"""The machine that a battery runs on, told so that a table of one run can hold for a later run on a machine like it."""

from __future__ import annotations

import os
import platform
import resource
import subprocess
from pathlib import Path

_SETTINGS = (
    "kernel/core_pattern",
    "kernel/dmesg_restrict",
    "kernel/io_uring_disabled",
    "kernel/kptr_restrict",
    "kernel/sched_rt_runtime_us",
    "dev/tty/legacy_tiocsti",
    "net/ipv6/conf/lo/disable_ipv6",
)
_PLACES = ("/dev/kmsg", "/dev/net/tun", "/dev/vsock", "/root/.bashrc")
_GROUPS = ("cgroup.procs", "memory/cgroup.procs", "pids/cgroup.procs")
_DEFAULT = "00000000"


def name() -> str:
    """The machine as the page names it."""
    bwrap = subprocess.run(["bwrap", "--version"], check=True, capture_output=True, text=True).stdout.strip()
    return f"{platform.system()} {platform.release()}, {platform.machine()}, {bwrap}, server as root"


def traits() -> dict[str, str]:
    """What decides there, beside the kernel, which attempts of `course.MACHINE` are stopped without our walls."""
    rows = [row.split() for row in Path("/proc/self/status").read_text().splitlines()]
    found = {row[0].rstrip(":"): row[1] for row in rows if row[0] in {"CapEff:", "CapBnd:", "Seccomp:"}}
    for setting in _SETTINGS:
        path = Path("/proc/sys", setting)
        found[setting] = path.read_text().strip() if path.exists() else "none"
    there = [place for place in _PLACES if Path(place).exists()]
    there += [group for group in _GROUPS if os.access(Path("/sys/fs/cgroup", group), os.W_OK)]
    found["there"] = " ".join(there)
    routes = [row.split() for row in Path("/proc/net/route").read_text().splitlines()[1:]]
    found["default route"] = str(any(row[1] == _DEFAULT for row in routes))
    found["largest core"] = str(resource.getrlimit(resource.RLIMIT_CORE)[1])
    return found
