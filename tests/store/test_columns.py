from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest

from handrail.errors import InvalidInput
from handrail.store import sessions
from handrail.store.columns import dumps, encode, goal_json
from handrail.store.engine import Store
from handrail.types import Check, Goal, Limits, NanoUSD
from tests.store.making import ALICE


async def test_times_come_back_aware_and_in_utc(alice: Store) -> None:
    east = datetime(2026, 3, 29, 2, 30, 0, 123456, tzinfo=timezone(timedelta(hours=5)))
    await alice.log.write(sessions.update(ALICE, goal_set=east))
    kept = (await sessions.get(alice, ALICE)).goal_set
    assert kept == east
    assert kept is not None
    assert kept.tzinfo is UTC


async def test_a_time_without_a_zone_is_refused(alice: Store) -> None:
    with pytest.raises(InvalidInput, match="zone"):
        await alice.log.write(sessions.update(ALICE, goal_set=datetime(2026, 1, 1)))  # noqa: DTZ001


async def test_a_word_that_is_not_in_the_enum_is_refused(alice: Store) -> None:
    with pytest.raises(ValueError, match="sideways"):
        await alice.log.write(sessions.update(ALICE, control="sideways"))  # type: ignore[arg-type]


async def test_goals_come_back_as_they_were(alice: Store) -> None:
    goal = Goal("mend it", (Check("pytest -q"), Check("ruff check", 5.0)), Limits(None, NanoUSD(2 * 10**18), 1.5))
    await alice.log.write(sessions.update(ALICE, goal=goal))
    assert (await sessions.get(alice, ALICE)).goal == goal
    await alice.log.write(sessions.update(ALICE, goal=None))
    assert (await sessions.get(alice, ALICE)).goal is None
    assert goal_json(goal)["checks"] == [
        {"command": "pytest -q", "timeout": 900.0},
        {"command": "ruff check", "timeout": 5.0},
    ]


def test_json_is_encoded_once_and_always_decodable() -> None:
    text, clean = encode({"a": "ü"})
    assert (text, clean) == ('{"a":"ü"}', None)
    assert dumps(text) is text
    assert dumps([1, "\udfff"]) == '[1,"\ufffd"]'
    assert dumps("text") == '"text"'
    with pytest.raises(TypeError):
        encode({"a": object()})
