"""Every route of the application, as owner, member and stranger, by plain HTTP."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Iterator, MutableMapping
from contextlib import asynccontextmanager

import httpx2
import pytest
from starlette.routing import Match, Mount, Route, WebSocketRoute

from handrail.commands import workflows
from handrail.commands.actor import OWNER, person
from handrail.commands.desk import Desk
from handrail.identity import YOU
from handrail.store import effects
from handrail.types import ApprovalId, EffectId, Role, RunId, SandboxKind, SessionId, TaskId
from handrail.web import roles
from handrail.web.app import create_app
from handrail.web.guard import Guard, Keys
from handrail.web.roles import PLACES, Least
from handrail.web.stream import Closing
from tests.commands.desks import ask, begin
from tests.web.conftest import BASE, TOKEN
from tests.web.pages.test_automation import a_run, effect, task

ALICE = person("alice", Role.MEMBER)
SOCKET = "/sessions/{id}/terminal/socket"
SOCKETS = {f"GET {SOCKET}", "GET /api/v1/sessions/{id}/terminal"}
OWN = {"sessions": "s-{}", "runs": "r-{}", "tasks": "t-{}", "approvals": "a-{}", "effects": "f-{}"}
PAGES = (
    "/", "/sessions", "/inbox", "/spend", "/runs", "/runs/r-alice", "/effects/f-alice",
    "/workflows", "/workflows/nightly", "/approvals/a-alice/always", "/sessions/s-alice", "/sessions/s-alice/timeline",
    "/sessions/s-alice/terminal", "/sessions/s-alice/details",
)  # fmt: skip
"""all that a member may see, with things of their own on them"""
PARTS = {
    "/live", "/patterns", "/spend.csv", "/openapi.json", "/sessions/{id}/live", "/sessions/{id}/older",
    "/sessions/{id}/raw", SOCKET,
}  # fmt: skip
"""what a member may get and is no page that offers acts"""
WORKFLOW = (
    "name: nightly\non: {schedule: {cron: '0 3 * * *'}}\nmodel: m\nrepositories: /x\ngoal: Mend it\nchecks: ['true']\n"
)
FILLED = {"tab": "details", "prompt": "p-1", "event": "e-1", "scope": "run:r-1", "source": "none", "name:path": "x.css"}


def routes(app: Guard) -> Iterator[tuple[str, Route]]:
    """Each method and route of the application, as the application has them."""
    for route in app._app._rest._app.routes:  # type: ignore[attr-defined]  # behind the door
        if isinstance(route, WebSocketRoute):
            continue
        assert isinstance(route, Route)
        for method in sorted((route.methods or set()) - {"HEAD"}):
            yield method, route


def filled(path: str, whose: str) -> str:
    """An address of a route; what it names is `whose`."""
    kind = path.removeprefix("/api/v1").split("/")[1]
    values = FILLED | {"id": OWN.get(kind, "{}").format(whose), "name": "none"}
    return re.sub(r"\{([^}]+)\}", lambda found: values[found[1]], path)


@pytest.fixture
def app(desk: Desk) -> Guard:
    closing = Closing()
    closing.tell()  # streams end after their first frame
    return create_app(desk, TOKEN, closing)


@asynccontextmanager
async def seat(app: Guard, cookie: str, accept: str = "text/html") -> AsyncIterator[httpx2.AsyncClient]:
    headers = {"accept": accept, "origin": BASE}
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url=BASE, headers=headers) as opened:
        if cookie:
            opened.cookies.set("handrail", cookie)
        yield opened


async def things(desk: Desk, whose: str) -> None:
    """A session with a question, and a run with a task and an effect, of somebody."""
    session = await begin(desk, f"s-{whose}", by=whose)
    await ask(desk, session, f"a-{whose}")
    run, number = RunId(f"r-{whose}"), {"alice": 1, YOU: 2}[whose]
    done = task(number, id=TaskId(f"t-{whose}"), run=run, session=SessionId(session))
    await a_run(desk, done, id=run, number=number, by=whose)
    proposed = effect(id=EffectId(f"f-{whose}"), key=f"k-{whose}", run=run, task=done.id, session=session)
    await desk.store.log.write(effects.propose(proposed))


async def send(client: httpx2.AsyncClient, method: str, path: str, csrf: str) -> httpx2.Response:
    if path.startswith("/api/") or method == "GET":
        return await client.request(method, path)
    return await client.request(method, path, data={"csrf": csrf})


def may(answer: httpx2.Response) -> bool:
    """Whether it was let through, and nothing broke behind the door."""
    return answer.status_code not in {401, 403} and answer.status_code < 500


async def test_every_route_as_owner_member_and_stranger(desk: Desk, app: Guard, keys: Keys) -> None:
    await desk.roll.add("alice", Role.MEMBER, "you")
    await things(desk, "alice")
    await things(desk, YOU)
    await desk.probes.held(
        SandboxKind.BUBBLEWRAP
    )  # some pages begin to try the walls; nothing of that outlives the test
    mine, theirs = await desk.roll.sign_in("alice"), await desk.roll.sign_in(YOU)
    placed: set[str] = set()
    async with seat(app, mine) as member, seat(app, theirs) as owner, seat(app, "") as stranger:
        for method, route in routes(app):
            least, own = roles.needs(route)
            placed |= {f"{method} {route.path}", f"{method} {route.path.removesuffix('.json')}"}
            path, said = filled(route.path, YOU), f"{method} {route.path}"
            if least is Least.ANYONE:
                assert (await send(stranger, method, path, "")).status_code != 401, said
                continue
            api = path.startswith("/api/")
            refused = await send(stranger, method, path, "")
            assert refused.status_code == 401, said
            assert (refused.json()["code"] == "sign_in_needed") if api else ("Sign in first" in refused.text), said
            answer = await send(member, method, path, keys.form_of(ALICE))
            if least is Least.OWNER:
                assert answer.status_code == 403, said
                assert "an owner can" in answer.text, said
            elif own is not None:
                assert answer.status_code == 403, said
                assert "own: an owner can" in answer.text.replace("&#39;", "'"), said
                answer = await send(member, method, filled(route.path, "alice"), keys.form_of(ALICE))
                assert may(answer), f"{said}: {answer.text}"
            else:
                assert may(answer), f"{said}: {answer.text}"
            answer = await send(owner, method, path, keys.form_of(OWNER))
            assert may(answer), f"{said}: {answer.text}"
            if path == "/signout":
                await sign_in_again(desk, member, "alice")
                await sign_in_again(desk, owner, YOU)
    assert set(PLACES) <= {*placed} | SOCKETS, "some of these are routes no longer"


def got(route: Route, path: str, method: str = "GET") -> bool:
    """Whether this route answers there."""
    return route.matches({"type": "http", "method": method, "path": path, "root_path": ""})[0] is Match.FULL


async def test_no_page_shows_a_member_what_only_an_owner_may_do(desk: Desk, app: Guard) -> None:
    await desk.roll.add("alice", Role.MEMBER, "you")
    await things(desk, "alice")
    await workflows.add(desk, OWNER, WORKFLOW)
    places = [(route, *roles.needs(route)) for _, route in routes(app)]
    pages = {
        route.path
        for route, least, _ in places
        if least is Least.MEMBER and "GET" in (route.methods or ()) and not route.path.startswith("/api/")
    }
    left = {path for path in pages - PARTS if not path.endswith(".json")}
    assert left == {next(one.path for one, _, _ in places if got(one, path)) for path in PAGES}
    async with seat(app, await desk.roll.sign_in("alice")) as member:
        for path in PAGES:
            shown = await member.get(path)
            assert shown.status_code == 200, path
            posts = {("POST", where) for where in re.findall(r'<form method="post" action="([^"]+)"', shown.text)}
            gets = {("GET", where) for where in re.findall(r'(?:href|hx-get)="(/[^"#?]*)', shown.text)}
            for method, where in posts | gets:
                found = [least for route, least, _ in places if got(route, where.partition("?")[0], method)]
                assert found, f"{path} leads to {method} {where}, which is no route"
                assert found[0] is not Least.OWNER, f"{path} shows a member {method} {where}"


async def sign_in_again(desk: Desk, client: httpx2.AsyncClient, name: str) -> None:
    client.cookies.clear()
    client.cookies.set("handrail", await desk.roll.sign_in(name))


def test_a_route_that_nobody_placed_stops_the_server(desk: Desk) -> None:
    async def nothing(_: object) -> None: ...

    with pytest.raises(LookupError, match="GET /new"):
        roles.guarded([Route("/new", nothing)], desk)
    with pytest.raises(LookupError, match="GET /socket"):
        roles.guarded([WebSocketRoute("/socket", nothing)], desk)
    with pytest.raises(TypeError, match="cannot be placed"):
        roles.guarded([Mount("/mount", routes=[])], desk)


async def dialled(app: Guard, session: str, cookie: str, origin: str = BASE) -> str:
    """How a WebSocket to the terminal of a session is answered: the type of the first message."""
    sent: list[str] = []
    told = iter(["websocket.connect"])
    headers = {"host": BASE.removeprefix("http://"), "origin": origin, "cookie": f"handrail={cookie}"}
    scope = {
        "type": "websocket", "path": SOCKET.format(id=session), "query_string": b"", "scheme": "ws", "root_path": "",
        "subprotocols": [], "headers": [(name.encode(), value.encode()) for name, value in headers.items()],
    }  # fmt: skip

    async def receive() -> dict[str, object]:
        return {"type": next(told, "websocket.disconnect"), "code": 1001}

    async def answered(message: MutableMapping[str, object]) -> None:
        sent.append(str(message["type"]))

    await app(scope, receive, answered)
    return sent[0]


async def test_a_terminal_is_opened_by_who_owns_its_session_alone(desk: Desk, app: Guard) -> None:
    await desk.roll.add("alice", Role.MEMBER, "you")
    await things(desk, "alice")
    await things(desk, YOU)
    mine, theirs = await desk.roll.sign_in("alice"), await desk.roll.sign_in(YOU)
    assert await dialled(app, "s-alice", mine) == "websocket.accept"
    assert await dialled(app, "s-alice", theirs) == "websocket.accept"
    assert await dialled(app, f"s-{YOU}", mine) == "websocket.close"
    assert await dialled(app, "s-alice", "") == "websocket.close"
    assert await dialled(app, "s-alice", mine, "http://evil.example") == "websocket.close"


async def test_lists_show_a_member_what_is_theirs_alone(desk: Desk, app: Guard) -> None:
    await desk.roll.add("alice", Role.MEMBER, "you")
    await things(desk, "alice")
    await things(desk, YOU)
    async with seat(app, await desk.roll.sign_in("alice"), "application/json") as member:
        for path, key in (
            ("sessions", "sessions"),
            ("approvals", "approvals"),
            ("effects", "effects"),
            ("runs", "runs"),
        ):
            found = (await member.get(f"/api/v1/{path}")).json()[key]
            assert [one["id"] for one in found] == [f"{path[0]}-alice".replace("e-", "f-")], path
        for query in ("session=s-you", "run=r-you"):
            assert (await member.get(f"/api/v1/effects?{query}")).status_code == 403
        inbox = (await member.get("/inbox.json")).json()
        assert {one["id"] for one in [*inbox["approvals"], *inbox["effects"]]} == {"a-alice", "f-alice"}
        for page in ("/", "/inbox", "/runs", "/spend", "/live"):
            text = (await member.get(page, headers={"accept": "text/html"})).text
            assert "s-you" not in text, page
            assert "/admin" not in text, page


async def test_who_acted_is_written_down(desk: Desk, app: Guard) -> None:
    await desk.roll.add("alice", Role.MEMBER, "you")
    await things(desk, "alice")
    async with seat(app, await desk.roll.sign_in("alice"), "application/json") as member:
        assert (await member.post("/api/v1/effects/f-alice", json={"decision": "reject"})).json()[
            "decided_by"
        ] == "alice"
        await member.post("/api/v1/approvals/a-alice", json={"decision": "deny"})
        await member.post("/api/v1/sessions/s-alice/end")
        log = (await member.get("/api/v1/sessions/s-alice/events")).json()["events"]
        shown = (await member.get(f"/api/v1/approvals/{ApprovalId('a-alice')}")).json()
    assert log[-1]["data"]["by"] == "alice"
    assert shown["by"] == "alice"
