"""What the process is told by its environment, read once."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, fields
from typing import Any

from handrail.agents.own.wires import CHAT, WIRES, Wire
from handrail.errors import InvalidInput


@dataclass(frozen=True)
class Settings:
    """Each is told as `HANDRAIL_<ITS NAME>`. Times are seconds."""

    wire: Wire = CHAT
    model_url: str = ""  # without a path
    token: str = ""
    model: str = ""
    context: int = 128_000  # the window, in tokens
    max_steps: int = 1000  # model calls a turn
    max_output: int = 16_000  # tokens of one answer, where a wire must be told; at most a quarter of the window
    attempts: int = 5  # of one model call
    backoff: float = 0.5  # wait after the first failed attempt, doubled each time
    idle: float = 300.0  # longest silence of a model's answer


def read(environ: Mapping[str, str]) -> Settings:
    """The settings in `environ`; InvalidInput where a value is not of its kind."""
    told: dict[str, Any] = {}
    for field in fields(Settings):
        name = f"HANDRAIL_{field.name.upper()}"
        if text := environ.get(name):
            told[field.name] = _value(name, text, type(field.default))
    url = told["model_url"] = told.get("model_url", "").rstrip("/").removesuffix("/v1beta").removesuffix("/v1")
    if url and not url.startswith(("http://", "https://")):
        raise InvalidInput("HANDRAIL_MODEL_URL", url, "give a URL that starts with http:// or https://")
    told.setdefault("max_output", min(Settings.max_output, told.get("context", Settings.context) // 4))
    return Settings(**told)


def _value(name: str, text: str, kind: type) -> Any:
    if kind is str:
        return text
    if kind is Wire:
        if text in WIRES:
            return WIRES[text]
        raise InvalidInput(name, text, f"give one of {', '.join(WIRES)}")
    with suppress(ValueError):
        if 0 < (number := float(text)) < 1e9:
            return kind(number)
    raise InvalidInput(name, text, "give a positive number")
