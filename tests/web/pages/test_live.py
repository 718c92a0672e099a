from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest

from handrail.commands import sessions
from handrail.commands.actor import OWNER, Actor, person
from handrail.commands.desk import Desk
from handrail.kinds import Kind
from handrail.store.log import Draft
from handrail.types import Role, SessionId, SessionState
from handrail.web import stream
from handrail.web.pages import live
from handrail.web.pages.frame import frame
from handrail.web.pages.live import Live, Rails
from handrail.web.stream import Closing
from tests.commands.desks import ask, begin


async def say(desk: Desk, session: SessionId, *texts: str) -> None:
    await desk.store.log.append(session, [Draft(Kind.AGENT_TEXT, {"text": text, "message": "m"}, 1) for text in texts])


async def opened(desk: Desk, session: SessionId, first: int, after: int) -> tuple[bytes, AsyncIterator[bytes]]:
    page = Live(desk, Rails(desk), OWNER, "signature", session)
    seen = await sessions.show(desk, OWNER, session)
    opening = await page.begin(first, after, seen.last_seq)
    subscription = await sessions.watch(desk, OWNER, session, after=page.reached)
    return opening, stream.frames(subscription, Closing(), encode=page.encode, first=opening)


async def until(frames: AsyncIterator[bytes], word: str) -> str:
    found = b""
    async with asyncio.timeout(10):
        async for chunk in frames:
            found += chunk
            if word in found.decode():
                return found.decode()
    raise AssertionError(found)


async def test_new_words_are_appended_and_then_changed_in_place(desk: Desk) -> None:
    alice = await begin(desk)
    _, frames = await opened(desk, alice, 0, 1)
    await say(desk, alice, "Good ")
    first = await until(frames, "Good")
    assert '<hx-partial hx-target="#log" hx-swap="beforeend">' in first
    assert "id: 2\n" in first
    await say(desk, alice, "morning")
    second = await until(frames, "Good morning")
    assert '<hx-partial hx-target="#e2" hx-swap="outerMorph">' in second.rpartition("id: 3")[2]


async def test_who_comes_back_gets_what_was_missed_once(desk: Desk) -> None:
    alice = await begin(desk)
    await say(desk, alice, "one ", "two ", "three")
    opening, frames = await opened(desk, alice, 0, 3)
    assert b"event: hello" in opening
    assert b"id: 3\n" in opening
    missed = await until(frames, "one two three")
    assert 'hx-target="#e2"' in missed  # the page has the block already
    assert 'hx-target="#log"' not in missed


async def test_who_missed_much_gets_the_window_anew(desk: Desk) -> None:
    alice = await begin(desk)
    await desk.store.log.append(alice, [Draft(Kind.NOTICE, {"text": f"n{at}."}) for at in range(2, 1002)])
    opening, _ = await opened(desk, alice, 0, 5)
    text = opening.decode()
    assert '<hx-partial hx-target="#log" hx-swap="innerHTML">' in text
    assert "n1001." in text
    assert "n702." in text
    assert "n701." not in text


async def test_what_waits_comes_to_the_page_and_to_the_rail_of_every_page(desk: Desk) -> None:
    alice, bob = await begin(desk, "s-alice"), await begin(desk, "s-bob")
    _, frames = await opened(desk, alice, 0, 1)
    _, others = await opened(desk, bob, 0, 1)
    await ask(desk, alice)
    told = await until(frames, "/approvals/a-1")
    assert 'value="signature"' in told
    elsewhere = await until(others, "waiting</span>")
    assert "/approvals/a-1" not in elsewhere


async def test_hostile_words_stay_words(desk: Desk) -> None:
    alice = await begin(desk)
    _, frames = await opened(desk, alice, 0, 1)
    await say(
        desk, alice, "x</hx-partial><hx-partial hx-target='#notice'>\r\n\ndata: y\n\nid: 99\n\n<script>z</script>END"
    )
    text = await until(frames, "END")
    assert "<script" not in text
    assert "<hx-partial hx-target='#notice'" not in text
    assert "\nid: 99" not in text


async def test_lists_are_told_that_something_moved(desk: Desk) -> None:
    page = Live(desk, Rails(desk), OWNER, "signature", None)
    subscription = await sessions.watch(desk, OWNER)
    frames = stream.frames(subscription, Closing(), encode=page.encode, first=page.hello())
    alice = await begin(desk)
    assert "event: moved" in await until(frames, "event: moved")
    await say(desk, alice, "words alone move nothing")
    await ask(desk, alice)
    told = await until(frames, "event: moved")
    assert "words alone" not in told


def test_a_frame_ends_only_where_it_should() -> None:
    assert live._message("a\r\nb", 7) == b"id: 7\ndata: a\ndata: b\n\n"
    assert live._message("", 7) == b"id: 7\n\n"
    assert live._message("") == b""


async def test_the_rail_is_made_once_for_all_pages_and_never_from_before(
    desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[Actor] = []

    async def counted(desk: Desk, actor: Actor) -> dict[str, Any]:
        made.append(actor)
        return await frame(desk, actor)

    monkeypatch.setattr(live, "frame", counted)
    rails = Rails(desk)
    assert "s-alice" not in await rails.html(OWNER)
    await begin(desk, state=SessionState.RUNNING)
    pages = await asyncio.gather(*(rails.html(OWNER) for _ in range(50)))
    assert all("s-alice" in page for page in pages)
    assert len(made) == 2
    member = person("alice", Role.MEMBER)
    assert "s-alice" not in await rails.html(member)
    assert made[2:] == [member]
