"""Checks on what a caller gave, before any room sees it. Each refusal names the field, the value and the mend."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from enum import StrEnum
from pathlib import Path
from typing import TypeVar

from msgspec import Struct

from handrail.errors import InvalidInput
from handrail.types import Check, Goal, Limits, NanoUSD

NANO = 1_000_000_000
MOST_TURNS = 10_000
MOST_SECONDS = 30 * 86_400.0
MOST_BUDGET = Decimal(1_000_000)
MOST_CHECKS = 50
LONGEST_COMMAND = 16_384
LONGEST_TITLE = 200

# what git takes as a revision or branch, less what a shell or an option parser could mistake (git-check-ref-format(1))
_REF = re.compile(r"(?![-/.])(?!.*(?:\.\.|@\{|//|\.lock(?:/|$)))[^\x00-\x20\x7f~^:?*\[\\]{1,250}(?<![/.])\Z")
_REVISION = re.compile(r"(?!-)[^\x00-\x20\x7f:?*\[\\]{1,250}\Z")
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]+")

Choice = TypeVar("Choice", bound=StrEnum)


class GoalSpec(Struct, frozen=True):
    """A goal as a caller words it: not checked yet. `budget_usd` is a decimal number as text."""

    text: str
    checks: tuple[tuple[str, float | None], ...] = ()
    """(command, seconds it may take; None for the default)"""
    turns: int | None = None
    budget_usd: str | None = None
    seconds: float | None = None


def text(field: str, value: str, limit: int) -> str:
    """`value` as it is, when it holds something, is valid UTF-8 and has at most `limit` bytes."""
    try:
        size = len(value.encode())
    except UnicodeEncodeError as error:
        raise InvalidInput(field, value[max(0, error.start - 10) : error.end + 10], "give valid UTF-8") from error
    if size > limit:
        raise InvalidInput(field, f"{size} bytes", f"give at most {limit} bytes; put what is longer into a file")
    if not value.strip():
        raise InvalidInput(field, value, "say something")
    return value


def title(field: str, value: str | None) -> str | None:
    """`value` on one line without control characters; None when nothing is left."""
    if value is None:
        return None
    flat = " ".join(_CONTROL.sub(" ", value.encode("utf-8", "replace").decode()).split())
    if len(flat) > LONGEST_TITLE:
        raise InvalidInput(field, flat, f"give at most {LONGEST_TITLE} characters")
    return flat or None


def path(field: str, value: str) -> Path:
    """An absolute path; `~` at its start is the owner's home."""
    if "\x00" in value or not value:
        raise InvalidInput(field, value, "give the path of a directory")
    text(field, value, 4096)
    try:
        given = Path(value).expanduser()
    except RuntimeError as error:
        raise InvalidInput(field, value, "give an absolute path") from error
    if not given.is_absolute():
        raise InvalidInput(field, value, "give an absolute path")
    return given


def revision(field: str, value: str | None) -> str | None:
    """A commit, tag or branch to start from; git itself says later whether it is there."""
    if value is None:
        return None
    if not _REVISION.match(value):
        raise InvalidInput(field, value, "give a branch, tag or commit")
    return value


def branch(field: str, value: str | None) -> str | None:
    """A name that git takes for a new branch."""
    if value is None:
        return None
    if not _REF.match(value):
        raise InvalidInput(field, value, "give a name that git accepts for a branch")
    return value


def choice(field: str, value: str, kind: type[Choice]) -> Choice:
    """A member of `kind` by its value."""
    try:
        return kind(value)
    except ValueError as error:
        raise InvalidInput(field, value, f"choose one of {', '.join(member.value for member in kind)}") from error


def money(field: str, value: str) -> NanoUSD:
    """US dollars as decimal text, in nano-dollars; more than nothing."""
    try:
        amount = Decimal(value.strip().removeprefix("$"))
    except InvalidOperation as error:
        raise InvalidInput(field, value, "give US dollars, such as 2 or 0.50") from error
    if not amount.is_finite() or not 0 < amount <= MOST_BUDGET:
        raise InvalidInput(field, value, f"give US dollars more than 0 and at most {MOST_BUDGET}")
    nano = int(amount * NANO)
    if nano == 0:
        raise InvalidInput(field, value, "give at least a billionth of a dollar")
    return NanoUSD(nano)


def count(field: str, value: int, most: int) -> int:
    """A whole number from 1 to `most`."""
    if not 1 <= value <= most:
        raise InvalidInput(field, value, f"give a whole number from 1 to {most}")
    return value


def duration(field: str, value: float, most: float = MOST_SECONDS) -> float:
    """Seconds, more than 0 and at most `most`."""
    if not 0 < value <= most:
        raise InvalidInput(field, value, f"give seconds, more than 0 and at most {most:.0f}")
    return float(value)


def goal(spec: GoalSpec, prompt_limit: int) -> Goal:
    """The goal that `spec` words, its limits and checks held to what can be carried out.

    Raises:
        InvalidInput: a part of it cannot be used.
    """
    if len(spec.checks) > MOST_CHECKS:
        raise InvalidInput("goal.checks", f"{len(spec.checks)} checks", f"give at most {MOST_CHECKS}")
    checks = []
    for number, (command, timeout) in enumerate(spec.checks):
        field = f"goal.checks[{number}]"
        if "\x00" in command:
            raise InvalidInput(f"{field}.command", command, "give a command without NUL")
        words = text(f"{field}.command", command, LONGEST_COMMAND)
        checks.append(Check(words) if timeout is None else Check(words, duration(f"{field}.timeout", timeout)))
    default = Limits()
    limits = Limits(
        turns=default.turns if spec.turns is None else count("goal.turns", spec.turns, MOST_TURNS),
        budget=None if spec.budget_usd is None else money("goal.budget_usd", spec.budget_usd),
        seconds=None if spec.seconds is None else duration("goal.seconds", spec.seconds),
    )
    return Goal(text("goal.text", spec.text, prompt_limit), tuple(checks), limits)
