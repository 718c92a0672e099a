"""Seatbelt, the walls of macOS: a profile for `sandbox-exec`, made from the same walls as bubblewrap's arguments.

UNTESTED: it was written on Linux, and no line of it was ever given to a Mac. So the kind raises no walls yet; it says
so, and `handrail sandbox profile` prints what it would use.

The language is Apple's own and not documented by it. What stands here follows the profiles that come with macOS
(/System/Library/Sandbox/Profiles) and those of Chromium and Codex:
https://chromium.googlesource.com/chromium/src/+/main/sandbox/mac/seatbelt_sandbox_design.md,
https://github.com/openai/codex/tree/main/codex-rs. Of several rules that match, the last one holds.
"""

from __future__ import annotations

import sys
from collections.abc import Iterable
from pathlib import Path
from typing import NoReturn

from handrail.errors import SandboxError
from handrail.sandbox import Walls
from handrail.sandbox.arguments import mounts
from handrail.types import SandboxKind

SYSTEM = (
    *("/usr", "/bin", "/sbin", "/System", "/Library/Apple", "/Library/Developer/CommandLineTools"),
    *("/private/var/db/dyld", "/private/var/db/timezone", "/private/var/select", "/private/etc/ssl"),
)
"""directories of the system that every program may read"""
FILES = (
    "/private/etc/hosts",
    "/private/etc/localtime",
    "/private/etc/passwd",
    "/private/etc/protocols",
    "/private/etc/services",
)
DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom", "/dev/dtracehelper", "/dev/fd")
FRONT = """\
(version 1)
(deny default)
(allow process-exec)
(allow process-fork)
(allow process-info* (target same-sandbox))
(allow signal (target same-sandbox))
(allow sysctl-read)
(allow ipc-posix-sem)
(allow mach-lookup (global-name "com.apple.system.opendirectoryd.libinfo"))"""


class SeatbeltBackend:
    """The walls of macOS, which say that they cannot be raised."""

    kind = SandboxKind.SEATBELT

    async def probe(self) -> NoReturn:
        """Nothing is held, and nothing is started.

        Raises:
            SandboxError: always; the message says what to choose.
        """
        raise SandboxError(refusal(sys.platform))

    async def open(self, walls: Walls) -> NoReturn:  # noqa: ARG002
        """Fails closed.

        Raises:
            SandboxError: always; the message says what to choose.
        """
        raise SandboxError(refusal(sys.platform))

    async def close(self) -> None:
        """There is nothing to close."""


def refusal(system: str) -> str:
    """Why no walls are raised, for `sys.platform`."""
    if system == "darwin":
        return (
            "sandbox: seatbelt is untested, so nothing is started in it yet (`handrail sandbox profile` prints its"
            " profile): run Handrail in a Linux machine, or choose none and mean it"
        )
    return "sandbox: seatbelt is of macOS and untested, and this is not macOS: choose bubblewrap"


def profile(walls: Walls, *, scratch: Path, door: int | None = None) -> str:
    """The profile for one process: a pure function.

    Args:
        walls: what may be seen and touched; paths are real ones (`/private/tmp`, not `/tmp`), for those are compared.
        scratch: what TMPDIR is set to; writable as well.
        door: the port on loopback that may be reached.

    Returns:
        The text for `sandbox-exec -p`.

    Raises:
        SandboxError: the walls contradict themselves, or a path cannot be written in the language.
    """
    above = mounts(walls)
    writable = [*(mount.path for mount in above if mount.writable), scratch]
    readable = [mount.path for mount in above if not mount.writable]
    inside = [*map(Path, SYSTEM), *readable, *writable]
    lines = [
        FRONT,
        _rule("file-read-metadata", "literal", sorted({parent for path in inside for parent in path.parents})),
        _rule("file-read*", "subpath", map(Path, SYSTEM)),
        _rule("file-read*", "literal", map(Path, FILES)),
        _rule("file-read* file-write-data file-ioctl", "literal", map(Path, DEVICES)),
    ]
    if readable:
        lines.append(_rule("file-read*", "subpath", readable))
    lines.append(_rule("file-read* file-write*", "subpath", writable))
    if walls.protected:
        lines.append(_rule("file-write*", "subpath", sorted(walls.protected), verdict="deny"))
    if door is not None:
        lines += ["(allow system-socket)", f'(allow network-outbound (remote ip "localhost:{door}"))']
    return "\n".join(lines) + "\n"


def _rule(actions: str, match: str, targets: Iterable[Path], *, verdict: str = "allow") -> str:
    return "\n".join([f"({verdict} {actions}", *(f"    ({match} {_quoted(path)})" for path in targets)]) + ")"


def _quoted(path: Path) -> str:
    text = str(path)
    if not text.isprintable():
        raise SandboxError(f"sandbox: {text!r} holds a character that a profile cannot: give another path")
    escaped = text.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'
