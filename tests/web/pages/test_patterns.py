from __future__ import annotations

import httpx2

from handrail.types import Outcome, SessionState
from tests.web.pages.test_routes import page


async def test_the_gallery_has_every_state(browser: httpx2.AsyncClient) -> None:
    found = await page(browser, "/patterns")
    for state in SessionState:
        assert f"state-{state}" in str(found.elements)
    for outcome in Outcome:
        assert f"outcome-{outcome}" in str(found.elements)


async def test_it_is_for_those_who_may_read(stranger: httpx2.AsyncClient) -> None:
    assert (await stranger.get("/patterns")).status_code == 401
