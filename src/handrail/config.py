"""Configuration: read once from the environment and the data directory, then frozen and handed on as an argument."""

from __future__ import annotations

import ipaddress
import json
import math
import os
import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import ClassVar

from msgspec.structs import replace

from handrail import files
from handrail.errors import InvalidInput
from handrail.types import Veiled

DEFAULT_PORT = 7171


class Config(Veiled, frozen=True):
    """Everything a server can be told. Times are seconds, sizes bytes.

    Set a value in `config.toml` of the data directory, or as `HANDRAIL_<NAME>` in the environment (which wins).
    """

    veiled: ClassVar = frozenset({"database"})
    data: Path
    """the data directory: database, workspaces, agents, logs"""
    host: str = "127.0.0.1"
    """loopback address to listen on"""
    port: int = DEFAULT_PORT
    """TCP port to listen on; 0 takes a free one"""
    turn_idle: float = 600.0
    """a turn without any update for this long is cancelled"""
    cancel_grace: float = 10.0
    """a cancelled turn that has not ended after this long is killed"""
    agent_idle: float = 900.0
    """an agent process without a turn for this long is stopped; its session stays"""
    agent_start: float = 60.0
    """an agent that has not answered its handshake after this long is given up"""
    approval_release: float = 300.0
    """an agent process that has waited this long for an answer is let go; its session goes on when the answer comes"""
    approval_deadline: int = 0
    """after this many seconds without an answer `approval_then` happens to a question; 0 for never"""
    approval_then: str = "park"
    """at the deadline: park (go on waiting), deny, or escalate (tell its people again and louder, and go on waiting)"""
    warm_agents: int = 64
    """agent processes kept between turns, at the most"""
    prompt_limit: int = 1 << 20
    """longest prompt"""
    tool_output_limit: int = 1 << 18
    """longest output of one tool call kept in the log"""
    loop_calls: int = 5
    """a turn is ended once its agent has made the same call with the same answer so often, running; 0 for never"""
    sandbox: str = "bubblewrap"
    """walls of a new session, unless it says otherwise"""
    database: str = ""
    """where state is kept: empty for a file in the data directory, or `postgresql://user:password@host/name`"""
    server_dead: float = 30.0
    """a server of the same database that was not heard of for this long is dead: another goes on with its runs"""
    network_inside: str = ""
    """private networks that names may lead to all the same, such as `10.20.0.0/16 fd00:1::/32`"""

    @property
    def place(self) -> Path | str:
        """The SQLite file, or the URL of the database."""
        return self.database or self.data / "handrail.db"

    def inside(self) -> tuple[ipaddress.IPv4Network | ipaddress.IPv6Network, ...]:
        """The networks of `network_inside`.

        Raises:
            InvalidInput: one of them is none.
        """
        words = self.network_inside.replace(",", " ").split()
        try:
            return tuple(ipaddress.ip_network(word) for word in words)
        except ValueError as error:
            raise InvalidInput("network_inside", self.network_inside, "give networks such as 10.20.0.0/16") from error


def data_directory(environ: Mapping[str, str], given: Path | None = None) -> Path:
    """Where the data directory is, links followed: what is mounted inside the walls must be the thing itself.

    `given`, else `HANDRAIL_DATA`, else `$XDG_DATA_HOME/handrail`, else `~/.local/share/handrail`.
    """
    if given is not None:
        return given.expanduser().resolve()
    if chosen := environ.get("HANDRAIL_DATA"):
        return Path(chosen).expanduser().resolve()
    base = environ.get("XDG_DATA_HOME")
    return ((Path(base) if base else Path.home() / ".local" / "share") / "handrail").resolve()


def load(data: Path, environ: Mapping[str, str] | None = None) -> Config:
    """Read `config.toml` under `data` and the `HANDRAIL_*` variables.

    Raises:
        InvalidInput: a key is unknown or a value is not of its type.
    """
    environ = os.environ if environ is None else environ
    config = Config(data=data)
    file = data / "config.toml"
    if file.is_file():
        try:
            table = tomllib.loads(file.read_text("utf-8"))
        except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
            raise InvalidInput(str(file), str(error), "make it valid TOML") from error
        config = _apply(config, table, str(file))
    settable = {f"HANDRAIL_{name.upper()}": name for name in _TYPES}
    given = {settable[key]: value for key, value in environ.items() if key in settable}
    return _apply(config, given, "environment")


def keep_setting(data: Path, name: str, value: str) -> None:
    """Write a setting into `config.toml`, unless it is there, for every later start.

    Raises:
        InvalidInput: the file says something else, or is no TOML.
    """
    file = data / "config.toml"
    text = file.read_text("utf-8") if file.is_file() else ""
    try:
        there = tomllib.loads(text).get(name)
    except tomllib.TOMLDecodeError as error:
        raise InvalidInput(str(file), str(error), "make it valid TOML") from error
    if there == value:
        return
    if there is not None:
        raise InvalidInput(name, "…", f"{file} says another one: change it there")
    _apply(Config(data=data), {name: value}, name)
    line = f"{name} = {json.dumps(value, ensure_ascii=False)}\n"
    files.replace(file, f"{line}{text}".encode(), 0o600)  # the line first: what follows may be a table


_CHOICES = {"approval_then": ("park", "deny", "escalate")}
_TYPES = {name: Config.__annotations__[name] for name in Config.__struct_fields__ if name != "data"}


def _apply(config: Config, table: Mapping[str, object], source: str) -> Config:
    changes: dict[str, object] = {}
    for name, value in table.items():
        if name not in _TYPES:
            raise InvalidInput(f"{source}: {name}", value, f"known settings are {', '.join(sorted(_TYPES))}")
        changes[name] = _convert(name, value, source)
    return replace(config, **changes)


def _convert(name: str, value: object, source: str) -> object:
    kind = str(_TYPES[name])
    if name in _CHOICES and value not in _CHOICES[name]:
        raise InvalidInput(f"{source}: {name}", value, f"choose one of {', '.join(_CHOICES[name])}")
    if kind == "str" and isinstance(value, str):
        return value
    number = None if isinstance(value, bool) else _number(kind, str(value))
    if number is None or number < 0 or (kind == "float" and number == 0):
        wanted = {"float": "a positive number of seconds", "int": "a whole number, 0 or more"}.get(kind, "a text")
        raise InvalidInput(f"{source}: {name}", value, f"give {wanted}")
    return number


def _number(kind: str, text: str) -> float | None:
    try:
        return int(text) if kind == "int" else float(text) if kind == "float" and math.isfinite(float(text)) else None
    except ValueError:
        return None
