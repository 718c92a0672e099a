from __future__ import annotations

import asyncio
from datetime import timedelta

import pytest
from msgspec.structs import replace

from handrail.automation import ArrivalState
from handrail.errors import Conflict, InvalidInput, NotFound
from handrail.store import arrivals
from handrail.store.arrivals import ArrivalRow, SourceRow
from handrail.store.engine import Store
from handrail.types import ArrivalId, now

DAY = timedelta(days=1)


def made(name: str, *, delivery: str | None = None, meaning: str = "comment:7", source: str = "github") -> ArrivalRow:
    return ArrivalRow(
        id=ArrivalId(name), source=source, delivery=delivery or name, meaning=meaning, event="issue_comment",
        action="created", sender="alice", repository="acme/app", payload={"a": 1}, received=now(),
    )  # fmt: skip


async def test_five_deliveries_at_one_moment_are_one(store: Store) -> None:
    """user-needs.md section 6, incident 3."""

    async def put(number: int) -> bool:
        try:
            await store.log.write(guard=arrivals.put(made(f"e-{number}", delivery="same"), DAY))
        except Conflict:
            return False
        return True

    assert sorted(await asyncio.gather(*map(put, range(5)))) == [False] * 4 + [True]
    assert len(await arrivals.newest(store)) == 1


async def test_two_deliveries_of_one_thing_are_kept_and_one_counts(store: Store) -> None:
    await asyncio.gather(*(store.log.write(guard=arrivals.put(made(f"e-{number}"), DAY)) for number in range(3)))
    kept = await arrivals.newest(store)
    assert sorted(row.state for row in kept) == [ArrivalState.IGNORED, ArrivalState.IGNORED, ArrivalState.STORED]
    counts = next(row for row in kept if row.state is ArrivalState.STORED)
    assert {row.reason for row in kept} == {None, f"it tells of the same thing as {counts.id}"}
    assert [row.id for row in await arrivals.waiting(store)] == [counts.id]


async def test_the_same_thing_counts_again_after_its_window_and_at_another_source(store: Store) -> None:
    old = replace(made("e-1"), received=now() - timedelta(days=2))
    for row in (old, made("e-2"), made("e-3", source="gitlab"), made("e-4", meaning="comment:8")):
        await store.log.write(guard=arrivals.put(row, DAY))
    assert {row.state for row in await arrivals.newest(store)} == {ArrivalState.STORED}


async def test_what_is_ours_stays_ignored_and_shadows_nothing(store: Store) -> None:
    own = replace(made("e-1"), state=ArrivalState.IGNORED, reason="an act of our own")
    await store.log.write(guard=arrivals.put(own, DAY))
    await store.log.write(guard=arrivals.put(made("e-2"), DAY))
    assert (await arrivals.get(store, ArrivalId("e-1"))).reason == "an act of our own"
    assert (await arrivals.get(store, ArrivalId("e-2"))).state is ArrivalState.STORED


async def test_an_event_is_settled_once(store: Store) -> None:
    await store.log.write(guard=arrivals.put(made("e-1"), DAY))
    await store.log.write(guard=arrivals.settle(ArrivalId("e-1"), ArrivalState.WORKED, "started r-1"))
    with pytest.raises(Conflict):
        await store.log.write(guard=arrivals.settle(ArrivalId("e-1"), ArrivalState.WORKED, "again"))


async def test_an_event_is_found_by_a_unique_beginning(store: Store) -> None:
    with pytest.raises(NotFound):
        await arrivals.find(store, "last")
    for name in ("e-12", "e-13"):
        await store.log.write(guard=arrivals.put(made(name), DAY))
    assert (await arrivals.find(store, "last")).id == "e-13"
    assert (await arrivals.find(store, "e-12")).id == "e-12"
    with pytest.raises(InvalidInput, match="several"):
        await arrivals.find(store, "e-1")
    with pytest.raises(NotFound):
        await arrivals.find(store, "x")


async def test_only_what_is_settled_is_forgotten(store: Store) -> None:
    old = now() - timedelta(days=90)
    for row in (made("e-1"), made("e-2", meaning="other"), replace(made("e-3", meaning="third"), received=now())):
        await store.log.write(
            guard=arrivals.put(replace(row, received=min(row.received, old) if row.id != "e-3" else row.received), DAY)
        )
    await store.log.write(guard=arrivals.settle(ArrivalId("e-1"), ArrivalState.WORKED, ""))
    await store.log.write(arrivals.forget(now() - timedelta(days=30)))
    assert {row.id for row in await arrivals.newest(store)} == {"e-2", "e-3"}


async def test_sources_are_kept_replaced_and_forgotten(store: Store) -> None:
    row = SourceRow("github", "github", {"account": None}, b"sealed", now())
    await arrivals.put_source(store, row)
    await arrivals.put_source(store, replace(row, kind="gitea"))
    assert [kept.kind for kept in await arrivals.all_sources(store)] == ["gitea"]
    assert "sealed" not in repr(await arrivals.source(store, "github"))
    await store.log.write(guard=arrivals.remove_source("github"))
    assert await arrivals.source(store, "github") is None
