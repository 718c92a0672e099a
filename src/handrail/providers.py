"""What model providers say in numbers, read alike by the gateway, which bills it, and by Handrail's own agent.

Where the figures stand: Anthropic in `message_start` and, cumulative, in the last `message_delta` (its input excludes
what was cached); Responses only in `response.completed` (or `.incomplete`, `.failed`); Chat in the last chunk; Gemini
in the last `usageMetadata`, thoughts apart from candidates.
"""

from __future__ import annotations

import time
from contextlib import suppress
from email.utils import parsedate_to_datetime
from typing import Any, NamedTuple

_MOST = 10_000_000_000
"""tokens of one call that are believed; the ledger's columns hold the price of more, but nobody sends so many"""
_LONGEST = 7 * 86_400.0
"""seconds that a provider is believed to want"""


class Tokens(NamedTuple):
    """What one call used. `input` is all of it, with what came from the cache and what was written there."""

    input: int
    cached: int
    written: int
    output: int


def count(table: Any, *path: str) -> int:
    """The number of tokens at `path`; 0 where there is none that can be one."""
    for key in path:
        table = table.get(key) if isinstance(table, dict) else None
    return table if isinstance(table, int) and not isinstance(table, bool) and 0 < table <= _MOST else 0


def anthropic(usage: dict[str, Any]) -> Tokens:
    """Of a `usage` of Anthropic Messages."""
    cached, written = count(usage, "cache_read_input_tokens"), count(usage, "cache_creation_input_tokens")
    return Tokens(count(usage, "input_tokens") + cached + written, cached, written, count(usage, "output_tokens"))


def responses(usage: dict[str, Any]) -> Tokens:
    """Of a `usage` of OpenAI Responses."""
    cached = count(usage, "input_tokens_details", "cached_tokens")
    return Tokens(count(usage, "input_tokens"), cached, 0, count(usage, "output_tokens"))


def chat(usage: dict[str, Any]) -> Tokens:
    """Of a `usage` of OpenAI Chat Completions."""
    cached = count(usage, "prompt_tokens_details", "cached_tokens")
    return Tokens(count(usage, "prompt_tokens"), cached, 0, count(usage, "completion_tokens"))


def gemini(usage: dict[str, Any]) -> Tokens:
    """Of a `usageMetadata` of Gemini."""
    given = count(usage, "promptTokenCount") + count(usage, "toolUsePromptTokenCount")
    made = count(usage, "candidatesTokenCount") + count(usage, "thoughtsTokenCount")
    return Tokens(given, count(usage, "cachedContentTokenCount"), 0, made)


def sane(value: object) -> bool:
    """Whether every number of a usage object can be a count."""
    if isinstance(value, dict):
        return all(sane(item) for item in value.values())
    if isinstance(value, list):
        return all(sane(item) for item in value)
    return not isinstance(value, int | float) or 0 <= value <= _MOST


def retry_after(text: str) -> float | None:
    """Seconds of a `retry-after` header, a number or a date (https://www.rfc-editor.org/rfc/rfc9110#section-10.2.3)."""
    with suppress(ValueError):
        return max(0.0, min(float(text), _LONGEST))
    with suppress(ValueError):
        return max(0.0, min(parsedate_to_datetime(text).timestamp() - time.time(), _LONGEST))
    return None
