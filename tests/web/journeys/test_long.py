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
from tests.web.journeys.conftest import Api, Open
from tests.whole.house import House

EVENTS = 10_000
MOST = 300
"""blocks in the page"""
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
