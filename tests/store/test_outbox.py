from __future__ import annotations

from datetime import timedelta

import pytest

from handrail.errors import Conflict
from handrail.store import outbox
from handrail.store.engine import Store
from handrail.store.tables import Delivery
from handrail.types import ApprovalId, now


async def test_a_channel_is_told_a_thing_once(alice: Store) -> None:
    at = now()
    for channel in ("mail", "mail", "slack"):
        await alice.log.write(outbox.put("approval:a-1", channel, {"title": "rm"}, created=at, due=at))
    rows = await outbox.due(alice, at)
    assert [(row.channel, row.state, row.tries, row.notice) for row in rows] == [
        ("mail", Delivery.PENDING, 0, {"title": "rm"}),
        ("slack", Delivery.PENDING, 0, {"title": "rm"}),
    ]


async def test_what_failed_comes_back_later_and_what_ended_does_not(alice: Store) -> None:
    at = now()
    for number in range(4):
        await alice.log.write(outbox.put(f"key {number}", "mail", {}, created=at, due=at))
    one, two, three, four = await outbox.due(alice, at)
    later = at + timedelta(seconds=30)
    await alice.log.write(
        outbox.failed(one, "no answer", later),
        outbox.sent(two, at),
        outbox.given_up(three, "wrong password", at),
        outbox.moot(four, at),
    )
    assert await outbox.due(alice, at) == []
    assert await outbox.next_due(alice) == later
    (again,) = await outbox.due(alice, later)
    assert (again.id, again.tries, again.error) == (one.id, 1, "no answer")
    states = {row.key: (row.state, row.error) for row in await outbox.newest(alice)}
    assert states == {
        "key 0": (Delivery.PENDING, "no answer"),
        "key 1": (Delivery.SENT, None),
        "key 2": (Delivery.DEAD, "wrong password"),
        "key 3": (Delivery.MOOT, None),
    }
    await alice.log.write(outbox.forget(at + timedelta(seconds=1)))
    assert [row.key for row in await outbox.newest(alice)] == ["key 0"]


async def test_a_row_that_ended_is_not_changed_by_a_late_worker(alice: Store) -> None:
    at = now()
    await alice.log.write(outbox.put("key", "mail", {}, created=at, due=at))
    (row,) = await outbox.due(alice, at)
    await alice.log.write(outbox.sent(row, at))
    await alice.log.write(outbox.failed(row, "late", at))
    (kept,) = await outbox.newest(alice)
    assert (kept.state, kept.due, kept.error) == (Delivery.SENT, None, None)
    assert await outbox.next_due(alice) is None


async def test_a_link_is_used_once(alice: Store) -> None:
    await alice.log.write(outbox.spend("n-1", ApprovalId("a-1"), now()))
    with pytest.raises(Conflict):
        await alice.log.write(outbox.spend("n-1", ApprovalId("a-1"), now()))


async def test_what_a_clock_wrote_that_was_set_back_since_is_sent_now(alice: Store) -> None:
    late = now() + timedelta(days=400)
    await alice.log.write(outbox.put("k", "mail", {}, created=late, due=late))
    (row,) = await outbox.due(alice, now())
    again = now() + timedelta(minutes=1)
    await alice.log.write(outbox.failed(row, "no", again))
    assert await outbox.due(alice, now()) == []
    assert len(await outbox.due(alice, again)) == 1
