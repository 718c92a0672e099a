"""Rules about files and hosts."""

from __future__ import annotations

import posixpath
import re
import unicodedata
from functools import lru_cache

from msgspec import Struct

from handrail.policy.script import HOLE
from handrail.registries import REGISTRIES

# --- files ------------------------------------------------------------------------------------------------------------

# names under which the system shows other files: what they lead to cannot be told from the name
_LINKS_BY_NAME = ("/proc/", "/dev/fd/", "/dev/stdin")


class Place(Struct, frozen=True):
    """Where a path leads, as far as its name tells."""

    inside: str | None
    """from the top of the workspace; None where it leads out of it"""
    absolute: str
    sure: bool
    """False where a link on the way could lead elsewhere (`a/../b`, `/proc/self/cwd`), or part of it is not known"""


@lru_cache(maxsize=4096)
def place(path: str, workspace: str, folder: str | None = None) -> Place:
    """Where `path` leads from `folder` (default: the workspace). Pure: no link is looked up."""
    path = path.removeprefix("file://")
    sure = bool(path) and HOLE not in path and not any(ord(character) < 0x20 for character in path)
    if path.startswith("~"):
        return Place(None, path, sure=False)
    start = posixpath.join(workspace or "/", folder or "")
    joined = posixpath.join(start, path)
    parts = joined.split("/")
    sure = sure and ".." not in parts
    absolute = "/" + posixpath.normpath(joined).lstrip("/")
    sure = sure and not absolute.startswith(_LINKS_BY_NAME)
    root = posixpath.normpath(workspace) if workspace else ""
    inside = None
    if root and (absolute == root or absolute.startswith(root + "/")):
        inside = absolute[len(root) + 1 :] or "."
    return Place(inside, absolute, sure)


@lru_cache(maxsize=4096)
def _path_glob(pattern: str, *, folded: bool) -> re.Pattern[str]:
    """`**` any depth, `*` and `?` within a name, `./` the top; a directory stands for all that is in it."""
    anchored = "/" in pattern.rstrip("/") and not pattern.startswith("**/")
    body = pattern.rstrip("/").removeprefix("./").removeprefix("**/").removesuffix("/**") or "**"
    out = "" if anchored else "(?:.*/)?"
    at = 0
    while at < len(body):
        if body.startswith("**", at):
            out += ".*"
            at += 2
            if body.startswith("/", at):
                out = out[:-2] + "(?:.*/)?"
                at += 1
        else:
            out += {"*": "[^/]*", "?": "[^/]"}.get(body[at], re.escape(body[at]))
            at += 1
    return re.compile(out + "(?:/.*)?", re.DOTALL | (re.IGNORECASE if folded else re.NOFLAG))


class FileRule(Struct, frozen=True):
    """A rule of the section `files`: about writing, or with `read ` before it about reading."""

    text: str
    pattern: str
    read: bool

    def allows(self, where: Place) -> bool:
        """Whether it names exactly this place."""
        if self.pattern == "*":
            return True
        return where.sure and self._names(where, folded=False)

    def forbids(self, where: Place) -> bool:
        """Whether it names this place, in whatever spelling a file system may take for the same."""
        return self.pattern == "*" or self._names(where, folded=True)

    def _names(self, where: Place, *, folded: bool) -> bool:
        if self.pattern.startswith(("/", "~")):
            target: str | None = where.absolute
        else:
            target = where.inside
        if target is None:
            return False
        if folded:
            target = unicodedata.normalize("NFC", target)
        return _path_glob(self.pattern, folded=folded).fullmatch(target) is not None


@lru_cache(maxsize=4096)
def file_rule(text: str) -> FileRule:
    """Read one rule.

    Raises:
        ValueError: it cannot be a rule; the message says what to write instead.
    """
    read = text.startswith("read ")
    pattern = (text[5:] if read else text).strip()
    if not pattern or any(ord(character) < 0x20 for character in pattern) or HOLE in pattern:
        raise ValueError("write a path from the top of the repository, such as `src/**`, or `read .env`")
    if ".." in pattern.split("/"):
        raise ValueError("write the path without `..`")
    return FileRule(text, unicodedata.normalize("NFC", pattern), read)


# --- hosts ------------------------------------------------------------------------------------------------------------

_HOST = re.compile(r"(?:\*\.)?[a-z0-9_](?:[a-z0-9_-]{0,62}[a-z0-9_])?(?:\.[a-z0-9_](?:[a-z0-9_-]{0,62}[a-z0-9_])?)*")
_SIX = re.compile(r"\[[0-9a-f:.]{2,45}\]")
_TARGET = re.compile(r"(\[[0-9a-f:.]+\]|[^:\[\]]+)(?::(\d{1,5}))?")


class Host(Struct, frozen=True):
    """One host and port that may be reached; `*.` at the start stands for any names before it."""

    name: str
    port: int | None
    """None: any"""

    def covers(self, other: Host) -> bool:
        """Whether all that `other` names is named by this one as well."""
        if self.port is not None and self.port != other.port:
            return False
        if self.name == "*":
            return True
        if self.name.startswith("*."):
            return other.name.endswith(self.name[1:]) and other.name != self.name[2:]
        return self.name == other.name

    def __str__(self) -> str:
        return self.name if self.port is None else f"{self.name}:{self.port}"


class HostRule(Struct, frozen=True):
    """A rule of the section `network`."""

    text: str
    hosts: tuple[Host, ...]

    def names(self, host: Host) -> bool:
        """Whether it names this host and port."""
        return any(mine.covers(host) for mine in self.hosts)


def host(text: str, default_port: int = 443) -> Host | None:
    """`host:port` of a request; None where it is no plain name or address (it is then never allowed)."""
    found = _TARGET.fullmatch(text.strip().lower())
    if found is None:
        return None
    name = found[1].rstrip(".")
    port = int(found[2]) if found[2] else default_port
    if not 0 < port < 65536 or name.startswith("*") or not (_HOST.fullmatch(name) or _SIX.fullmatch(name)):
        return None
    return Host(name, port)


@lru_cache(maxsize=4096)
def host_rule(text: str) -> HostRule:
    """Read one rule: a registry's name, a host (then port 443), `host:port` or `host:*`.

    Raises:
        ValueError: it cannot be a rule; the message says what to write instead.
    """
    known = ", ".join(REGISTRIES)
    if text in REGISTRIES:
        return HostRule(text, tuple(Host(name, int(port)) for name, port in (h.split(":") for h in REGISTRIES[text])))
    if text == "*":
        return HostRule(text, (Host("*", None),))
    if "://" in text or "/" in text:
        raise ValueError("name the host alone, such as `api.example.com:443`")
    bare, any_port = (text[:-2], True) if text.endswith(":*") else (text, False)
    wild = bare.startswith("*.")
    plain = host(bare[2:] if wild else bare)
    if plain is None or ("." not in bare and ":" not in text and plain.name != "localhost"):
        raise ValueError(f"name a host, such as `api.example.com:443` or `*.example.com`, or one of {known}")
    name = f"*.{plain.name}" if wild else plain.name
    return HostRule(text, (Host(name, None if any_port else plain.port),))
