from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from handrail.errors import InvalidInput, SandboxError
from handrail.sandbox import ResourceLimits, Walls
from handrail.sandbox.arguments import Host, bwrap_arguments, checked, environment, files, mounts, survey

WALLS = Walls(
    workspace=Path("/data/s/workspace/app"),
    home=Path("/data/s/home"),
    read_only=(Path("/opt/node"), Path("/data/mirror/objects")),
    protected=(Path("/data/s/workspace/app/.git/config"), Path("/data/s/workspace/app/.git/hooks")),
    limits=ResourceLimits(tmp_bytes=1000),
)
HOST = Host(
    uid=1000,
    links={"bin": "usr/bin", "lib": "usr/lib"},
    directories=("lib64",),
    etc=Path("/run/etc"),
    configuration=("ssl",),
)
ENV = {"HOME": "/data/s/home", "EMPTY": ""}
CWD = Path("/data/s/workspace/app")

FRONT = """
--unshare-user --unshare-pid --unshare-net --unshare-ipc --unshare-uts --unshare-cgroup-try
--disable-userns --assert-userns-disabled --die-with-parent --new-session --cap-drop ALL --hostname sandbox --clearenv
--block-fd <block> --json-status-fd <status> --seccomp <seccomp>
--setenv EMPTY <> --setenv HOME /data/s/home
--ro-bind /usr /usr --symlink usr/bin /bin --symlink usr/lib /lib --ro-bind /lib64 /lib64
"""
MIDDLE = """
--ro-bind /etc/ssl /etc/ssl
--perms 0444 --file <group> /run/handrail/group --perms 0444 --file <passwd> /run/handrail/passwd
--proc /proc --ro-bind /proc/sys /proc/sys --dev /dev
--size 1000 --perms 1777 --tmpfs /dev/shm --remount-ro /dev --size 1000 --perms 1777 --tmpfs /tmp
--dir /var --symlink ../tmp /var/tmp
"""
DIRECT = """
--ro-bind /opt/node /opt/node --ro-bind /data/mirror/objects /data/mirror/objects --bind /data/s/home /data/s/home
--bind /data/s/workspace/app /data/s/workspace/app
--ro-bind /data/s/workspace/app/.git/config /data/s/workspace/app/.git/config
--ro-bind /data/s/workspace/app/.git/hooks /data/s/workspace/app/.git/hooks
"""
STAGED = """
--ro-bind /stage/m0 /opt/node --ro-bind /stage/m1 /data/mirror/objects --bind /stage/m2 /data/s/home
--bind /stage/m3 /data/s/workspace/app
"""
END = "--remount-ro / --chdir /data/s/workspace/app"


def shown(words: list[str]) -> list[str]:
    return [f"<{word[1:]}>" if word.startswith("\0") else word or "<>" for word in words]


def test_the_whole_command_line() -> None:
    words = shown(bwrap_arguments(WALLS, HOST, env=ENV, cwd=CWD))
    assert words == f"{FRONT} --ro-bind /run/etc /etc {MIDDLE} {DIRECT} {END}".split()


def test_staged_sources_leave_protection_to_the_launcher() -> None:
    words = shown(bwrap_arguments(WALLS, replace(HOST, staged=True), env=ENV, cwd=CWD, stage="/stage"))
    assert words == f"{FRONT} --ro-bind /stage/etc /etc {MIDDLE} {STAGED} {END}".split()


def test_without_a_filter_for_the_machine_none_is_named() -> None:
    assert "--seccomp" not in bwrap_arguments(WALLS, HOST, env={}, cwd=CWD, filtered=False)


def test_the_same_walls_give_the_same_arguments() -> None:
    shuffled = replace(WALLS, read_only=tuple(reversed(WALLS.read_only)), protected=tuple(reversed(WALLS.protected)))
    assert bwrap_arguments(WALLS, HOST, env=ENV, cwd=CWD) == bwrap_arguments(shuffled, HOST, env=ENV, cwd=CWD)


def test_what_is_visible_already_is_not_mounted_again() -> None:
    walls = replace(WALLS, read_only=(Path("/usr/lib/node"), Path("/bin/tool"), Path("/opt"), Path("/opt/node")))
    assert [mount.path for mount in mounts(walls) if not mount.writable] == [Path("/opt")]


def test_a_workspace_within_a_read_only_tree_is_mounted_after_it() -> None:
    walls = replace(WALLS, read_only=(Path("/data"),))
    assert next((mount.path, mount.writable) for mount in mounts(walls)) == (Path("/data"), False)
    assert len(mounts(walls)) == 3


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"workspace": Path("/")}, "cannot be a workspace"),
        ({"home": Path("/home")}, "cannot be a workspace or a home"),
        ({"workspace": Path("/usr/src/app")}, "cannot be a workspace"),
        ({"workspace": Path("here")}, "no plain absolute path"),
        ({"read_only": (Path("/opt/../etc"),)}, "no plain absolute path"),
        ({"read_only": (Path("/data/s/home"),)}, "both writable and read-only"),
        ({"read_only": (Path("/"),)}, "/ cannot be mounted"),
        ({"read_only": (Path("/data/s/home/bin"),)}, "lies in a writable directory"),
        ({"protected": (Path("/data/else"),)}, "is not in the workspace"),
    ],
)
def test_walls_that_contradict_themselves(change: dict[str, object], said: str) -> None:
    with pytest.raises(SandboxError, match=said):
        mounts(replace(WALLS, **change))


@pytest.mark.parametrize(
    ("argv", "env"),
    [([], {}), ([""], {}), (["a\0--bind"], {}), (["a"], {"": "x"}), (["a"], {"A=B": "x"}), (["a"], {"A": "x\0y"})],
)
def test_words_that_no_program_can_be_given(argv: list[str], env: dict[str, str]) -> None:
    with pytest.raises(InvalidInput):
        checked(argv, env)


def test_what_is_given_wins_over_what_is_usual() -> None:
    assert environment(WALLS, {"PATH": "/opt/bin"}) == {
        "HOME": "/data/s/home",
        "PATH": "/opt/bin",
        "LANG": "C.UTF-8",
        "TERM": "dumb",
        "TMPDIR": "/tmp",
    }


def test_only_the_sessions_own_user_is_named() -> None:
    assert "handrail:x:1000:1000:Handrail:/data/s/home:/bin/sh\n" in files(WALLS, HOST)["passwd"]


def test_the_machine_is_surveyed(tmp_path: Path) -> None:
    (tmp_path / "usr").mkdir()
    (tmp_path / "bin").symlink_to("usr/bin")
    (tmp_path / "lib").mkdir()
    (tmp_path / "etc" / "ssl").mkdir(parents=True)
    host = survey(7, Path("/e"), staged=True, root=tmp_path)
    assert host == Host(7, {"bin": "usr/bin"}, ("lib",), Path("/e"), ("ssl",), staged=True)
