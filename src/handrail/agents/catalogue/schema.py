"""Reads one agent's TOML table into an `AgentSpec`. Every mistake is told with file, key, value and what to write."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from enum import StrEnum
from pathlib import PurePosixPath
from typing import TypeVar

from handrail.agents.spec import (
    AgentSpec,
    Ask,
    AskHow,
    Choices,
    ErrorPattern,
    Load,
    LoginSpec,
    Package,
    Registry,
    Resume,
    UntrustedSpec,
)
from handrail.errors import InvalidInput

Table = Mapping[str, object]
E = TypeVar("E", bound=StrEnum)

WIRES = ("anthropic", "openai", "gemini", "any")
ERROR_KINDS = ("auth", "limit", "provider", "agent")
_VERSION = re.compile(r"[0-9A-Za-z][0-9A-Za-z.+_-]{0,63}")
_PACKAGE = re.compile(r"(@[a-z0-9._-]+/)?[A-Za-z0-9._{}-]+")


class Reader:
    """Takes keys out of one table; `end` refuses what is left."""

    def __init__(self, table: Table, where: str) -> None:
        self._left = dict(table)
        self._where = where

    def string(self, key: str, default: str | None = None, *, one_of: tuple[str, ...] = ()) -> str:
        """A string that is not empty; required where there is no default."""
        value = self._left.pop(key, default)
        if not isinstance(value, str) or not value.strip() or "\0" in value:
            raise self.wrong(key, value, f"give one of {', '.join(one_of)}" if one_of else "give a text in quotes")
        if one_of and value not in one_of:
            raise self.wrong(key, value, f"give one of {', '.join(one_of)}")
        return value

    def maybe(self, key: str) -> str | None:
        """A string, or None where the key is missing."""
        return self.string(key) if key in self._left else None

    def enum(self, key: str, kind: type[E], default: E | None = None) -> E:
        """A value of an enumeration."""
        known = tuple(item.value for item in kind)
        return kind(self.string(key, None if default is None else default.value, one_of=known))

    def flag(self, key: str, *, default: bool = False) -> bool:
        """A boolean."""
        value = self._left.pop(key, default)
        if not isinstance(value, bool):
            raise self.wrong(key, value, "give true or false")
        return value

    def strings(self, key: str) -> tuple[str, ...]:
        """An array of strings; empty where the key is missing."""
        value = self._left.pop(key, [])
        if not isinstance(value, list) or not all(isinstance(item, str) and "\0" not in item for item in value):
            raise self.wrong(key, value, "give an array of texts, such as ['a', 'b']")
        return tuple(value)

    def mapping(self, key: str) -> dict[str, str]:
        """A table of strings; empty where the key is missing."""
        value = self._left.pop(key, {})
        if not isinstance(value, dict):
            raise self.wrong(key, value, f"make it a table [{key}] of texts")
        for name, item in value.items():
            if not isinstance(item, str) or "\0" in item:
                raise self.wrong(f"{key}.{name}", item, "give a text in quotes")
        return value

    def table(self, key: str) -> Reader | None:
        """A reader of a table below, or None where the key is missing."""
        if key not in self._left:
            return None
        value = self._left.pop(key)
        if not isinstance(value, dict):
            raise self.wrong(key, value, f"make it a table [{key}]")
        return Reader(value, f"{self._where}: {key}")

    def tables(self, key: str) -> list[Reader]:
        """Readers of an array of tables; empty where the key is missing."""
        value = self._left.pop(key, [])
        if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
            raise self.wrong(key, value, f"make it an array of tables [[{key}]]")
        return [Reader(item, f"{self._where}: {key} {number}") for number, item in enumerate(value, 1)]

    def end(self) -> None:
        """Refuse keys that nobody took."""
        for key, value in self._left.items():
            raise self.wrong(key, value, "there is no such key: remove it or mend its name")

    def wrong(self, key: str, value: object, mend: str) -> InvalidInput:
        """The error for one key."""
        return InvalidInput(f"{self._where}: {key}", value, mend)


def read_spec(name: str, table: Table, file: str) -> AgentSpec:
    """The agent that `table` describes.

    Raises:
        InvalidInput: a key is unknown, missing or of a wrong value.
    """
    reader = Reader(table, file)
    command = reader.strings("command")
    if not command or not command[0]:
        raise reader.wrong(
            "command", list(command), "give the program and its arguments, such as ['my-agent', '--acp']"
        )
    spec = AgentSpec(
        name=name,
        title=reader.string("title", name),
        licence=reader.string("licence", "not stated"),
        wire=reader.string("wire", "openai", one_of=WIRES),
        command=command,
        package=_package(reader),
        env=_env(reader),
        files=_files(reader),
        model=reader.maybe("model"),
        ask=_ask(reader),
        resume=_resume(reader),
        choices=_choices(reader),
        login=_login(reader),
        untrusted=_untrusted(reader),
        errors=tuple(_error(item) for item in reader.tables("errors")),
        stops_on_eof=reader.flag("stops_on_eof", default=True),
        opens_with_prompt=reader.flag("opens_with_prompt"),
        notes=reader.strings("notes"),
    )
    reader.end()
    return spec


def _package(reader: Reader) -> Package | None:
    below = reader.table("package")
    if below is None:
        return None
    package = Package(
        registry=below.enum("registry", Registry),
        name=below.string("name"),
        version=below.string("version"),
        check=below.string("check"),
        scripts=below.flag("scripts"),
        python=below.maybe("python"),
    )
    if not _VERSION.fullmatch(package.version):
        raise below.wrong("version", package.version, "pin one exact version, such as '1.2.3'")
    if not _PACKAGE.fullmatch(package.name):
        raise below.wrong("name", package.name, "give the package's name in its registry")
    if package.python is not None and not re.fullmatch(r"3\.\d+", package.python):
        raise below.wrong("python", package.python, "give a version such as '3.12'")
    if not _inside(package.check):
        raise below.wrong("check", package.check, "give a path inside the package's folder")
    below.end()
    return package


def _login(reader: Reader) -> LoginSpec | None:
    below = reader.table("login")
    if below is None:
        return None
    login = LoginSpec(
        files=below.strings("files"),
        hosts=below.strings("hosts"),
        how=below.string("how"),
        variables=below.strings("variables"),
        folders=below.mapping("folders"),
        proof=below.strings("proof"),
        keep=below.strings("keep"),
        blank=below.strings("blank"),
        expires=below.maybe("expires"),
        env=_env(below),
        settings=_files(below, "settings"),
    )
    if not login.files or not all(_inside(name) for name in login.files):
        raise below.wrong("files", list(login.files), "name paths inside the user's home, without '..'")
    if not login.hosts:
        raise below.wrong("hosts", [], "name what the agent must reach, such as ['api.example.com:443']")
    below.end()
    return login


def _untrusted(reader: Reader) -> UntrustedSpec:
    below = reader.table("untrusted")
    if below is None:
        return UntrustedSpec()
    given = below.maybe("meta")
    try:
        meta = json.loads(given or "{}")
    except ValueError as error:
        raise below.wrong("meta", given, f"make it JSON ({error})") from error
    if not isinstance(meta, dict):
        raise below.wrong("meta", given, "make it an object of JSON")
    spec = UntrustedSpec(_files(below, "before"), meta)
    below.end()
    return spec


def _env(reader: Reader) -> dict[str, str]:
    env = reader.mapping("env")
    for name, value in env.items():
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", name):
            raise reader.wrong(f"env.{name}", value, "name a variable of letters, digits and _")
    return env


def _files(reader: Reader, key: str = "files") -> dict[str, str]:
    files = reader.mapping(key)
    for name, content in files.items():
        if not _inside(name):
            raise reader.wrong(f"{key}.{name}", content, "name a path inside the session's home, without '..'")
    return files


def _inside(path: str) -> bool:
    pure = PurePosixPath(path)
    return not pure.is_absolute() and ".." not in pure.parts and pure.name != ""


def _ask(reader: Reader) -> Ask:
    below = reader.table("ask")
    if below is None:
        return Ask()
    ask = Ask(below.enum("how", AskHow), below.maybe("value"), below.string("option", "mode"), below.maybe("free"))
    if ask.how is not AskHow.ENVIRONMENT and ask.value is None:
        raise below.wrong("value", None, "give the mode that asks for everything")
    below.end()
    return ask


def _resume(reader: Reader) -> Resume:
    below = reader.table("resume")
    if below is None:
        return Resume()
    resume = Resume(below.enum("how", Load), below.flag("trusted"))
    below.end()
    return resume


def _choices(reader: Reader) -> Choices:
    below = reader.table("choices")
    if below is None:
        return Choices()
    choices = Choices(below.strings("allow"), below.strings("reject"))
    below.end()
    return choices


def _error(reader: Reader) -> ErrorPattern:
    given = reader.string("pattern")
    try:
        pattern = re.compile(given)
    except re.error as error:
        raise reader.wrong("pattern", given, f"make it a regular expression ({error})") from error
    kind = reader.string("kind", one_of=ERROR_KINDS)
    reader.end()
    return ErrorPattern(pattern, kind)
