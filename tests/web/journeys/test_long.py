"""A transcript of ten thousand events is scrolled back to its beginning, and the page stays small."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from playwright.sync_api import expect

from handrail.config import Config
from handrail.kinds import Kind
from handrail.store.engine import Store
from handrail.store.log import Draft
from handrail.types import SessionId
from tests.fake_provider import prompt
from tests.web.journeys.conftest import Api, Open
from tests.whole.house import House

EVENTS = 10_000
MOST = 300
"""blocks in the page"""
STANDS = "document.querySelector('run-log').scrollTop"
BLOCKS = "document.querySelectorAll('#log > [id^=\"e\"]').length"


async def fill(house: House, session: SessionId) -> None:
    """A long log, as its session would have written it, while no server runs."""
    async with await Store.open(Config(data=house.data).place) as store:
        for first in range(0, EVENTS, 1000):
            lines = [Draft(Kind.NOTICE, {"level": "info", "text": f"line {first + at}"}) for at in range(1000)]
            await store.log.append(session, lines)


def test_scrolled_back_to_the_beginning(visit: Open, api: Api, house: House) -> None:
    session = SessionId(api.begin([{"text": "First words."}], "Very long"))
    api.rest(session)
    house.run("down")
    with ThreadPoolExecutor(1) as aside:  # Playwright has a loop in this thread
        aside.submit(asyncio.run, fill(house, session)).result()
    house.run("up")
    house.ready()
    page = visit(f"/sessions/{session}")
    expect(page.locator("#log")).to_contain_text("line 9999")
    page.locator("run-log").hover()
    first = 0
    for _ in range(200):
        page.mouse.wheel(0, -40_000)
        page.wait_for_timeout(30)
        assert page.evaluate(BLOCKS) <= MOST
        first = int(str(page.locator('#log > [id^="e"]').first.get_attribute("id"))[1:])
        if first < 20:
            break
    expect(page.locator("#log")).to_contain_text("First words.")
    expect(page.get_by_role("button", name="Back to now")).to_be_visible()
    page.get_by_role("button", name="Back to now").click()
    expect(page.locator("#log")).to_contain_text("line 9999")
    assert page.evaluate(BLOCKS) <= MOST
    expect(page.locator("#link")).to_have_text("live")
    expect(page.locator("#log .line").last).to_be_in_viewport()
    page.locator("run-log").hover()
    page.mouse.wheel(0, -2000)
    expect(page.locator("#log .line").last).not_to_be_in_viewport()
    page.wait_for_timeout(300)  # a wheel is not told when it has come to rest
    stood = page.evaluate(STANDS)
    api.call("POST", f"/sessions/{session}/prompts", text=prompt([{"text": "Newest words."}], "Say more."))
    expect(page.locator("#log")).to_contain_text("Newest words.")
    expect(page.get_by_role("button", name="new ↓")).to_be_visible()
    assert page.evaluate(STANDS) == stood
    page.get_by_role("button", name="new ↓").click()
    expect(page.locator("#log .words").last).to_be_in_viewport()
    expect(page.locator("run-log .jump")).to_be_hidden()
