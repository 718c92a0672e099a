from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from handrail.errors import Conflict, Forbidden, InvalidInput, NotFound
from handrail.identity import YOU
from handrail.identity.roll import LINK, MOST_BROWSERS, SIGNED_IN, Roll
from handrail.store import members
from handrail.store.engine import Store
from handrail.types import Role


class Clock:
    """A clock that a test sets."""

    def __init__(self) -> None:
        self.now = datetime(2026, 11, 1, tzinfo=UTC)

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def store(tmp_path: Path) -> AsyncIterator[Store]:
    async with await Store.open(tmp_path / "data" / "handrail.db") as opened:
        yield opened


async def test_a_link_lets_in_once_and_its_browser_survives_a_restart(store: Store, clock: Clock) -> None:
    roll = await Roll.open(store, clock)
    token = await roll.add("alice", Role.MEMBER, YOU)
    assert roll.invited(token).name == "alice"
    cookie = await roll.accept(token)
    for known in (roll, await Roll.open(store, clock)):
        assert known.who(cookie) == "alice"
        assert known.role("alice") is Role.MEMBER
        with pytest.raises(Forbidden, match="was used"):
            await known.accept(token)
    kept = f"{await members.everybody(store)} {await members.browsers(store)}"
    assert token not in kept
    assert cookie not in kept


async def test_what_another_server_did_is_known_when_the_roll_is_read_again(store: Store, clock: Clock) -> None:
    here, there = await Roll.open(store, clock), await Roll.open(store, clock)
    cookie = await here.accept(await here.add("alice", Role.MEMBER, YOU))
    assert there.who(cookie) is None
    await there.again()
    assert there.who(cookie) == "alice"
    reading = asyncio.create_task(here.again())
    mine = await here.sign_in(YOU)  # while it is read
    await reading
    await there.remove("alice")
    assert (here.who(mine), here.who(cookie)) == (YOU, "alice")
    await here.again()
    assert (here.who(mine), here.who(cookie), here.role("alice")) == (YOU, None, None)


async def test_time_ends_links_and_browsers(store: Store, clock: Clock) -> None:
    roll = await Roll.open(store, clock)
    token, cookie = await roll.add("alice", Role.OWNER, YOU), await roll.sign_in(YOU)
    clock.now += LINK
    with pytest.raises(Forbidden, match="too old"):
        await roll.accept(token)
    assert roll.who(cookie) == YOU
    clock.now += SIGNED_IN
    assert roll.who(cookie) is None
    assert (await Roll.open(store, clock)).who(cookie) is None


async def test_who_is_removed_is_out_at_once_and_can_be_added_again(store: Store, clock: Clock) -> None:
    roll = await Roll.open(store, clock)
    token = await roll.add("alice", Role.MEMBER, YOU)
    cookie = await roll.sign_in("alice")
    await roll.remove("alice")
    for known in (roll, await Roll.open(store, clock)):
        assert known.who(cookie) is None
        assert known.everybody() == []
        with pytest.raises(Forbidden):
            known.invited(token)
        with pytest.raises(Forbidden):
            await known.sign_in("alice")
        with pytest.raises(NotFound):
            await known.invite("alice")
    await roll.add("alice", Role.OWNER, YOU)
    assert roll.who(cookie) is None


async def test_a_new_link_takes_the_place_of_the_old(store: Store, clock: Clock) -> None:
    roll = await Roll.open(store, clock)
    old = await roll.add("alice", Role.MEMBER, YOU)
    new = await roll.invite("alice")
    with pytest.raises(Forbidden):
        await roll.accept(old)
    assert roll.who(await roll.accept(new)) == "alice"


async def test_signing_out_and_the_most_browsers(store: Store, clock: Clock) -> None:
    roll = await Roll.open(store, clock)
    cookies = []
    for _ in range(MOST_BROWSERS + 1):
        cookies.append(await roll.sign_in(YOU))
        clock.now += timedelta(seconds=1)
    assert [roll.who(cookie) for cookie in cookies] == [None, *[YOU] * MOST_BROWSERS]
    await roll.sign_out(cookies[-1])
    await roll.sign_out("never seen")
    assert roll.who(cookies[-1]) is None
    assert len(set(cookies)) == len(cookies)


async def test_last_seen_is_kept_to_the_minute(store: Store, clock: Clock) -> None:
    roll = await Roll.open(store, clock)
    await roll.add("alice", Role.MEMBER, YOU)
    await roll.note("alice")
    await roll.note(YOU)
    first = clock.now
    clock.now += timedelta(seconds=30)
    await roll.note("alice")
    assert [row.seen for row in roll.everybody()] == [first]
    assert [row.seen for row in (await Roll.open(store, clock)).everybody()] == [first]


@pytest.mark.parametrize("name", ["", "you", "nobody", "Alice", "a b", "a" * 41, "é", "1a", "policy", "../x"])
async def test_names_that_mean_something_else(store: Store, name: str) -> None:
    with pytest.raises(InvalidInput, match="name"):
        await (await Roll.open(store)).add(name, Role.MEMBER, YOU)


async def test_nobody_is_added_twice(store: Store) -> None:
    roll = await Roll.open(store)
    await roll.add("alice", Role.MEMBER, YOU)
    with pytest.raises(Conflict, match="members link alice"):
        await roll.add("alice", Role.OWNER, YOU)
