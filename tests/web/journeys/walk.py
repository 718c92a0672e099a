"""Every page, as each kind of reader has it: by mouse and key, on a phone, without a script."""

from __future__ import annotations

import re
from datetime import timedelta
from urllib.parse import quote, urlsplit

import httpx2
from playwright.sync_api import Page, ViewportSize, expect

from handrail.gateway.keys import load_master
from handrail.notify.links import Links
from handrail.types import ApprovalId, now
from handrail.web.roles import PLACES
from tests.web.journeys.conftest import THEMES, Api, Open, focus, picture, press, violations
from tests.whole.house import House

PHONE = ViewportSize(width=375, height=740)
DESK = ViewportSize(width=1280, height=720)
"""what a browser has unless it is told another"""
NO_PAGES = {
    "/", "/health", "/static/{name:path}", "/openapi.json", "/live", "/spend.csv", "/sessions/{id}/live",
    "/sessions/{id}/older", "/sessions/{id}/raw", "/sessions/{id}/terminal/socket", "/patterns",
}  # fmt: skip
"""what is got and is no page of its own: the start is the list of sessions, others are pieces, streams and files;
the gallery has a journey of its own"""
MOVES = """() => ({
    running: document.getAnimations().length,
    eased: [...document.querySelectorAll('*')].filter((one) => {
        const style = getComputedStyle(one);
        return style.transitionDuration !== '0s' || style.scrollBehavior !== 'auto';
    }).length,
})"""
"""what moves by itself on a page"""


def furnish(house: House, api: Api) -> dict[str, str]:
    """Things for the pages to show, beside a run `r` whose effect waits; page → address."""
    changes: list[dict[str, object]] = [{"shell": "touch more.txt"}, {"text": "Done."}]
    session = api.begin(changes, "Change a greeting", permissions="ask")
    api.rest(session, "waiting")
    waits = str(api.call("GET", f"/sessions/{session}")["approvals"][0]["id"])
    api.call("POST", f"/approvals/{waits}", decision="allow", lasts="always")
    api.rest(session)
    write: dict[str, object] = {"text": "# A title\n\n- one\n- two", "write": {"path": "new.txt", "content": "x\n"}}
    asking = api.begin([write], "Ask a person", permissions="ask")
    api.rest(asking, "waiting")
    question = str(api.call("GET", f"/sessions/{asking}")["approvals"][0]["id"])
    api.call("PUT", "/sources/ci", kind="generic", secret="s" * 32)
    came = httpx2.post(
        f"{house.address()['url']}/hooks/ci",
        json={"event": "deploy", "status": "failed"},
        headers={"x-handrail-secret": "s" * 32},
        trust_env=False,
    )
    assert came.is_success, came.text
    api.call("PUT", f"/budgets/{quote('member:you')}", period="month", money_usd="20")
    run = str(api.call("GET", "/runs")["runs"][0]["id"])
    effect = str(api.call("GET", "/effects")["effects"][0]["id"])
    beside = {f"session-{tab}": f"/sessions/{session}/{tab}" for tab in ("diff", "timeline", "terminal", "details")}
    links = Links(load_master(house.data, {}))
    by_link = links.sign("m-1", ApprovalId(question), "deny", "ops", now() + timedelta(days=1))
    invited = str(api.call("POST", "/members", name="bob")["link"])
    lists = ("inbox", "sessions", "workflows", "runs", "spend", "events", "rules", "agents", "admin")
    return {name: f"/{name}" for name in lists} | beside | {
        "session": f"/sessions/{session}",
        "session-asks": f"/sessions/{asking}",
        "always": f"/approvals/{question}/always",
        "files": f"/sessions/{session}/files",
        "file": f"/sessions/{session}/files?path=greet.py",
        "promote": f"/sessions/{session}/promote",
        "workflow": "/workflows/greet",
        "run": f"/runs/{run}",
        "effect": f"/effects/{effect}",
        "event": "/events/" + str(api.call("GET", "/events")["events"][0]["id"]),
        "session-split": f"/sessions/{session}/diff?view=split",
        "sign-in": invited.removeprefix(house.address()["url"]),
        "answer": f"/answer?token={by_link}",
        "missing": "/nothing",
    }  # fmt: skip


def missed(pages: dict[str, str]) -> set[str]:
    """Routes of pages that none of these addresses leads to, by the table that each route must stand in."""
    got = {route.removeprefix("GET ") for route in PLACES if route.startswith("GET ") and " /api/" not in route}
    shown = [urlsplit(address).path for address in pages.values()]
    fit = {route: re.compile(re.sub(r"\\\{\w+\\\}", "[^/]+", re.escape(route))) for route in got - NO_PAGES}
    assert got >= NO_PAGES, "some of these are routes no longer"
    return {route for route, pattern in fit.items() if not any(pattern.fullmatch(path) for path in shown)}


def walk(pages: dict[str, str], visit: Open, api: Api) -> None:
    """axe and a picture in both themes; a phone's width; all of it without a script, with an answer on the way."""
    assert missed(pages) == set(), "pages that nobody looks at: give `furnish` an address of each"
    desk = visit("/")
    wrong: list[str] = []
    for name, path in pages.items():
        desk.goto(path)
        desk.wait_for_load_state("load")
        if name == "session":
            expect(desk.locator("diff-review")).to_be_visible()
        picture(desk, name)
        wrong += violations(desk, THEMES[:1])
        desk.set_viewport_size(PHONE)
        if (width := desk.evaluate("document.documentElement.scrollWidth")) > PHONE["width"]:
            wrong.append(f"{name} is {width} wide")
        desk.set_viewport_size(DESK)
    wrong += _opened(desk)
    assert wrong == [], "\n".join(wrong)
    phone = visit("/", viewport=PHONE, has_touch=True)
    paper = visit("/", java_script_enabled=False)
    for name, path in pages.items():
        paper.goto(path)
        _readable(paper, name)
    _answer(phone, paper, pages["session-asks"], api)


def rests(page: Page) -> None:
    """What moves on a page rests for those who ask for that."""
    assert page.evaluate(MOVES)["running"] > 0
    page.emulate_media(reduced_motion="reduce")
    assert page.evaluate(MOVES) == {"running": 0, "eased": 0}
    page.emulate_media(reduced_motion="no-preference")


def _opened(page: Page) -> list[str]:
    """What axe finds in the sheet of keys and in the palette."""
    page.goto("/sessions")
    press(page, "?")
    assert focus(page) == "Close"
    picture(page, "keys")
    wrong = violations(page, THEMES[:1])
    press(page, "Escape Control+k")
    assert focus(page) == "Command"
    expect(page.locator("#commands").get_by_role("option")).not_to_have_count(0)
    picture(page, "palette")
    return wrong + violations(page, THEMES[:1])


def _readable(page: Page, name: str) -> None:
    """What is there without a script is a page of its own: a heading, and no empty room that a script would fill."""
    assert page.locator("main").get_by_role("heading").count() or name.startswith("session-"), name
    words = page.locator("main").inner_text()
    assert len(words) > 40, f"{name}: {words}"
    shown = page.locator(".js:visible")
    assert shown.count() == 0, f"{name} shows {shown.first.inner_text()!r}, which needs a script"


def _answer(phone: Page, paper: Page, path: str, api: Api) -> None:
    """A question is answered by a tap, and the next one without a script."""
    phone.goto(path)
    phone.get_by_role("button", name="Deny").tap()
    expect(phone.locator(".approval")).to_have_count(0)
    session = api.begin([{"shell": "touch made"}, {"text": "That was it."}], "Plain paper", permissions="ask")
    api.rest(session, "waiting")
    paper.goto(f"/sessions/{session}")
    paper.get_by_role("button", name="Allow once").click()
    api.rest(session)
    paper.reload()
    expect(paper.locator("#log")).to_contain_text("That was it.")
