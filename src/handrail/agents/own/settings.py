"""What the process is told by its environment, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any

from handrail.errors import InvalidInput


@dataclass(frozen=True)
class Settings:
    """Each is told as `HANDRAIL_<ITS NAME>`. Times are seconds."""

    wire: str = "openai-chat"
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
            kind = type(getattr(Settings, field.name))
            told[field.name] = text if kind is str else kind(_positive(name, text))
    url = told["model_url"] = told.get("model_url", "").rstrip("/").removesuffix("/v1beta").removesuffix("/v1")
    if url and not url.startswith(("http://", "https://")):
        raise InvalidInput("HANDRAIL_MODEL_URL", url, "give a URL that starts with http:// or https://")
    told.setdefault("max_output", min(Settings.max_output, told.get("context", Settings.context) // 4))
    return Settings(**told)


def _positive(name: str, text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise InvalidInput(name, text, "give a positive number")
    return value
