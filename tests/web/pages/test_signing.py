from __future__ import annotations

import asyncio

import httpx2

from handrail.commands.actor import OWNER
from handrail.commands.desk import Desk
from handrail.identity import YOU
from handrail.kinds import Kind
from handrail.store.log import Draft
from handrail.types import Role
from handrail.web.guard import Guard, Keys
from tests.commands.desks import begin
from tests.web.conftest import BASE, TOKEN

PAGE = {"accept": "text/html", "origin": BASE}


async def test_a_members_link_shows_a_page_and_its_button_lets_in_once(
    desk: Desk, stranger: httpx2.AsyncClient
) -> None:
    token = await desk.roll.add("alice", Role.MEMBER, YOU)
    for _ in range(2):  # a mail scanner follows it
        shown = await stranger.get("/open", params={"token": token}, headers=PAGE)
        assert "Come in, alice" in shown.text
        assert "set-cookie" not in shown.headers
    assert (await stranger.post("/open", data={"token": token})).status_code == 403, "no origin"
    away = await stranger.post("/open", data={"token": token}, headers={"origin": "http://evil.example"})
    assert away.status_code == 403
    come = await stranger.post("/open", data={"token": token}, headers=PAGE)
    assert (come.status_code, come.headers["location"]) == (303, "/")
    for word in ("HttpOnly", "SameSite=strict", "Path=/"):
        assert word in come.headers["set-cookie"]
    assert "alice" in (await stranger.get("/", headers=PAGE)).text
    again = await stranger.post("/open", data={"token": token}, headers=PAGE)
    assert again.status_code == 403
    assert "ask an owner for a new one" in again.text


async def test_a_cookie_that_somebody_planted_is_worth_nothing_after_signing_in(
    desk: Desk, stranger: httpx2.AsyncClient
) -> None:
    planted = await desk.roll.sign_in(YOU)
    for cookie in (planted, "chosen-by-an-attacker"):
        stranger.cookies.clear()
        stranger.cookies.set("handrail", cookie)
        answer = await stranger.get("/open", params={"token": TOKEN})
        fresh = answer.headers["set-cookie"].partition("=")[2].partition(";")[0]
        assert fresh not in {planted, cookie}
        assert desk.roll.who(cookie) is None
        assert desk.roll.who(fresh) == YOU


async def test_signing_out(desk: Desk, browser: httpx2.AsyncClient, keys: Keys) -> None:
    cookie = browser.cookies["handrail"]
    assert (await browser.post("/signout", data={"csrf": "x"})).status_code == 403
    assert (await browser.post("/signout", data={"csrf": keys.form_of(OWNER)})).status_code == 303
    assert desk.roll.who(cookie) is None
    ended = await browser.get("/")
    assert ended.status_code == 401
    assert "signed in here no longer" in ended.text
    assert "handrail members link" in ended.text


async def test_a_stream_ends_when_its_member_is_removed(desk: Desk, app: Guard) -> None:
    await desk.roll.add("alice", Role.MEMBER, YOU)
    session = await begin(desk, by="alice")
    sent: asyncio.Queue[dict[str, object]] = asyncio.Queue()
    asked = asyncio.Event()

    async def receive() -> dict[str, object]:
        if not asked.is_set():
            asked.set()
            return {"type": "http.request", "body": b"", "more_body": False}
        await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    scope: dict[str, object] = {
        "type": "http", "method": "GET", "path": f"/api/v1/sessions/{session}/stream", "raw_path": b"",
        "query_string": b"after=1", "server": ("127.0.0.1", 7171), "client": None, "scheme": "http",
        "headers": [(b"host", b"127.0.0.1:7171"), (b"cookie", f"handrail={await desk.roll.sign_in('alice')}".encode())],
    }  # fmt: skip
    stream = asyncio.create_task(app(scope, receive, sent.put))  # type: ignore[arg-type]  # an ASGI channel by its shape
    assert (await sent.get())["status"] == 200
    assert (await sent.get())["more_body"] is True
    await desk.roll.remove("alice")
    await desk.store.log.append(session, [Draft(Kind.NOTICE, {"text": "not for alice"})])
    ended = await sent.get()
    assert (ended["body"], ended["more_body"]) == (b"", False)
    await desk.store.log.append(session, [Draft(Kind.NOTICE, {"text": "nor this"})])
    await desk.store.log.flush()
    stream.cancel()
    await asyncio.gather(stream, return_exceptions=True)
    assert sent.empty()
