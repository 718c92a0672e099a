from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator
from typing import Any

import httpx2
import pytest

from handrail.commands import sessions
from handrail.commands.actor import OWNER, Actor, person
from handrail.commands.desk import Desk
from handrail.identity import YOU
from handrail.kinds import Kind
from handrail.store import effects, prompts
from handrail.store import runs as run_rows
from handrail.store.log import Draft
from handrail.types import Role, RunId, SessionId, SessionState
from handrail.web import stream
from handrail.web.app import create_app
from handrail.web.pages import live
from handrail.web.pages.frame import frame
from handrail.web.pages.live import Live, Rails
from handrail.web.stream import Closing
from tests.commands.desks import ask, begin
from tests.web.conftest import BASE, TOKEN
from tests.web.pages.test_automation import WORKFLOW, a_run, effect, task
from tests.web.pages.test_routes import Page, page
from tests.web.test_roles import routes


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


async def test_a_list_is_told_of_rows_and_resumes_where_it_was(desk: Desk) -> None:
    closing = Closing()
    closing.tell()  # a stream ends after its first frame
    transport = httpx2.ASGITransport(create_app(desk, TOKEN, closing))
    async with httpx2.AsyncClient(transport=transport, base_url=BASE, headers={"accept": "text/html"}) as browser:
        browser.cookies.set("handrail", await desk.roll.sign_in(YOU))
        address = linked(Page(await browser.get("/runs")))
        assert "moved" not in (await browser.get(address)).text, "nothing came between the page and its stream"
        await a_run(desk, task())  # rows alone: no event of a session tells of them
        told = (await browser.get(address)).text
        assert told.count("event: moved") == 1
        assert "waiting</span>" in told, "the rail counts the run, which ended badly"
        (moment,) = re.findall("id: (.+)", told)
        again = {"last-event-id": moment}
        assert "moved" not in (await browser.get(address, headers=again)).text
        await say(desk, await begin(desk), "x")
        assert "moved" in (await browser.get(address, headers=again)).text


async def test_each_page_has_one_line_and_lists_look_again(
    desk: Desk, browser: httpx2.AsyncClient, client: httpx2.AsyncClient
) -> None:
    alice = await begin(desk)
    await ask(desk, alice)
    await a_run(desk, task())
    await desk.store.log.write(effects.propose(effect()))
    await client.post("/api/v1/workflows", json={"text": WORKFLOW})
    lists = ("inbox", "sessions", "spend", "runs", "workflows", "events", "rules", "agents", "admin")
    single = ("workflows/greet", "runs/r-one", "effects/f-waiting")
    for name in (*lists, *single):
        found = await page(browser, f"/{name}")
        assert linked(found).startswith("/live?after=")
        (part,) = [one for name, one in found.elements if one.get("id") == "list"]
        assert part["hx-get"] == f"/{name}"
    tab = await page(browser, f"/sessions/{alice}/timeline")
    assert linked(tab) == f"/sessions/{alice}/live?side=1&after=2"
    assert linked(await page(browser, f"/sessions/{alice}")) == f"/sessions/{alice}/live?first=0&after=2"
    assert linked(await page(browser, "/approvals/a-1/always")).startswith("/live?after=")


async def test_each_page_has_a_twin_in_json_with_the_same_facts(
    desk: Desk, browser: httpx2.AsyncClient, client: httpx2.AsyncClient
) -> None:
    alice = await begin(desk)
    asked = await ask(desk, alice)
    await desk.store.log.append(alice, [Draft(Kind.MODEL_CALLED, {"model": "opus", "seconds": 2.0}, 1)])
    await desk.store.log.write(prompts.insert("p-1", alice, "then lint", "you"))
    await client.post("/api/v1/workflows", json={"text": WORKFLOW})
    await a_run(desk, task(session=alice))
    await desk.store.log.write(run_rows.told(RunId("r-one"), "run.begun", {}))

    async def told(path: str) -> dict[str, Any]:
        answer = await browser.get(path)
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    assert (await told(f"/approvals/{asked}/always.json"))["always"]["rules"] == ["shell: allow rm -rf build"]
    assert (await told("/inbox.json"))["approvals"][0]["always"]["stands"]
    (bar,) = (await told(f"/sessions/{alice}/timeline.json"))["bars"]
    assert (bar["lane"], bar["label"], bar["seconds"], bar["turn"]) == ("model", "opus", 2.0, 1)
    session = await told(f"/sessions/{alice}.json")
    assert ([one["text"] for one in session["queue"]], session["run"]) == (["then lint"], "r-one")
    details = await told(f"/sessions/{alice}/details.json")
    assert (details["snapshots"], details["branched"], details["memory_lost"]) == ([], None, [])
    assert [one["kind"] for one in (await told("/runs/r-one.json"))["events"]] == ["run.begun"]
    listed = await told("/workflows.json")
    assert [run["number"] for run in listed["workflows"][0]["runs"]] == [1]
    assert "triage-issues" in [one["name"] for one in listed["gallery"]]
    shown = await told("/workflows/greet.json")
    assert ([one["number"] for one in shown["versions"]], shown["rehearsal"]) == ([1], None)
    assert {"budgets", "prices"} <= (await told("/spend.json")).keys()
    assert {"events", "sources", "polls"} <= (await told("/events.json")).keys()


def test_no_page_lacks_its_twin(desk: Desk) -> None:
    paths = {route.path for method, route in routes(create_app(desk, TOKEN, Closing())) if method == "GET"}
    pieces = {"/", "/live", "/sessions/{id}/live", "/sessions/{id}/older", "/sessions/{id}/raw", "/spend.csv"}
    others = {"/open", "/answer", "/health", "/openapi.json", "/static/{name:path}", "/patterns"}
    pages = {path for path in paths - pieces - others if not path.startswith("/api/") and not path.endswith(".json")}
    assert {f"{path}.json" for path in pages} <= paths
    assert len(pages) > 15


async def test_a_tab_alone_looks_again_after_what_it_missed(desk: Desk) -> None:
    alice = await begin(desk)
    page = Live(desk, Rails(desk), OWNER, "signature", alice, whole=False)
    await desk.store.log.append(alice, [Draft(Kind.AGENT_TEXT, {"text": "words"}), Draft(Kind.TURN_ENDED, {"turn": 1})])
    opening = await page.begin(0, 1, 3)
    subscription = await sessions.watch(desk, OWNER, alice, after=page.reached)
    frames = stream.frames(subscription, Closing(), encode=page.encode, first=opening)
    told = await until(frames, "event: moved")
    assert "id: 3\nevent: moved" in told
    assert "words" not in told


def linked(found: Page) -> str:
    """The address of a page's one stream."""
    (line,) = found.all("live-link")
    return str(line["hx-sse:connect"])


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
