"""Owners, members and strangers at the pages, and what a page does when it is let down."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.web.journeys.conftest import Api, Open, examine, picture


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
    picture(alice, "sign-in")
    examine(alice)
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
    page = visit(f"/sessions/{session}")
    expect(page.locator("#link")).to_have_text("live")
    page.locator("#text").fill("half a thought")
    page.context.set_offline(True)
    expect(page.locator("#banner")).to_contain_text("offline")
    picture(page, "offline")
    page.context.set_offline(False)
    expect(page.locator("#link")).to_have_text("live")
    page.context.clear_cookies()
    page.locator("#text").press("Control+Enter")
    expect(page.locator("#notice")).to_contain_text("Nobody is signed in here")
    expect(page.locator("#text")).to_have_value("half a thought")


def test_a_limit_that_is_reached_is_said(visit: Open, api: Api) -> None:
    session = api.begin([{"repeat": 3, "step": {"shell": "true"}}], "Too dear", turn_budget_usd="0.000001")
    api.rest(session)
    page = visit(f"/sessions/{session}")
    expect(page.locator("#log")).to_contain_text("budget")
    picture(page, "limit")
