"""What the process is told by its environment, read once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from handrail.errors import InvalidInput

WIRES = ("openai-chat", "openai-responses", "anthropic", "gemini")


@dataclass(frozen=True, slots=True)
class Settings:
    """Times are seconds, the window is tokens. Each value is `HANDRAIL_<what its comment names>`."""

    wire: str  # WIRE
    url: str  # MODEL_URL, without a path
    token: str  # TOKEN
    model: str  # MODEL
    journals: Path  # HOME: sessions are kept in `.handrail-agent` there
    window: int = 128_000  # CONTEXT
    max_steps: int = 1000  # MAX_STEPS: model calls a turn
    max_output: int = 16_000  # MAX_OUTPUT: tokens of one answer, where a wire must be told
    attempts: int = 5  # ATTEMPTS of one model call
    backoff: float = 0.5  # BACKOFF: wait after the first failed attempt, doubled each time
    idle: float = 300.0  # IDLE: longest silence of a model's answer


def read(environ: Mapping[str, str]) -> Settings:
    """The settings in `environ`.

    Raises:
        InvalidInput: a value is not of its kind.
    """
    wire = environ.get("HANDRAIL_WIRE", WIRES[0])
    if wire not in WIRES:
        raise InvalidInput("HANDRAIL_WIRE", wire, f"give one of {', '.join(WIRES)}")
    url = environ.get("HANDRAIL_MODEL_URL", "").rstrip("/")
    if url and not url.startswith(("http://", "https://")):
        raise InvalidInput("HANDRAIL_MODEL_URL", url, "give a URL that starts with http:// or https://")
    window = int(_positive(environ, "HANDRAIL_CONTEXT", 128_000))
    return Settings(
        wire,
        url.removesuffix("/v1beta").removesuffix("/v1"),
        environ.get("HANDRAIL_TOKEN", ""),
        environ.get("HANDRAIL_MODEL", ""),
        Path(environ.get("HOME", "/")) / ".handrail-agent",
        window,
        int(_positive(environ, "HANDRAIL_MAX_STEPS", 1000)),
        int(_positive(environ, "HANDRAIL_MAX_OUTPUT", min(16_000, window // 4))),
        int(_positive(environ, "HANDRAIL_ATTEMPTS", 5)),
        _positive(environ, "HANDRAIL_BACKOFF", 0.5),
        _positive(environ, "HANDRAIL_IDLE", 300.0),
    )


def _positive(environ: Mapping[str, str], name: str, default: float) -> float:
    text = environ.get(name, "")
    try:
        value = float(text) if text else default
    except ValueError:
        value = 0.0
    if not 0 < value < 1e9:
        raise InvalidInput(name, text, "give a positive number")
    return value
