"""Attempts to write where nothing may be written, or over what decides what git runs."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from tests.sandbox.battery import Targets, attempt, c, libc, make_and_remove


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


@attempt
def truncate_outside(t: Targets) -> object:
    os.truncate(t["canary"], 6)
    return True


@attempt
def chmod_outside(t: Targets) -> object:
    Path(t["canary"]).chmod(0o644)
    return True


@attempt
def touch_outside(t: Targets) -> object:
    os.utime(t["canary"])
    return True


@attempt
def give_away_outside(t: Targets) -> object:
    os.chown(t["canary"], 0, 0)
    return True


@attempt
def remove_outside(t: Targets) -> object:
    Path(t["outside"], "victim").unlink()
    return True


@attempt
def rename_outside(t: Targets) -> object:
    Path(t["outside"], "victim2").rename(Path(t["outside"], "renamed"))
    return True


@attempt
def move_in_from_outside(t: Targets) -> object:
    Path(t["outside"], "victim3").rename(Path(t["workspace"], "taken"))
    return True


@attempt
def link_outside(t: Targets) -> object:
    Path(t["outside"], "link").symlink_to("/etc")
    return True


@attempt
def hard_link_outside(t: Targets) -> object:
    file = Path(t["workspace"], "to-be-linked")
    file.touch()
    Path(t["outside"], "hard").hardlink_to(file)
    return True


@attempt
def pipe_outside(t: Targets) -> object:
    os.mkfifo(Path(t["outside"], "pipe"))
    return True


@attempt
def directory_outside(t: Targets) -> object:
    Path(t["outside"], "directory").mkdir()
    return True


@attempt
def write_mirror(t: Targets) -> object:
    return make_and_remove(f"{t['mirror']}/objects/handrail-battery")


@attempt
def write_settings_of_the_mirror(t: Targets) -> object:
    return os.open(f"{t['mirror']}/config", os.O_WRONLY | os.O_APPEND)


@attempt
def write_results(t: Targets) -> object:
    return make_and_remove(f"{t['results']}/handrail-battery")


@attempt
def write_users_checkout(t: Targets) -> object:
    return make_and_remove(f"{t['checkout']}/handrail-battery")


@attempt
def write_record_of_the_session(t: Targets) -> object:
    return os.open(f"{t['record']}/git-config", os.O_WRONLY | os.O_APPEND)


@attempt
def write_other_workspace(t: Targets) -> object:
    return make_and_remove(f"{t['other']}/handrail-battery")


@attempt
def write_database(t: Targets) -> object:
    Path(t["data"], t["leave"]).touch()
    return None  # the host looks: inside, a path like this one may be made in scratch


@attempt
def write_packages_of_the_server(t: Targets) -> object:
    return make_and_remove(f"{t['packages']}/handrail-battery.pth")


@attempt
def write_source_of_the_server(t: Targets) -> object:
    return make_and_remove(f"{t['source']}/handrail_battery.py")


@attempt
def write_home_of_users(_: Targets) -> object:
    return make_and_remove("/home/handrail-battery")


@attempt
def write_opt(_: Targets) -> object:
    return make_and_remove("/opt/handrail-battery")


@attempt
def write_own_etc(_: Targets) -> object:
    return os.open("/etc/passwd", os.O_WRONLY | os.O_APPEND)


@attempt
def remount_writable(_: Targets) -> object:
    libc.unshare(0x20000)
    c(libc.mount(b"/usr", b"/usr", None, ctypes.c_ulong(0x1000), None))
    c(libc.mount(None, b"/usr", None, ctypes.c_ulong(0x20 | 0x1000), None))
    return make_and_remove("/usr/handrail-battery")


@attempt
def leave_scratch_for_the_host(t: Targets) -> object:
    Path("/tmp", t["leave"]).touch()
    return None  # the host looks


@attempt
def leave_shared_memory_for_the_host(t: Targets) -> object:
    Path("/dev/shm", t["leave"]).touch()
    return None  # the host looks


@attempt
def truncate_protected(t: Targets) -> object:
    os.truncate(t["protected"], Path(t["protected"]).stat().st_size)
    return True


@attempt
def exchange_protected(t: Targets) -> object:
    new = Path(t["workspace"], "exchanged")
    new.write_bytes(Path(t["protected"]).read_bytes())
    return c(libc.renameat2(-100, str(new).encode(), -100, t["protected"].encode(), 2)) == 0


@attempt
def reopen_protected(t: Targets) -> object:
    held = os.open(t["protected"], os.O_RDONLY)
    return os.open(f"/proc/self/fd/{held}", os.O_WRONLY | os.O_APPEND)


@attempt
def hard_link_protected(t: Targets) -> object:
    Path(t["workspace"], "second-name").hardlink_to(t["protected"])
    return True


@attempt
def make_hook(t: Targets) -> object:
    return make_and_remove(f"{t['workspace']}/.git/hooks/pre-commit")


@attempt
def make_attributes(t: Targets) -> object:
    return make_and_remove(f"{t['workspace']}/.git/info/attributes")


@attempt
def change_alternates(t: Targets) -> object:
    return os.open(f"{t['workspace']}/.git/objects/info/alternates", os.O_WRONLY | os.O_APPEND)


@attempt
def change_settings_of_the_work_tree(t: Targets) -> object:
    return os.open(f"{t['workspace']}/.git/config.worktree", os.O_WRONLY | os.O_APPEND)
