from __future__ import annotations

import re

import httpx2

from handrail.commands import budgets, secrets
from handrail.commands.actor import OWNER
from handrail.commands.desk import Desk
from handrail.types import SandboxKind
from handrail.web.guard import Keys
from tests.web.pages.test_routes import page


async def test_people_and_what_is_set_up_without_any_value(desk: Desk, browser: httpx2.AsyncClient) -> None:
    await secrets.put(desk, OWNER, "SEARCH_KEY", host="api.example.com", header="X-Key: {}", value="hunter2hunter2")
    await budgets.put(desk, OWNER, "member:alice", money="5", period="day")
    words = (await page(browser, "/admin")).words
    for word in ("SEARCH_KEY", "api.example.com", "anthropic", "member:alice", "this is you", "no event comes in"):
        assert word in words, word
    told = (await browser.get("/admin.json")).json()
    assert set(told) == {"members", "providers", "forges", "secrets", "sources", "polls", "budgets"}
    for text in (words, str(told)):
        assert "hunter2" not in text
        assert "sk-test" not in text


async def test_a_member_is_added_and_the_link_shown_once(desk: Desk, browser: httpx2.AsyncClient, keys: Keys) -> None:
    form = {"csrf": keys.form_of(OWNER), "name": "alice", "role": "member"}
    shown = await browser.post("/members", data=form)
    token = re.search(r"open\?token=([\w-]+)", shown.text)
    assert token is not None
    assert desk.roll.invited(token[1]).name == "alice"
    assert token[1] not in (await browser.get("/admin")).text
    again = await browser.post("/members/alice/link", data=form)
    assert "open?token=" in again.text
    gone = await browser.post("/members/alice/remove", data=form)
    assert (gone.status_code, gone.headers["location"]) == (303, "/admin")
    assert (await browser.post("/members", data=form | {"name": "A b"})).status_code == 422


async def test_agents_and_what_the_walls_hold_in_plain_words(desk: Desk, browser: httpx2.AsyncClient) -> None:
    await desk.probes.held(SandboxKind.BUBBLEWRAP)
    words = (await page(browser, "/agents")).words
    for word in ("Handrail", "Apache-2.0", "Walls: bubblewrap", "It cannot read the server’s environment"):  # noqa: RUF001
        assert word in words, word
    told = (await browser.get("/agents.json")).json()
    assert "reads" in told["walls"]["holds"]
    assert any(agent["name"] == "handrail" for agent in told["agents"])


async def test_a_check_that_fails_says_why(browser: httpx2.AsyncClient, keys: Keys) -> None:
    shown = await browser.post("/agents/codex/check", data={"csrf": keys.form_of(OWNER)})
    assert "does not work" in shown.text
