from __future__ import annotations

import asyncio
from pathlib import Path

from handrail.kinds import Kind
from handrail.store.engine import Store
from handrail.store.log import Draft
from handrail.store.subscription import LIVE, PAGE, Subscription
from handrail.types import Event
from tests.store.making import ALICE, BOB, begin, said


async def take(subscription: Subscription, count: int) -> list[Event]:
    events: list[Event] = []
    async with asyncio.timeout(20):
        async for event in subscription:
            events.append(event)
            if len(events) == count:
                break
    return events


async def test_it_catches_up_and_goes_on_live(alice: Store) -> None:
    await alice.log.append(ALICE, [said(str(number)) for number in range(PAGE * 2 + 3)])
    async with alice.log.subscribe(ALICE, after=5) as subscription:
        old = await take(subscription, PAGE * 2 - 2)
        await alice.log.append(ALICE, [said("new")])
        (new,) = await take(subscription, 1)
    assert [event.seq for event in old] == list(range(6, PAGE * 2 + 4))
    assert new.data == {"text": "new"}
    assert alice.log._followers == {}


async def test_no_gap_and_no_duplicate_while_others_write(alice: Store) -> None:
    total = 3000

    async def write() -> None:
        for start in range(0, total, 5):
            await alice.log.append(ALICE, [said(str(start + number)) for number in range(5)])
            if start % 100 == 0:
                await asyncio.sleep(0)

    async def follow(after: int) -> list[int]:
        await asyncio.sleep(after / 10_000)
        async with alice.log.subscribe(ALICE, after) as subscription:
            return [event.seq for event in await take(subscription, total - after)]

    _, *followed = await asyncio.gather(write(), *(follow(after) for after in (0, 1, 100, 333, 900)))
    for after, seqs in zip((0, 1, 100, 333, 900), followed, strict=True):
        assert seqs == list(range(after + 1, total + 1))


async def test_a_slow_reader_holds_nobody_up_and_misses_nothing(alice: Store) -> None:
    async with alice.log.subscribe(ALICE) as slow, alice.log.subscribe() as everything:
        assert (await asyncio.wait_for(alice.log.append(ALICE, [said("0")]), 5))[0].seq == 1
        assert (await take(slow, 1))[0].seq == 1
        for start in range(0, LIVE * 3, 100):
            await alice.log.append(ALICE, [said(str(start + number)) for number in range(100)])
        assert len(slow._live) <= LIVE
        last = await alice.log.last_seq(ALICE)
        assert [event.seq for event in await take(slow, last - 1)] == list(range(2, last + 1))
        assert [event.seq for event in await take(everything, last)] == list(range(1, last + 1))


async def test_following_every_session_begins_now(alice: Store) -> None:
    await begin(alice, "bob")
    await alice.log.append(ALICE, [said("old")])
    async with alice.log.subscribe() as subscription:
        await alice.log.append(ALICE, [said("new")])
        await alice.log.append(BOB, [said("first")])
        events = await take(subscription, 2)
    assert [(event.session, event.seq) for event in events] == [(ALICE, 2), (BOB, 1)]
    async with alice.log.subscribe(ALICE, 2, others=True, unless={Kind.AGENT_TEXT}) as subscription:
        await alice.log.append(BOB, [said("left out"), Draft(Kind.NOTICE, {})])
        await alice.log.append(BOB, [said("left out")])
        await alice.log.append(BOB, [Draft(Kind.NOTICE, {})])
        await alice.log.append(ALICE, [said("its own")])
        events = await take(subscription, 3)
    assert [(event.session, event.seq) for event in events] == [(BOB, 3), (BOB, 5), (ALICE, 3)]


async def test_what_another_process_wrote_is_read_from_the_table(alice: Store, place: Path | str) -> None:
    async with alice.log.subscribe(ALICE) as subscription:
        await alice.log.append(ALICE, [said("one")])
        await take(subscription, 1)
        async with await Store.open(place) as other:
            await other.log.append(ALICE, [said("two")])
        await alice.log.append(ALICE, [said("three")])
        assert [event.seq for event in await take(subscription, 2)] == [2, 3]


async def test_closing_the_store_ends_it(store: Store) -> None:
    await begin(store, "alice")
    subscription = store.log.subscribe(ALICE)
    reading = asyncio.create_task(anext(subscription, None))
    await asyncio.sleep(0.05)
    await store.close()
    assert await asyncio.wait_for(reading, 5) is None


async def test_batches_hold_at_least_one(alice: Store) -> None:
    async with alice.log.subscribe(ALICE) as subscription:
        waiting = asyncio.create_task(subscription.batch())
        await asyncio.sleep(0.05)
        assert not waiting.done()
        await alice.log.append(ALICE, [said("one"), said("two")])
        assert [event.seq for event in await asyncio.wait_for(waiting, 5)] == [1, 2]
