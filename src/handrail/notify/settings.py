"""`notify.toml` of the data directory: which channels there are, and what each is told."""

from __future__ import annotations

import importlib
import re
import tomllib
from collections.abc import Mapping
from dataclasses import MISSING, Field, fields
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from msgspec import Struct

from handrail.errors import InvalidInput, MissingPart
from handrail.notify import Channel, Occasion

FILE = "notify.toml"
_KINDS = {
    "desktop": ("handrail.notify.desktop", "Desktop", None),
    "email": ("handrail.notify.email", "Email", "notify"),
    "slack": ("handrail.notify.slack", "Slack", None),
    "webhook": ("handrail.notify.webhook", "Webhook", None),
    "apprise": ("handrail.notify.everything", "Everything", "apprise"),
}
"""kind → module, class, and the extra that brings what it needs; loaded when one is configured"""
EVENTS = {
    "approvals": (Occasion.ASKED, Occasion.ESCALATED, Occasion.EFFECT),
    "escalations": (Occasion.ESCALATED,),
    "outcomes": (Occasion.OUTCOME, Occasion.RUN, Occasion.IDLE, Occasion.TRUST, Occasion.CREDENTIAL, Occasion.FAILED),
}
_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")
_GENERAL = ("public_url", "after", "tries")


class Configured(Struct, frozen=True):
    """One channel as it was set up."""

    name: str
    kind: str
    events: tuple[str, ...]
    channel: Channel

    def wants(self, occasion: Occasion) -> bool:
        """Whether it is told of such a thing."""
        return occasion is Occasion.TEST or any(occasion in EVENTS[event] for event in self.events)


class Settings(Struct, frozen=True):
    """What the file says; a missing file is an empty one."""

    channels: Mapping[str, Configured]
    public_url: str | None = None
    """where people reach this server from elsewhere; None for its own loopback address"""
    after: float = 5.0
    """seconds that a question waits before anybody is told: one that is answered at once disturbs nobody"""
    tries: int = 10
    """how often a message is tried before it is given up"""


def load(data: Path, environ: Mapping[str, str]) -> Settings:
    """Read the file under `data`; a text `env:NAME` stands for that variable.

    Raises:
        InvalidInput: the first thing in it that cannot be used.
        MissingPart: a channel needs an extra that is not installed.
    """
    file = data / FILE
    try:
        table = tomllib.loads(file.read_text("utf-8"))
    except FileNotFoundError:
        return Settings({})
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(str(file), str(error), "make it valid TOML") from error
    except OSError as error:
        raise InvalidInput(str(file), error.strerror, "make it readable for the server") from error
    table = {key: _resolved(f"{file}: {key}", value, environ) for key, value in table.items()}
    channels = {}
    for name, value in table.items():
        if name in _GENERAL:
            continue
        if not isinstance(value, dict):
            known = ", ".join(_GENERAL)
            raise InvalidInput(f"{file}: {name}", value, f"known settings are {known}, and a table for each channel")
        channels[name] = _channel(f"{file}: {name}", name, value)
    return Settings(
        channels,
        _public(f"{file}: public_url", table.get("public_url")),
        _number(f"{file}: after", table.get("after", 5.0), 0, 86_400),
        int(_number(f"{file}: tries", table.get("tries", 10), 1, 100)),
    )


def _channel(where: str, name: str, table: Mapping[str, object]) -> Configured:
    if not _NAME.fullmatch(name):
        raise InvalidInput(where, name, "name a channel in small letters, digits, - and _")
    kind = table.get("kind", name)
    if not isinstance(kind, str) or kind not in _KINDS:
        raise InvalidInput(f"{where}.kind", kind, f"choose one of {', '.join(_KINDS)}")
    events = table.get("events", ["approvals", "outcomes"])
    if not isinstance(events, list) or not events or any(event not in EVENTS for event in events):
        raise InvalidInput(f"{where}.events", events, f"give a list of {', '.join(EVENTS)}")
    given = {key: value for key, value in table.items() if key not in ("kind", "events")}
    made = _loaded(kind)
    known = {item.name: item for item in fields(made) if item.metadata.get("given", True)}
    for key, value in given.items():
        if key not in known:
            raise InvalidInput(f"{where}.{key}", value, f"known settings are kind, events, {', '.join(known)}")
    values = {key: _value(f"{where}.{key}", value, known[key]) for key, value in given.items()}
    for key, item in known.items():
        if key not in values and item.default is MISSING and item.default_factory is MISSING:
            raise InvalidInput(f"{where}.{key}", None, f"{kind} needs it")
    try:
        channel = made(**values)
    except InvalidInput as error:
        raise InvalidInput(f"{where}.{error.field}", error.value, error.mend) from error
    return Configured(name, kind, tuple(events), channel)


def _loaded(kind: str) -> Any:
    module, name, extra = _KINDS[kind]
    try:
        return getattr(importlib.import_module(module), name)
    except ImportError as error:
        if extra is None:
            raise
        raise MissingPart(f"a channel of the kind {kind} needs pip install 'handrail[{extra}]'") from error


def _value(where: str, value: object, item: Field[Any]) -> object:
    """`value` as the field's type: a text, a whole number, or texts."""
    kind = str(item.type)
    if kind == "int" and isinstance(value, int) and not isinstance(value, bool):
        return value
    if kind == "str" and isinstance(value, str) and (value or item.default == ""):
        return value
    if kind.startswith("tuple"):
        texts = [value] if isinstance(value, str) else value
        if isinstance(texts, list) and all(isinstance(text, str) for text in texts):
            return tuple(texts)
    wanted = {"int": "a whole number", "str": "a text"}.get(kind, "a list of texts")
    raise InvalidInput(where, value, f"give {wanted}")


def _resolved(where: str, value: object, environ: Mapping[str, str]) -> object:
    """`value` with every `env:NAME` replaced."""
    if isinstance(value, dict):
        return {key: _resolved(f"{where}.{key}", item, environ) for key, item in value.items()}
    if isinstance(value, list):
        return [_resolved(where, item, environ) for item in value]
    if not isinstance(value, str) or not value.startswith("env:"):
        return value
    if not (found := environ.get(value.removeprefix("env:"), "")):
        raise InvalidInput(where, value, "set that variable where the server is started")
    return found


def _public(where: str, value: object) -> str | None:
    if value is None:
        return None
    parts = urlsplit(value if isinstance(value, str) else "")
    if parts.scheme not in ("http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise InvalidInput(where, value, "give an address such as https://handrail.example.com")
    return str(value).rstrip("/")


def _number(where: str, value: object, least: float, most: float) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not least <= value <= most:
        raise InvalidInput(where, value, f"give a number from {least} to {most}")
    return float(value)
