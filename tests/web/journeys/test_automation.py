"""A workflow from its button to its receipt, and on the way every page, as each kind of reader has it."""

from __future__ import annotations

import pytest
from playwright.sync_api import Page, expect

from tests.fake_provider import prompt
from tests.web.journeys.conftest import Api, Open, examine, picture, press, reach
from tests.web.journeys.walk import furnish, walk
from tests.whole.conftest import git
from tests.whole.house import MODEL, House

GOAL = prompt([{"shell": "sed -i s/Hallo/Hello/ greet.py"}, {"text": "It is English now."}], "Greet in English.")


@pytest.mark.timeout(240)  # every page is walked on the way, by three readers
def test_a_workflow_is_started_its_effect_approved_and_its_receipt_seen(house: House, visit: Open, api: Api) -> None:
    page = visit("/workflows")
    expect(page.get_by_text("No workflow yet")).to_be_visible()
    page.get_by_role("button", name="Add triage-issues").click()
    expect(page.get_by_role("heading", name="triage-issues")).to_be_visible()
    text = (
        f"name: greet\ndescription: Greets in English.\non: {{schedule: {{cron: '0 3 * * *'}}}}\nmodel: {MODEL[1]}\n"
        f"repositories: {house.repository}\ngoal: |\n  {GOAL}\nchecks: [sh check.sh]\n"
        "effects: {then: [{push: {branch: handrail/greet}}]}\n"
    )
    api.call("POST", "/workflows", text=text)
    beside = visit("/workflows/greet")
    expect(beside.locator("#list")).to_contain_text("never ran")
    page.goto("/workflows/greet")
    page.keyboard.press("s")
    expect(page.get_by_role("heading", name="greet #1")).to_be_visible()
    expect(page.locator(".matrix")).to_contain_text("1 to decide", timeout=60_000)
    expect(page.locator("#rail .count")).to_contain_text("1")
    expect(beside.locator(".ticks li")).to_have_count(1)  # no one touched it
    beside.close()
    address = page.url
    walk(furnish(house, api), visit, api)
    page.goto("/inbox")
    expect(page.locator(".approval")).to_contain_text("Push")
    page.keyboard.press("m")
    page.keyboard.insert_text("not before noon")
    api.begin([{"shell": "touch more"}], "Another one asks", permissions="ask")
    expect(page.locator(".approval")).to_have_count(2)  # what is new came, and left what is being written
    why = page.get_by_label("Why not")
    expect(why).to_have_value("not before noon")
    expect(why).to_be_focused()
    page.reload()
    expect(why).to_have_value("not before noon")
    page.get_by_role("link", name="in its run").click()
    expect(page.get_by_role("heading", name="greet #1")).to_be_visible()
    expect(page.locator("#link")).to_have_text("live")  # its scripts listen to keys
    press(page, "j a")
    expect(page.locator(".matrix")).to_contain_text("1 carried out", timeout=60_000)
    expect(page.locator(".matrix .outcome-done")).to_have_count(1, timeout=60_000)
    page.get_by_role("link", name="Receipt").click()
    expect(page.get_by_role("heading", name="Receipt")).to_be_visible()
    picture(page, "receipt")
    examine(page)
    again(page, address)
    assert "Hello" in git(house.repository, "show", "handrail/greet:greet.py")


def again(page: Page, address: str) -> None:
    """Rerun the run by its key, take its task in hand, and hand it back."""
    page.goto(address)
    press(page, "r")
    expect(page.get_by_role("heading", name="greet #2")).to_be_visible()
    expect(page.locator(".matrix")).to_contain_text("1 to decide", timeout=60_000)
    expect(page.locator("#link")).to_have_text("live")
    press(page, "t")
    expect(page.locator("#status")).to_contain_text("control: you")
    reach(page, "its run")
    press(page, "Enter")
    expect(page.locator(".task")).to_contain_text("taken")
    expect(page.locator("#link")).to_have_text("live")
    press(page, "h")
    expect(page.locator(".task")).not_to_contain_text("taken")
