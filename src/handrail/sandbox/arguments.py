"""Walls to the arguments of bwrap: a pure function, so that golden tests can hold every flag in its place.

The filesystem is built up from nothing; a path is inside because a line here puts it there. Order matters to bwrap:
mounts are made parents first, and the root is made read-only last.
https://github.com/containers/bubblewrap/blob/main/bwrap.xml
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, lru_cache
from pathlib import Path

from msgspec import Struct, field

from handrail.errors import InvalidInput, SandboxError
from handrail.sandbox import Walls
from handrail.sandbox.etc import HOSTNAME, OWN_DIRECTORY, bound
from handrail.sandbox.paths import inside

DOOR_PORT = 3129
ETC = "etc"
"""name of /etc in the stage"""
SEARCH_PATH = "/usr/local/bin:/usr/bin:/bin"
SYSTEM = Path("/usr")
ROOT_LINKS = ("bin", "sbin", "lib", "lib32", "lib64", "libx32")
RESERVED = frozenset(
    Path(name)
    for name in ("/", "/usr", "/etc", "/proc", "/sys", "/dev", "/dev/shm", "/tmp", "/var", "/run", "/home", "/root")  # noqa: S108
)
"""directories that can be no workspace and no home: mounting them writable would open far more than one session"""


class Host(Struct, frozen=True):
    """What the arguments depend on outside of the walls."""

    uid: int
    links: Mapping[str, str] = field(default_factory=dict)
    """top-level links into /usr, name → target (`bin` → `usr/bin`)"""
    directories: tuple[str, ...] = ()
    """the same names where they are real directories"""
    etc: Path = Path("/nonexistent")
    """the directory to mount as /etc (see `etc.build`)"""
    configuration: tuple[str, ...] = ()
    """directories of the machine's /etc to mount over it (see `etc.bound`)"""
    staged: bool = False
    """the launcher mounts the sources of the walls where the uid can reach them"""


class Mount(Struct, frozen=True):
    """One path of the walls, at the same place inside as outside; `name` is its place in the stage."""

    path: Path
    writable: bool
    name: str
    protected: tuple[Path, ...] = ()

    def source(self, host: Host, stage: str) -> str:
        """Where bwrap finds it."""
        return f"{stage}/{self.name}" if host.staged else str(self.path)


def survey(uid: int, etc: Path, *, staged: bool, root: Path = Path("/")) -> Host:
    """What walls need to know of this machine, as it was when it was first looked at."""
    links, directories, found = _look(root)
    return Host(uid, links, directories, etc, found, staged)


@cache
def _look(root: Path) -> tuple[dict[str, str], tuple[str, ...], tuple[str, ...]]:
    links, directories = {}, []
    for name in ROOT_LINKS:
        path = root / name
        if path.is_symlink():
            links[name] = str(path.readlink())
        elif path.is_dir():
            directories.append(name)
    return links, tuple(directories), bound(root / "etc")


@lru_cache(256)
def mounts(walls: Walls) -> tuple[Mount, ...]:
    """The paths of the walls, parents before children, without those that are visible already.

    Raises:
        SandboxError: a path is relative, reserved, or asked for both writable and read-only.
    """
    _check(walls)
    writable = {walls.workspace, walls.home}
    visible = [SYSTEM, *(Path("/", name) for name in ROOT_LINKS)]
    read_only: list[Path] = []
    for path in sorted(set(walls.read_only), key=lambda path: len(path.parts)):
        if not inside(path, visible + read_only):
            read_only.append(path)
    for path in read_only:
        if inside(path, writable):
            raise SandboxError(f"sandbox: {path} lies in a writable directory: name it as protected instead")
    protected = {
        path: tuple(sorted(p for p in walls.protected if p != path and inside(p, (path,)))) for path in writable
    }
    both = [(path, True) for path in writable] + [(path, False) for path in read_only]
    both.sort(key=lambda pair: (len(pair[0].parts), pair[0]))
    return tuple(
        Mount(path, writable, f"m{index}", protected.get(path, ()) if writable else ())
        for index, (path, writable) in enumerate(both)
    )


def _check(walls: Walls) -> None:
    writable = {walls.workspace, walls.home}
    for path in writable:
        if path in RESERVED or SYSTEM in path.parents:
            raise SandboxError(f"sandbox: {path} cannot be a workspace or a home: choose a directory of its own")
    for path in (*writable, *walls.read_only, *walls.protected):
        if not path.is_absolute() or ".." in path.parts:
            raise SandboxError(f"sandbox: {path} is no plain absolute path: give the full path without '..'")
    if clash := writable.intersection(walls.read_only):
        raise SandboxError(f"sandbox: {clash.pop()} is asked for both writable and read-only: choose one")
    if Path("/") in walls.read_only:
        raise SandboxError("sandbox: / cannot be mounted: name the directories that are needed")
    if stray := [path for path in walls.protected if not inside(path, writable)]:
        raise SandboxError(f"sandbox: protected path {stray[0]} is not in the workspace {walls.workspace}")


def descriptor(name: str) -> str:
    """A word that the launcher replaces by the number of a descriptor."""
    return f"\0{name}"


def checked(argv: Sequence[str], env: Mapping[str, str]) -> None:
    """Refuse what no program can be given.

    Raises:
        InvalidInput: the command is empty, or a word or variable holds a NUL or has no valid name.
    """
    if not argv or not argv[0]:
        raise InvalidInput("argv", list(argv), "give a program and its arguments")
    for word in argv:
        if "\0" in word:
            raise InvalidInput("argv", word, "an argument cannot hold a NUL")
    for name, value in env.items():
        if not name or "=" in name or "\0" in name or "\0" in value:
            raise InvalidInput(f"environment variable {name!r}", value, "no NUL, and no '=' in the name")


def files(walls: Walls, host: Host) -> dict[str, str]:
    """The files of /etc that tell who runs: no name of this machine or its users gets in."""
    uid = host.uid
    return {
        "passwd": f"handrail:x:{uid}:{uid}:Handrail:{walls.home}:/bin/sh\nnobody:x:65534:65534:nobody:/:/bin/false\n",
        "group": f"handrail:x:{uid}:\nnogroup:x:65534:\n",
    }


def environment(walls: Walls, given: Mapping[str, str]) -> dict[str, str]:
    """`given`, and what every program expects where it is not given."""
    usual = {"HOME": str(walls.home), "PATH": SEARCH_PATH, "LANG": "C.UTF-8", "TERM": "dumb", "TMPDIR": "/tmp"}  # noqa: S108
    return {**usual, **given}


def bwrap_arguments(
    walls: Walls,
    host: Host,
    *,
    env: Mapping[str, str],
    cwd: Path,
    stage: str = "",
    filtered: bool = True,
) -> list[str]:
    """The arguments of bwrap for one process.

    Args:
        walls: what may be seen and touched.
        host: what this machine is like.
        env: the whole environment.
        cwd: its directory, which exists inside.
        stage: where the launcher puts the sources, if `host.staged`.
        filtered: whether there is a seccomp program for this machine.

    Returns:
        Words for `--args`; `descriptor` words stand for descriptors that the launcher makes (`orders.Order`).

    Raises:
        SandboxError: the walls contradict themselves (see `mounts`).
    """
    limits = walls.limits
    words = [
        *("--unshare-user", "--unshare-pid", "--unshare-net", "--unshare-ipc", "--unshare-uts", "--unshare-cgroup-try"),
        *("--disable-userns", "--assert-userns-disabled", "--die-with-parent", "--new-session"),
        *("--cap-drop", "ALL", "--hostname", HOSTNAME, "--clearenv"),
        *("--block-fd", descriptor("block"), "--json-status-fd", descriptor("status")),
    ]
    if filtered:
        words += ["--seccomp", descriptor("seccomp")]
    for name, value in sorted(env.items()):
        words += ["--setenv", name, value]
    words += ["--ro-bind", "/usr", "/usr"]
    for name, target in sorted(host.links.items()):
        words += ["--symlink", target, f"/{name}"]
    for name in host.directories:
        words += ["--ro-bind", f"/{name}", f"/{name}"]
    words += ["--ro-bind", f"{stage}/{ETC}" if host.staged else str(host.etc), "/etc"]
    for name in host.configuration:
        words += ["--ro-bind", f"/etc/{name}", f"/etc/{name}"]
    for name in sorted(files(walls, host)):
        words += ["--perms", "0444", "--file", descriptor(name), f"{OWN_DIRECTORY}/{name}"]
    words += ["--proc", "/proc", "--ro-bind", "/proc/sys", "/proc/sys", "--dev", "/dev"]
    scratch = ["--size", str(limits.tmp_bytes), "--perms", "1777", "--tmpfs"]
    words += [*scratch, "/dev/shm", "--remount-ro", "/dev", *scratch, "/tmp"]  # noqa: S108
    words += ["--dir", "/var", "--symlink", "../tmp", "/var/tmp"]  # noqa: S108
    for mount in mounts(walls):
        words += ["--bind" if mount.writable else "--ro-bind", mount.source(host, stage), str(mount.path)]
        if not host.staged:
            for path in mount.protected:
                words += ["--ro-bind", str(path), str(path)]
    return [*words, "--remount-ro", "/", "--chdir", str(cwd)]
