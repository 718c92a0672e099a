"""How values are written in a workflow file: durations, money, shares. Each refusal says what to write instead."""

from __future__ import annotations

import re
from decimal import Decimal, InvalidOperation
from typing import Annotated

from pydantic import BeforeValidator, Field

_DURATION = re.compile(r"(?:(\d{1,4})d)?(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9}(?:\.\d{1,3})?)s?)?")
_UNITS = (86_400.0, 3600.0, 60.0, 1.0)
LONGEST = 366 * 86_400.0
"""seconds of the longest duration"""


def seconds(value: object) -> object:
    """`30m`, `1h30m`, `2d` or a number of seconds, as seconds."""
    if value is None:
        return None
    match = _DURATION.fullmatch(str(value).replace(" ", ""))
    if isinstance(value, bool) or match is None or not any(match.groups()):
        raise ValueError("give a time, such as 90s, 30m, 1h30m or 2d")
    total = sum(float(part or 0) * unit for part, unit in zip(match.groups(), _UNITS, strict=True))
    if not 0 < total <= LONGEST:
        raise ValueError("give a time above nothing and up to 366d")
    return total


def nano(value: object) -> object:
    """US dollars as nano-dollars."""
    if value is None:
        return None
    try:
        amount = Decimal(str(value).strip().removeprefix("$"))
    except InvalidOperation as error:
        raise ValueError("give US dollars, such as 2 or 0.50") from error
    if isinstance(value, bool) or not amount.is_finite() or not 0 < amount <= 1_000_000:
        raise ValueError("give US dollars above 0, at most 1000000")
    return max(1, int(amount * 1_000_000_000))


def share(value: object) -> object:
    """`30%` or `0.3`, as a number from 0 to 1."""
    if value is None:
        return None
    text = str(value).strip()
    try:
        number = float(text.removesuffix("%")) / (100 if text.endswith("%") else 1)
    except ValueError as error:
        raise ValueError("give a share, such as 30% or 0.3") from error
    if not 0 <= number <= 1:
        raise ValueError("give a share from 0% to 100%")
    return number


def words(value: object) -> object:
    """One text where a list of texts may stand."""
    return [value] if isinstance(value, str) else value


Duration = Annotated[float, BeforeValidator(seconds, json_schema_input_type=str | float)]
Money = Annotated[int, BeforeValidator(nano, json_schema_input_type=str | float)]
Share = Annotated[float, BeforeValidator(share, json_schema_input_type=str | float)]
Text = Annotated[str, Field(min_length=1, max_length=60_000)]
Line = Annotated[str, Field(min_length=1, max_length=300, pattern=r"^[^\r\n]*$")]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,62}$")]
Branch = Annotated[str, Field(min_length=1, max_length=250)]
