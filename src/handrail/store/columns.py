"""Column types: how the values of `handrail.types` are kept in a row, the same on SQLite and PostgreSQL."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from enum import StrEnum
from typing import Any, Generic, TypeVar, cast

from sqlalchemy import DateTime, Dialect, String
from sqlalchemy.types import JSON, BigInteger, Integer, TypeDecorator

from handrail.errors import InvalidInput
from handrail.types import Check, Goal, Json, Limits, NanoUSD

WordT = TypeVar("WordT", bound=StrEnum)

Big = BigInteger().with_variant(Integer, "sqlite")
"""A 64-bit integer; on SQLite its INTEGER, which alone can number rows by itself (https://www.sqlite.org/autoinc.html)"""


class Encoded(str):
    """JSON text that was encoded already: `dumps` passes it on as it is."""

    __slots__ = ()


def encode(data: Mapping[str, object]) -> tuple[Encoded, Json | None]:
    """One JSON object as text that every reader can decode (RFC 8259, section 8.2).

    Returns:
        The text, and what it decodes to where that differs from `data`: a lone surrogate becomes U+FFFD.

    Raises:
        InvalidInput: a number is not finite.
    """
    try:
        text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    except ValueError as error:
        raise InvalidInput("data", "NaN or Infinity", "give numbers that JSON can hold") from error
    try:
        text.encode()
    except UnicodeEncodeError:
        clean = text.encode("utf-16-le", "surrogatepass").decode("utf-16-le", "replace")
        return Encoded(clean), json.loads(clean)
    return Encoded(text), None


def dumps(value: object) -> str:
    """Encode the value of a JSON column (the engine's `json_serializer`)."""
    if isinstance(value, Encoded):
        return value
    text, _ = encode({"": value})
    return text[4:-1]


class UtcDateTime(TypeDecorator[datetime]):
    """An aware datetime, kept in UTC: SQLite forgets the zone, so it is given back on the way out."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002, D102
        if value is None:
            return None
        if value.tzinfo is None:
            raise InvalidInput("time", value, "give a time with its zone")
        return value.astimezone(UTC)

    def process_result_value(self, value: datetime | None, dialect: Dialect) -> datetime | None:  # noqa: ARG002, D102
        if value is None:
            return None
        return value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)


class Word(TypeDecorator[WordT], Generic[WordT]):
    """A member of a StrEnum, kept as its value: kinds are added without a migration.

    Args:
        words: the enum.
    """

    impl = String
    cache_ok = True

    def __init__(self, words: type[WordT]) -> None:
        super().__init__()
        self.words = words

    def process_bind_param(self, value: WordT | str | None, dialect: Dialect) -> str | None:  # noqa: ARG002, D102
        return None if value is None else self.words(value).value

    def process_result_value(self, value: Any | None, dialect: Dialect) -> WordT | None:  # noqa: ARG002, D102
        return None if value is None else self.words(value)


class GoalColumn(TypeDecorator[Goal]):
    """A goal as one JSON object, in the words of the API: text, checks, turns, budget_nano, seconds."""

    impl = JSON(none_as_null=True)
    cache_ok = True

    def process_bind_param(self, value: Goal | None, dialect: Dialect) -> Json | None:  # noqa: ARG002, D102
        return None if value is None else goal_json(value)

    def process_result_value(self, value: Any | None, dialect: Dialect) -> Goal | None:  # noqa: ARG002, D102
        return None if value is None else _goal(cast("dict[str, Any]", value))


def goal_json(goal: Goal) -> Json:
    """A goal as a JSON object; a limit that is not set is null."""
    return {
        "text": goal.text,
        "checks": [{"command": check.command, "timeout": check.timeout} for check in goal.checks],
        "turns": goal.limits.turns,
        "budget_nano": goal.limits.budget,
        "seconds": goal.limits.seconds,
    }


def _goal(kept: Mapping[str, Any]) -> Goal:
    budget = kept["budget_nano"]
    return Goal(
        text=kept["text"],
        checks=tuple(Check(check["command"], check["timeout"]) for check in kept["checks"]),
        limits=Limits(kept["turns"], None if budget is None else NanoUSD(budget), kept["seconds"]),
    )
