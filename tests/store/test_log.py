from __future__ import annotations

import asyncio
import os
import random
import signal
import sys
import time
from pathlib import Path

import pytest

from handrail.errors import Conflict, InvalidInput, NotFound, Unavailable
from handrail.kinds import Kind
from handrail.store import prompts, sessions
from handrail.store.engine import Store
from handrail.store.log import COMPANY, Draft
from handrail.types import Event, SessionId
from tests.store.making import ALICE, BOB, begin, said, session_row


async def test_events_are_numbered_from_one_and_read_back_as_they_were(alice: Store) -> None:
    made = await alice.log.append(ALICE, [said("one", 1), Draft(Kind.NOTICE, {"level": "info", "deep": [{"a": None}]})])
    assert [event.seq for event in made] == [1, 2]
    assert await alice.log.read(ALICE) == made
    assert await alice.log.read(ALICE, after=1) == made[1:]
    assert await alice.log.read(ALICE, limit=1) == made[:1]


async def test_a_session_and_its_first_event_are_one_transaction(store: Store) -> None:
    await store.log.append(ALICE, [said("hello")], sessions.insert(session_row("alice", 1)))
    assert await store.log.last_seq(ALICE) == 1
    with pytest.raises(Conflict):
        await store.log.append(BOB, [said("hello")], sessions.insert(session_row("bob", 1)))
    assert await store.log.read(BOB) == []


async def test_an_unknown_session_is_said(store: Store) -> None:
    with pytest.raises(NotFound):
        await store.log.append(ALICE, [said("hello")])


async def test_fifty_writers_share_commits_and_leave_no_gap(store: Store) -> None:
    names = [await begin(store, f"s{number}") for number in range(50)]

    async def write(name: SessionId) -> None:
        for number in range(40):
            await store.log.append(name, [said(str(number)), said("more")])

    started = time.perf_counter()
    await asyncio.gather(*map(write, names))
    rate = 50 * 80 / (time.perf_counter() - started)
    for name in names:
        events = await store.log.read(name)
        assert [event.seq for event in events] == list(range(1, 81))
        assert [event.data["text"] for event in events[::2]] == [str(number) for number in range(40)]
    assert rate > 1000


async def test_what_is_in_no_hurry_goes_with_the_next_that_is(alice: Store) -> None:
    slow = asyncio.create_task(alice.log.append(ALICE, [said("one")], hurry=False))
    await asyncio.sleep(0)
    await asyncio.sleep(COMPANY / 10)
    assert not slow.done()
    made = await alice.log.append(ALICE, [said("two")])
    assert [event.seq for event in (*await slow, *made)] == [1, 2]


async def test_what_is_in_no_hurry_goes_alone_in_the_end(alice: Store) -> None:
    for number in (1, 2):
        async with asyncio.timeout(5):
            assert [event.seq for event in await alice.log.append(ALICE, [said("x")], hurry=False)] == [number]
    waiting = asyncio.create_task(alice.log.append(ALICE, [said("x")], hurry=False))
    await asyncio.sleep(0)
    alice.log.hurry()
    await waiting
    last = asyncio.create_task(alice.log.append(ALICE, [said("x")], hurry=False))
    await asyncio.sleep(0)
    await alice.log.close()
    assert [event.seq for event in await last] == [4]


async def test_only_the_caller_at_fault_hears_of_it(alice: Store) -> None:
    double = prompts.insert("p-1", ALICE, "twice", "you")
    await alice.log.append(ALICE, [], double)
    results = await asyncio.gather(
        alice.log.append(ALICE, [said("before")]),
        alice.log.append(ALICE, [said("never")], double),
        alice.log.append(BOB, [said("no such session")]),
        alice.log.append(ALICE, [said("never")], prompts.insert("p-2", ALICE, "lone \udc80 surrogate", "you")),
        alice.log.append(ALICE, [said("after")]),
        return_exceptions=True,
    )
    kinds = [type(result) for result in results]
    assert kinds == [list, Conflict, NotFound, InvalidInput, list]
    assert [event.data["text"] for event in await alice.log.read(ALICE)] == ["before", "after"]
    assert [event.seq for event in await alice.log.read(ALICE)] == [1, 2]


async def test_a_guard_that_finds_nothing_stops_its_own_append_only(alice: Store) -> None:
    await alice.log.append(ALICE, [], prompts.insert("p-1", ALICE, "do it", "you"))
    results = await asyncio.gather(
        alice.log.append(ALICE, [said("won")], guard=prompts.withdraw(ALICE, "p-1")),
        alice.log.append(ALICE, [said("lost")], guard=prompts.withdraw(ALICE, "p-1")),
        alice.log.append(ALICE, [said("other")]),
        return_exceptions=True,
    )
    assert [type(result) for result in results] == [list, Conflict, list]
    assert [event.data["text"] for event in await alice.log.read(ALICE)] == ["won", "other"]


async def test_another_process_that_wrote_first_costs_no_event(alice: Store, place: Path | str) -> None:
    await alice.log.append(ALICE, [said("one")])
    async with await Store.open(place) as other:
        await other.log.append(ALICE, [said("two")])
    made = await alice.log.append(ALICE, [said("three")])
    assert [event.seq for event in made] == [3]


async def test_text_that_no_reader_could_decode_is_mended_and_shown_as_kept(alice: Store) -> None:
    made = await alice.log.append(ALICE, [said("a\udc80b\x00 \ud83d\ude00")])
    assert made[0].data == {"text": "a\ufffdb\x00 \U0001f600"}
    assert await alice.log.read(ALICE) == made


async def test_a_number_that_json_cannot_hold_is_refused(alice: Store) -> None:
    with pytest.raises(InvalidInput):
        await alice.log.append(ALICE, [Draft(Kind.NOTICE, {"used": float("nan")})])


async def test_a_caller_that_is_cancelled_leaves_a_whole_append(alice: Store) -> None:
    task = asyncio.create_task(alice.log.append(ALICE, [said("one"), said("two")]))
    await asyncio.sleep(0)
    task.cancel()
    await asyncio.gather(task, return_exceptions=True)
    await alice.log.flush()
    assert [event.seq for event in await alice.log.read(ALICE)] == [1, 2]


async def test_close_writes_what_is_queued_and_then_refuses(store: Store) -> None:
    await begin(store, "alice")
    writes = [asyncio.create_task(store.log.append(ALICE, [said(str(number))])) for number in range(20)]
    await asyncio.sleep(0)
    await store.close()
    assert [event.seq for made in await asyncio.gather(*writes) for event in made] == list(range(1, 21))
    with pytest.raises(Unavailable):
        await store.log.append(ALICE, [said("late")])
    with pytest.raises(Unavailable):
        await store.log.read(ALICE)


async def test_the_last_number_of_a_session(store: Store) -> None:
    await begin(store, "alice")
    await begin(store, "bob")
    await store.log.append(ALICE, [said("one"), said("two")])
    found = await sessions.newest_standing(store, None, 10, None)
    assert {one.row.id: one.last_seq for one in found} == {ALICE: 2, BOB: 0}


WRITER = """
import asyncio, sys
from pathlib import Path
from handrail.store.engine import Store
from tests.store.making import begin, said

async def write(store, name):
    number = 0
    while True:
        made = await store.log.append(name, [said(f"{number}"), said(f"{number}")])
        print(name, made[-1].seq, flush=True)
        number += 1

async def main():
    store = await Store.open(Path(sys.argv[1]))
    names = [await begin(store, f"{sys.argv[2]}-{number}") for number in range(5)]
    await asyncio.gather(*(write(store, name) for name in names))

asyncio.run(main())
"""


async def test_kill_9_takes_no_event_that_was_acknowledged(tmp_path: Path) -> None:
    path = tmp_path / "handrail.db"
    shown: dict[SessionId, int] = {}
    for run in range(6):
        child = await asyncio.create_subprocess_exec(
            sys.executable, "-c", WRITER, str(path), f"run{run}", stdout=asyncio.subprocess.PIPE
        )
        assert child.stdout is not None
        await child.stdout.readline()
        await asyncio.sleep(random.uniform(0.0, 0.15))  # noqa: S311
        os.kill(child.pid, signal.SIGKILL)
        for line in (await child.stdout.read()).decode().splitlines():
            name, _, seq = line.partition(" ")
            if seq.isdigit():
                shown[SessionId(name)] = int(seq)
        await child.wait()
    assert shown
    async with await Store.open(path) as store:
        for name, last in shown.items():
            events = await store.log.read(name, limit=100_000)
            assert [event.seq for event in events] == list(range(1, len(events) + 1))
            assert len(events) >= last
            assert len(events) % 2 == 0  # both events of an append, or neither
            assert_pairs(events)


def assert_pairs(events: list[Event]) -> None:
    assert [event.data["text"] for event in events[::2]] == [event.data["text"] for event in events[1::2]]
