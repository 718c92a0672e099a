"""Owners, members and strangers at the pages, what a page does when it is let down, and the gallery of all of it."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import Page, Route, expect

from tests.web.journeys.conftest import PICTURES, THEMES, Api, Open, examine, picture, violations
from tests.web.journeys.walk import PHONE, rests


def test_a_member_comes_in_and_is_told_who_can(visit: Open, api: Api) -> None:
    session = api.begin([{"text": "Mine."}], "Not for Alice")
    api.rest(session)
    owner = visit("/admin")
    owner.get_by_role("textbox", name="Name").fill("alice")
    owner.get_by_role("button", name="Add", exact=True).click()
    link = str(owner.locator(".good-card pre").text_content())
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/open\?token=[\w-]{43}", link)
    picture(owner, "invited")
    examine(owner)
    owner.context.grant_permissions(["clipboard-read", "clipboard-write"])
    owner.get_by_role("button", name="Copy").click()
    expect(owner.get_by_role("button", name="Copied")).to_be_visible()
    assert owner.evaluate("navigator.clipboard.readText()") == link
    alice = visit("/")
    alice.context.clear_cookies()
    alice.goto(link)
    alice.get_by_role("button", name="Sign in").click()
    expect(alice.locator(".who")).to_contain_text("alice member")
    expect(alice.locator(".entries")).not_to_contain_text("Admin")
    expect(alice.locator("#list")).not_to_contain_text("Not for Alice")
    for path, words in (("/admin", "an owner can"), (f"/sessions/{session}", "own: an owner can")):
        alice.goto(path)
        expect(alice.get_by_role("alert").filter(has_text=words)).to_be_visible()
    picture(alice, "forbidden")
    examine(alice)
    owner.get_by_text("Remove alice", exact=True).click()
    owner.get_by_role("button", name="Yes, remove alice").click()
    expect(owner.get_by_text("Remove alice", exact=True)).to_have_count(0)
    alice.goto("/inbox")
    expect(alice.get_by_role("heading", name="Sign in first")).to_be_visible()
    picture(alice, "expired")
    examine(alice)


def test_a_line_that_is_lost_and_a_seat_that_is_lost(visit: Open, api: Api) -> None:
    session = api.begin([{"text": "Here."}], "Hold the line")
    api.rest(session)
    page = visit()
    held: list[Route] = []
    page.route("**/diff", lambda route: held.append(route))  # noqa: PLW0108  # Playwright marks what it is given
    page.goto(f"/sessions/{session}")
    expect(page.get_by_text("Loading the change …")).to_be_visible()
    picture(page, "loading")
    held[0].abort()
    expect(page.get_by_text("It could not be loaded.")).to_be_visible()
    page.unroute("**/diff")
    page.get_by_role("link", name="Try again").click()
    expect(page.locator("#side")).to_contain_text("Nothing was changed.")
    expect(page.locator("#link")).to_have_text("live")
    expect(page.get_by_role("meter", name="Context window used")).to_have_attribute("max", "128000")
    page.locator("#text").fill("half a thought")
    page.context.set_offline(True)
    expect(page.locator("#banner")).to_contain_text("this machine is offline. What you write is kept here.")
    page.locator("#text").press("Control+Enter")
    expect(page.locator("#notice")).to_contain_text("Not sent: the server does not answer.")
    picture(page, "offline")
    page.route("**/live*", lambda route: route.abort())
    page.context.set_offline(False)
    expect(page.locator("#banner")).to_contain_text(
        re.compile(r"As of \d+:\d+.*: the server does not answer, reconnecting")
    )
    expect(page.locator("#link")).to_have_text("reconnecting")
    picture(page, "stale")
    page.unroute("**/live*")
    expect(page.locator("#link")).to_have_text("live")
    expect(page.locator("#banner")).to_be_empty()
    page.context.clear_cookies()
    page.locator("#text").press("Control+Enter")
    expect(page.locator("#notice")).to_contain_text("Nobody is signed in here")
    expect(page.locator("#text")).to_have_value("half a thought")
    page.context.set_offline(True)
    page.context.set_offline(False)  # the line is asked for anew, by a browser that nobody knows any more
    expect(page.locator("#banner")).to_contain_text("You are signed in no longer: run handrail open")
    expect(page.locator("#link")).to_have_text("signed out")
    picture(page, "session-expired")
    examine(page)


def test_a_limit_that_is_reached_is_said(visit: Open, api: Api) -> None:
    session = api.begin([{"repeat": 3, "step": {"shell": "true"}}], "Too dear", turn_budget_usd="0.000001")
    api.rest(session)
    page = visit(f"/sessions/{session}")
    expect(page.locator("#log")).to_contain_text("budget")
    picture(page, "limit")


def test_the_gallery_in_both_themes_on_a_phone_and_without_a_script(visit: Open) -> None:
    desk = visit("/patterns")
    # its whole pages are looked at in light where they are walked
    wrong = violations(desk, THEMES[:1], "#pages") + violations(desk, THEMES[1:])
    assert wrong == [], "\n".join(wrong)
    rests(desk)
    _groups(desk, lambda group: picture(desk, f"patterns-{group}"))
    phone = visit("/patterns", viewport=PHONE, has_touch=True)
    assert phone.evaluate("document.documentElement.scrollWidth") == PHONE["width"]
    _groups(phone, lambda at: phone.screenshot(path=PICTURES / f"phone-patterns-{at}.png", full_page=True))
    paper = visit("/patterns", java_script_enabled=False)
    expect(paper.locator(".js:visible")).to_have_count(0)
    paper.get_by_role("button", name="Allow once").first.click()
    expect(paper.get_by_text("There is nothing at this address.")).to_be_visible()


def _groups(page: Page, shoot: Callable[[str], object]) -> None:
    """Let each group be alone on its page, which is too long for one picture; of whole pages the walk takes them."""
    for group in page.locator(".patterns:not(#pages)").evaluate_all("all => all.map(one => one.id)"):
        page.evaluate(
            "id => document.querySelectorAll('.patterns').forEach(one => (one.hidden = one.id !== id))", group
        )
        for screen in page.locator("x-term .screen:visible").all():  # a terminal paints nothing that nobody sees
            screen.scroll_into_view_if_needed()
            expect(screen.locator(".xterm-rows")).to_have_text(re.compile(r"\w"))
        shoot(group)
