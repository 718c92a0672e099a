"""Attempts to read what is not mounted."""

from __future__ import annotations

import ctypes
import os
import subprocess
from pathlib import Path

from tests.sandbox.battery import Targets, attempt, c, libc, others


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
    return Path(t["workspace"], os.path.relpath(t["canary"], t["workspace"])).read_bytes()


@attempt
def read_sysfs(_: Targets) -> object:
    return list(Path("/sys/class").iterdir())


@attempt
def read_kernel_log(_: Targets) -> object:
    whole_record = 8192  # a read of less than the next record is refused, whoever asks
    return os.read(os.open("/dev/kmsg", os.O_RDONLY | os.O_NONBLOCK), whole_record)


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
def read_from_a_root_descriptor(t: Targets) -> object:
    return os.read(os.open(t["canary"].lstrip("/"), os.O_RDONLY, dir_fd=os.open("/", os.O_RDONLY)), 10)


@attempt
def read_through_own_root(t: Targets) -> object:
    return Path(f"/proc/thread-self/root{t['canary']}").read_bytes()


@attempt
def see_that_a_file_exists(t: Targets) -> object:
    return Path(t["canary"]).stat().st_size


@attempt
def watch_a_directory(t: Targets) -> object:
    return c(libc.inotify_add_watch(c(libc.inotify_init()), t["outside"].encode(), 0x100)) >= 0


@attempt
def run_a_program_outside(t: Targets) -> object:
    return subprocess.run([t["program"]], capture_output=True, check=True).stdout


@attempt
def read_shadow_of_groups(_: Targets) -> object:
    return Path("/etc/gshadow").read_bytes()


@attempt
def read_users_checkout(t: Targets) -> object:
    return Path(t["checkout"], "a.txt").read_bytes()


@attempt
def read_users_stash(t: Targets) -> object:
    return _object(t["stash"] + ":a.txt", t["checkout"]) or _object(t["stash"] + ":a.txt", t["workspace"])


@attempt
def read_what_another_session_made(t: Targets) -> object:
    return _object(t["other_blob"], t["results"]) or _object(t["other_blob"], t["workspace"])


@attempt
def read_results_as_alternates(t: Targets) -> object:
    return _object(t["other_blob"], t["workspace"], GIT_ALTERNATE_OBJECT_DIRECTORIES=f"{t['results']}/objects")


def _object(name: str, repository: str, **env: str) -> bytes:
    command = ["git", "-c", "safe.directory=*", "-C", repository, "cat-file", "-p", name]
    return subprocess.run(command, capture_output=True, check=False, env={**os.environ, **env}).stdout


@attempt
def read_settings_of_the_mirror(t: Targets) -> object:
    return Path(t["mirror"], "config").read_bytes()


@attempt
def read_record_of_the_session(t: Targets) -> object:
    return Path(t["record"], "git-config").read_bytes()


@attempt
def list_sessions(t: Targets) -> object:
    return "other" in [entry.name for entry in Path(t["data"], "sessions").iterdir()]


@attempt
def list_scratch_of_the_machine(t: Targets) -> object:
    return t["beside"] in [entry.name for entry in Path("/tmp").iterdir()]


@attempt
def list_logs(_: Targets) -> object:
    return list(Path("/var/log").iterdir())


@attempt
def read_addresses_of_the_kernel(_: Targets) -> object:
    with Path("/proc/kallsyms").open() as file:
        return [line for line, _number in zip(file, range(50), strict=False) if int(line.split()[0], 16)]


@attempt
def read_what_others_hold_open(_: Targets) -> object:
    return [entry.name for entry in others() if b"private" in _content(entry / "fd" / "0")]


def _content(path: Path) -> bytes:
    try:
        return path.read_bytes() if path.is_file() else b""
    except OSError:
        return b""


@attempt
def enter_directories_of_others(_: Targets) -> object:
    return [entry.name for entry in others() if _listed(entry / "cwd")]


def _listed(path: Path) -> bool:
    try:
        return "canary" in [entry.name for entry in path.iterdir()]
    except OSError:
        return False


@attempt
def read_with_a_new_root(t: Targets) -> object:
    c(libc.unshare(0x20000))
    c(libc.mount(b"/", t["home"].encode(), None, ctypes.c_ulong(0x1000), None))
    return Path(t["home"] + t["canary"]).read_bytes()
