"""Attempts to read and to write."""

from __future__ import annotations

import os
from pathlib import Path

from tests.sandbox.battery import (
    Targets,
    attempt,
    make_and_remove,
)


@attempt
def read_beside(t: Targets) -> object:
    return Path(t["canary"]).read_bytes()


@attempt
def read_private(t: Targets) -> object:
    return Path(t["private"]).read_bytes()


@attempt
def read_shadow(_: Targets) -> object:
    return Path("/etc/shadow").read_bytes()


@attempt
def read_other_workspace(t: Targets) -> object:
    return Path(t["other"], "secret").read_bytes()


@attempt
def list_root_home(_: Targets) -> object:
    return [entry.name for entry in Path("/root").iterdir() if entry.name.startswith(".bash")]


@attempt
def list_var(_: Targets) -> object:
    return list(Path("/var/lib").iterdir())


@attempt
def read_machine_id_or_hostname(_: Targets) -> object:
    return Path("/etc/hostname").read_bytes()


@attempt
def read_users(_: Targets) -> object:
    return [line for line in Path("/etc/passwd").read_text().splitlines() if line.startswith("daemon:")]


@attempt
def read_through_link(t: Targets) -> object:
    link = Path(t["workspace"], "link")
    link.unlink(missing_ok=True)
    link.symlink_to(t["canary"])
    return link.read_bytes()


@attempt
def read_through_hard_link(t: Targets) -> object:
    link = Path(t["workspace"], "hard")
    link.unlink(missing_ok=True)
    link.hardlink_to(t["canary"])
    return link.read_bytes()


@attempt
def read_through_pid1_root(t: Targets) -> object:
    return Path(f"/proc/1/root{t['canary']}").read_bytes()


@attempt
def read_through_parents(t: Targets) -> object:
    return (Path(t["workspace"]) / ".." / "outside" / "canary").read_bytes()


@attempt
def read_sysfs(_: Targets) -> object:
    return list(Path("/sys/class").iterdir())


@attempt
def read_kernel_log(_: Targets) -> object:
    return os.read(os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK), 100)


@attempt
def read_kernel_memory(_: Targets) -> object:
    return os.read(os.open("/proc/kcore", os.O_RDONLY), 100)


@attempt
def read_disk(_: Targets) -> object:
    disks = [entry for entry in Path("/dev").iterdir() if entry.is_block_device()]
    return [os.read(os.open(disk, os.O_RDONLY), 100) for disk in disks]


@attempt
def list_run(_: Targets) -> object:
    return [entry for entry in Path("/run").iterdir() if entry.name != "handrail"]


@attempt
def write_beside(t: Targets) -> object:
    file = Path(t["outside"], f"new-{os.getpid()}")
    file.touch()
    return file


@attempt
def append_canary(t: Targets) -> object:
    return os.write(os.open(t["canary"], os.O_WRONLY | os.O_APPEND), b"x")


@attempt
def write_usr(_: Targets) -> object:
    return make_and_remove("/usr/local/handrail-battery")


@attempt
def write_etc(_: Targets) -> object:
    return make_and_remove("/etc/handrail-battery")


@attempt
def write_root(_: Targets) -> object:
    return make_and_remove("/handrail-battery")


@attempt
def write_dev(_: Targets) -> object:
    return make_and_remove("/dev/handrail-battery")


@attempt
def write_cron(_: Targets) -> object:
    Path("/var/spool").mkdir(exist_ok=True)
    return make_and_remove("/var/spool/handrail-battery")


@attempt
def write_shell_start_file(_: Targets) -> object:
    return make_and_remove("/root/.handrail-battery")


@attempt
def write_tool_chain(t: Targets) -> object:
    return make_and_remove(f"{t['tools']}/handrail-battery")


@attempt
def write_protected(t: Targets) -> object:
    return os.write(os.open(t["protected"], os.O_WRONLY | os.O_APPEND), b"x")


@attempt
def remove_protected(t: Targets) -> object:
    content = Path(t["protected"]).read_bytes()
    Path(t["protected"]).unlink()
    Path(t["protected"]).write_bytes(content)
    return True


@attempt
def rename_over_protected(t: Targets) -> object:
    new = Path(t["workspace"], "new-config")
    new.write_text("evil")
    new.rename(t["protected"])
    return True


@attempt
def chmod_protected(t: Targets) -> object:
    Path(t["protected"]).chmod(0o666)
    return True


@attempt
def write_through_link(t: Targets) -> object:
    link = Path(t["workspace"], "link-out")
    link.unlink(missing_ok=True)
    link.symlink_to(t["outside"])
    file = link / f"linked-{os.getpid()}"
    file.touch()
    return file


@attempt
def leave_setuid_root_file(t: Targets) -> object:
    file = Path(t["workspace"], "setuid")
    file.write_bytes(b"x")
    file.chmod(0o4755)
    kuid = Path(f"/proc/{os.getpid()}/uid_map").read_text().split()[:2]
    return file.stat().st_uid == 0 and kuid == ["0", "0"]
