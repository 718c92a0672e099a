"""Git on the host: never inside a tree that an agent wrote.

Two homes: OURS, for the mirror and the results (no configuration but our own), and THEIRS, for the user's checkout
(their configuration decides what is ignored and which directories are safe; hooks and monitors stay off).
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
from collections.abc import Mapping, Sequence
from enum import Enum
from functools import cache
from pathlib import Path
from typing import Required, TypedDict, Unpack

from msgspec import Struct

from handrail.errors import HandrailError, MissingPart, StorageFull

CHUNK = 1 << 16
LIMIT = 64 << 20
STDERR_LIMIT = 1 << 14
UMASK = 0o022
# an agent that runs as another user reads the mirror's objects

# https://git-scm.com/docs/git-config#ENVIRONMENT: the command scope, stronger than every file.
SETTINGS: dict[str, str] = {
    "core.hooksPath": "/dev/null",
    "core.fsmonitor": "false",
    "core.untrackedCache": "false",
    "core.splitIndex": "false",
    "core.quotePath": "false",
    "core.bigFileThreshold": "32m",
    "gc.auto": "0",
    "maintenance.auto": "false",
    "submodule.recurse": "false",
    "fetch.recurseSubmodules": "false",
    "fetch.writeCommitGraph": "false",
    "commit.gpgSign": "false",
    "advice.detachedHead": "false",
    "apply.whitespace": "nowarn",
}

IDENTITY: dict[str, str] = {
    "GIT_AUTHOR_NAME": "Handrail",
    "GIT_AUTHOR_EMAIL": "handrail@localhost",
    "GIT_COMMITTER_NAME": "Handrail",
    "GIT_COMMITTER_EMAIL": "handrail@localhost",
}


class Home(Enum):
    """Whose configuration git reads."""

    OURS = "ours"
    THEIRS = "theirs"


class Ran(Struct, frozen=True):
    """A git command that ended. `out` is cut at the caller's limit, and `truncated` says so."""

    code: int
    out: bytes
    err: str
    truncated: bool = False


def settings_environment(settings: Mapping[str, str]) -> dict[str, str]:
    """`settings` as the `GIT_CONFIG_*` variables that git reads (since 2.31)."""
    environment = {"GIT_CONFIG_COUNT": str(len(settings))}
    for number, (key, value) in enumerate(settings.items()):
        environment[f"GIT_CONFIG_KEY_{number}"] = key
        environment[f"GIT_CONFIG_VALUE_{number}"] = value
    return environment


def environment(home: Home, settings: Mapping[str, str] | None = None) -> dict[str, str]:
    """A hardened environment, built from nothing: no prompt, no hook, no protocol but local files."""
    built = {
        "PATH": os.environ.get("PATH", os.defpath),
        "LC_ALL": "C",
        "GIT_TERMINAL_PROMPT": "0",
        "GIT_OPTIONAL_LOCKS": "0",
        "GIT_ALLOW_PROTOCOL": "file",
        "GIT_NO_REPLACE_OBJECTS": "1",
        "GIT_NO_LAZY_FETCH": "1",
        "GIT_DEFAULT_REF_FORMAT": "files",
        "GIT_PAGER": "cat",
        **IDENTITY,
        **settings_environment({**SETTINGS, **(settings or {})}),
    }
    if home is Home.OURS:
        return {**built, "HOME": "/nonexistent", "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    for name in ("HOME", "XDG_CONFIG_HOME", "GIT_CONFIG_GLOBAL", "GIT_CONFIG_NOSYSTEM", "SUDO_UID"):
        if name in os.environ:
            built[name] = os.environ[name]
    return built


class How(TypedDict, total=False):
    """How a git command runs; all but `cwd` may be left out."""

    cwd: Required[Path]
    home: Home
    """whose configuration is read; ours by default"""
    env: Mapping[str, str]
    """more variables, such as `GIT_INDEX_FILE`"""
    settings: Mapping[str, str]
    """more git settings for this command"""
    stdin: bytes
    limit: int
    """bytes of standard output kept, 64 MB by default"""
    timeout: float
    """seconds, 60 by default"""
    uid: int | None
    """run as this user (and group of the same number); only root may ask for it"""


async def attempt(arguments: Sequence[str | Path], **how: Unpack[How]) -> Ran:
    """Run one git command to its end; it is killed when the caller is cancelled, the time is up or the limit reached.

    Args:
        arguments: what follows `git`.
        how: see `How`.

    Raises:
        MissingPart: git is not installed.
        HandrailError: the time is up.
    """
    cwd, stdin, uid, timeout = how["cwd"], how.get("stdin", b""), how.get("uid"), how.get("timeout", 60.0)
    found = program()
    become = () if uid is None else _become(uid)
    late = uid if uid is not None and not become else None
    process = await asyncio.create_subprocess_exec(
        *become,
        found,
        *map(str, arguments),
        cwd=cwd,
        env={**environment(how.get("home", Home.OURS), how.get("settings")), **how.get("env", {})},
        stdin=asyncio.subprocess.PIPE if stdin else asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        umask=UMASK,
        user=late,
        group=late,
        extra_groups=None if late is None else [],
    )
    try:
        async with asyncio.timeout(timeout):
            (out, truncated), (err, _), _ = await asyncio.gather(
                _read(process, process.stdout, how.get("limit", LIMIT), end=True),
                _read(process, process.stderr, STDERR_LIMIT, end=False),
                _feed(process, stdin),
            )
            code = await process.wait()
    except TimeoutError as error:
        raise HandrailError(f"git {arguments[0]} took longer than {timeout:.0f} s in {cwd} and was stopped") from error
    finally:
        await _end(process)
    return Ran(code, out, err.decode("utf-8", "replace"), truncated)


@cache
def _become(uid: int) -> tuple[str, ...]:
    """What makes a command run as another user; nothing where `setpriv` of util-linux is not there.

    A user that Python itself is to change to keeps it from vfork: it copies the page tables of the whole server, and
    the loop stands still meanwhile (7 ms for 0.6, November 2026, at 90 MB).
    """
    found = shutil.which("setpriv", path=os.defpath)
    if found is None or Path(found).resolve().name != "setpriv":  # another one knows other options
        return ()
    return (found, "--reuid", str(uid), "--regid", str(uid), "--clear-groups", "--")


def program() -> str:
    """Where git is.

    Raises:
        MissingPart: git is not installed.
    """
    return _program(os.environ.get("PATH", os.defpath))


@cache
def _program(path: str) -> str:
    found = shutil.which("git", path=path)
    if found is None:
        raise MissingPart("git is not installed: install the package `git`")
    return found


async def git(*arguments: str | Path, **how: Unpack[How]) -> bytes:
    """As `attempt`, for commands that must succeed.

    Raises:
        HandrailError: it failed, with git's own first line, or gave more than its limit of bytes.
        StorageFull: the disk is full.
    """
    cwd, ran = how["cwd"], await attempt(arguments, **how)
    if ran.code == 0 and not ran.truncated:
        return ran.out
    if ran.truncated:
        raise HandrailError(
            f"git {arguments[0]} in {cwd} gave more than {how.get('limit', LIMIT) >> 20} MB and was stopped"
        )
    raise failure(f"git {arguments[0]} in {cwd}", ran.err)


def failure(what: str, err: str) -> HandrailError:
    """The error for a git command that failed with `err` on its standard error."""
    if "No space left on device" in err or "Disk quota exceeded" in err:
        return StorageFull(f"{what} found no room left on the disk: free some and try again")
    return HandrailError(f"{what} failed: {first_line(err)}")


def first_line(err: str) -> str:
    """The line of git's standard error that says what went wrong, made printable and short."""
    lines = [line.strip() for line in err.splitlines() if line.strip()]
    telling = [line for line in lines if line.startswith(("fatal:", "error:"))]
    text = (telling or lines or ["git gave no reason"])[0]
    return "".join(c if c.isprintable() else "?" for c in text)[:300]


async def _end(process: asyncio.subprocess.Process) -> None:
    if process.returncode is None:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


async def _read(
    process: asyncio.subprocess.Process, stream: asyncio.StreamReader | None, limit: int, *, end: bool
) -> tuple[bytes, bool]:
    """Read a stream to its end, keeping `limit` bytes; past them, kill the process when `end`, else drop the rest."""
    kept = bytearray()
    truncated = False
    while stream is not None and (chunk := await stream.read(CHUNK)):
        room = limit - len(kept)
        kept += chunk[:room]
        if len(chunk) > room and not truncated:
            truncated = True
            if end:
                with contextlib.suppress(ProcessLookupError):
                    process.kill()
    return bytes(kept), truncated


async def _feed(process: asyncio.subprocess.Process, stdin: bytes) -> None:
    if process.stdin is None:
        return
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        process.stdin.write(stdin)
        await process.stdin.drain()
    process.stdin.close()
    with contextlib.suppress(BrokenPipeError, ConnectionResetError):
        await process.stdin.wait_closed()
