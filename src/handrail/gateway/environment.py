"""Providers that the environment names, in the variables that the vendors' own programs read."""

from __future__ import annotations

from collections.abc import Mapping

from handrail.gateway import Provider, Wire
from handrail.gateway.providers import validate

_KNOWN = (
    ("anthropic", Wire.ANTHROPIC, ("ANTHROPIC_API_KEY",), "ANTHROPIC_BASE_URL", "https://api.anthropic.com"),
    ("openai", Wire.OPENAI, ("OPENAI_API_KEY",), "OPENAI_BASE_URL", "https://api.openai.com/v1"),
    (
        "gemini",
        Wire.GEMINI,
        ("GEMINI_API_KEY", "GOOGLE_API_KEY"),
        "GOOGLE_GEMINI_BASE_URL",
        "https://generativelanguage.googleapis.com",
    ),
)


def providers(environ: Mapping[str, str]) -> tuple[Provider, ...]:
    """Each provider whose key is set (`ANTHROPIC_API_KEY`, `OPENAI_API_KEY`, `GEMINI_API_KEY` or `GOOGLE_API_KEY`).

    Base URLs come from `ANTHROPIC_BASE_URL`, `OPENAI_BASE_URL`, `GOOGLE_GEMINI_BASE_URL`. Empty variables are unset.

    Raises:
        InvalidInput: a URL or key cannot be used.
    """
    found = []
    for name, wire, keys, url, default in _KNOWN:
        key = next((environ[variable].strip() for variable in keys if environ.get(variable, "").strip()), None)
        if key is None:
            continue
        provider = Provider(name, wire, environ.get(url, "").strip().rstrip("/") or default, key)
        validate(provider)
        found.append(provider)
    return tuple(found)
