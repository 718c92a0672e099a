from __future__ import annotations

import httpx2
import pytest

from handrail.commands.actor import OWNER, person
from handrail.commands.desk import Desk
from handrail.identity import YOU
from handrail.types import Role
from handrail.web.guard import Guard, Keys, is_loopback
from tests.web.conftest import BASE, TOKEN

EVIL = "http://evil.example"


async def test_without_a_token_nothing_is_told(stranger: httpx2.AsyncClient) -> None:
    for path in ("/api/v1/status", "/", "/openapi.json", "/nothing"):
        answer = await stranger.get(path)
        assert answer.status_code == 401, path
        assert answer.json()["code"] == "sign_in_needed"
        assert answer.headers["www-authenticate"] == "Bearer"
    assert (await stranger.get("/health")).json() == {"ok": True}
    assert (await stranger.get("/static/handrail.css")).status_code == 200


@pytest.mark.parametrize("value", [f"Bearer {TOKEN}x", "Bearer ", f"Basic {TOKEN}", TOKEN, "Bearer é"])
async def test_a_wrong_token_opens_nothing(stranger: httpx2.AsyncClient, value: str) -> None:
    answer = await stranger.get("/api/v1/status", headers={b"authorization": value.encode()})
    assert answer.status_code == 401
    assert TOKEN not in answer.text


async def test_the_token_opens(client: httpx2.AsyncClient) -> None:
    assert (await client.get("/api/v1/status")).status_code == 200


async def test_a_link_lets_a_browser_in(stranger: httpx2.AsyncClient) -> None:
    wrong = await stranger.get("/open?token=wrong", headers={"accept": "text/html"})
    assert wrong.status_code == 403
    assert "set-cookie" not in wrong.headers
    answer = await stranger.get("/open", params={"token": TOKEN})
    assert (answer.status_code, answer.headers["location"]) == (303, "/")
    cookie = answer.headers["set-cookie"]
    assert "HttpOnly" in cookie
    assert "SameSite=strict" in cookie
    assert TOKEN not in cookie
    assert (await stranger.get("/")).status_code == 200


async def test_a_foreign_host_is_a_rebound_domain(client: httpx2.AsyncClient) -> None:
    for host in ("evil.example:7171", "127.0.0.1.evil.example", "localhost.evil.example", "10.0.0.1", "", "[::1"):
        answer = await client.get("/api/v1/status", headers={"host": host})
        assert answer.status_code == 403, host
    for host in ("localhost:7171", "127.0.0.1", "[::1]:7171", "handrail.localhost"):
        assert (await client.get("/api/v1/status", headers={"host": host})).status_code == 200, host


async def test_a_foreign_page_may_not_call_even_with_what_the_browser_adds(browser: httpx2.AsyncClient) -> None:
    for origin in (EVIL, "null", "http://127.0.0.1:3000", "http://localhost:7171", "https://127.0.0.1:7171"):
        for method, path in (("GET", "/api/v1/status"), ("POST", "/api/v1/shutdown"), ("POST", "/sessions")):
            answer = await browser.request(method, path, headers={"origin": origin})
            assert answer.status_code == 403, (origin, method)


async def test_by_cookie_a_change_needs_an_origin(stranger: httpx2.AsyncClient, desk: Desk) -> None:
    stranger.cookies.set("handrail", await desk.roll.sign_in(YOU))
    assert (await stranger.get("/api/v1/status")).status_code == 200
    assert (await stranger.post("/api/v1/shutdown")).status_code == 403
    assert (await stranger.post("/api/v1/shutdown", headers={"origin": BASE})).status_code == 202


async def test_a_cookie_that_is_not_ours(stranger: httpx2.AsyncClient, keys: Keys) -> None:
    for value in ("", "x", TOKEN, keys.form_of(OWNER)):
        stranger.cookies.set("handrail", value)
        assert (await stranger.get("/api/v1/status")).status_code == 401
        stranger.cookies.clear()


async def test_over_the_unix_socket_everyone_is_the_owner(app: Guard, desk: Desk) -> None:
    scopes = {
        (desk.running.socket, None): 200,
        ("/tmp/another.sock", None): 403,
        (desk.running.socket, 80): 403,
        None: 403,
    }
    for server, wanted in scopes.items():
        sent: list[dict[str, object]] = []

        async def receive() -> dict[str, object]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def send(message: object, sent: list[dict[str, object]] = sent) -> None:
            assert isinstance(message, dict)
            sent.append(message)

        scope: dict[str, object] = {
            "type": "http",
            "method": "GET",
            "path": "/api/v1/sessions",
            "raw_path": b"/api/v1/sessions",
            "query_string": b"",
            "headers": [],
            "server": server,
        }
        await app(scope, receive, send)
        assert sent[0]["status"] == wanted, server
        if wanted == 200:
            assert scope["handrail.actor"] is OWNER


async def test_every_answer_is_hardened(client: httpx2.AsyncClient, stranger: httpx2.AsyncClient) -> None:
    for answer in (await client.get("/"), await stranger.get("/"), await client.get("/api/v1/nothing")):
        policy = answer.headers["content-security-policy"]
        assert "default-src 'none'" in policy
        assert "unsafe" not in policy
        assert "script-src 'self';" in policy
        assert answer.headers["x-frame-options"] == "DENY"
        assert answer.headers["x-content-type-options"] == "nosniff"
        assert answer.headers["cache-control"] == "no-store"
        # "no-referrer" would make browsers send `Origin: null` with our own forms
        assert answer.headers["referrer-policy"] == "same-origin"


def test_keys_tell_nothing_of_the_token() -> None:
    keys = Keys(TOKEN)
    assert TOKEN not in repr(keys)
    assert len({keys.form_of(OWNER), keys.form_of(person("alice", Role.OWNER)), TOKEN}) == 3


def test_loopback_names() -> None:
    assert is_loopback("127.0.0.1:1", "127.0.0.1")
    assert is_loopback("127.8.8.8", "127.0.0.1")
    assert not is_loopback("0.0.0.0", "127.0.0.1")  # noqa: S104
    assert not is_loopback("localhost@evil.example", "127.0.0.1")
