"""A person at the pages: what they see come, answer by key, write, lose and find again."""

from __future__ import annotations

import re
from pathlib import Path

from playwright.sync_api import Page, Request, expect

from tests.fake_provider import prompt
from tests.web.journeys.conftest import Api, Open, examine, focus, picture, press, reach, streams
from tests.whole.house import MODEL, House

BANNERS = """() => {
    window.told = [];
    const banner = document.getElementById('banner');
    new MutationObserver(() => told.push(banner.textContent)).observe(banner, { childList: true });
}"""
"""keeps every banner that is shown: one may stand for less than a second"""
MOVED = """() => {
    document.querySelector('diff-review').dataset.old = 'yes';
    document.getElementById('live').dispatchEvent(new CustomEvent('moved'));
}"""
"""a newer diff comes"""
SIZES = """() => {
    window.sizes = new Set();
    const log = document.getElementById('log');
    const look = () => sizes.add(log.querySelector('.words')?.textContent.length ?? 0);
    new MutationObserver(look).observe(log, { childList: true, subtree: true, characterData: true });
}"""
"""keeps every length that the first words have had"""
ASKS: list[dict[str, object]] = [{"shell": "touch made"}, {"text": "That was it."}]


def test_first_run_a_composer_that_works_before_any_key_is_there(house: House, visit: Open, tmp_path: Path) -> None:
    house.run("down")
    house.run("up", ANTHROPIC_API_KEY="", HOME=str(tmp_path))
    house.ready()
    page = visit()
    expect(page.get_by_text("No session yet")).to_be_visible()
    expect(page.locator(".ready")).to_contain_text("A script plays in its place")
    expect(page.locator(".ready")).to_contain_text("Walls: bubblewrap holds")
    picture(page, "first-run")
    examine(page)
    page.keyboard.press("n")
    page.keyboard.type("Greet in English")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".walls.scripted")).to_contain_text("No model: a script plays.")
    expect(page.locator("#log")).to_contain_text("I am not a model.")
    expect(page.locator(".approval")).to_contain_text("Write handrail-demo.md")
    page.keyboard.press("a")
    expect(page.locator("#log")).to_contain_text("handrail providers set")
    expect(page.locator("diff-review")).to_contain_text("Greet in English")
    expect(page.locator("#status")).to_contain_text("$0.00")
    picture(page, "first-session")
    told = house.run("show", "last").stdout
    assert "NO MODEL: a script plays" in told
    assert "a script plays, and no model works" in house.run("doctor", code=1).stdout
    house.run("down")
    house.run("up")
    house.ready()


def test_a_session_is_started_and_streams(house: House, visit: Open) -> None:
    page = visit()
    expect(page.locator("#list")).to_contain_text("handrail, no model · sample")
    page.keyboard.press("n")
    steps: list[dict[str, object]] = [
        {
            "text": "Streaming **bold** words, " * 40,
            "chunks": 60,
            "delay": 0.02,
            "shell": "sed -i s/Hallo/Hello/ greet.py",
        },
        {"text": "Finished **now**."},
    ]
    page.keyboard.insert_text(prompt(steps, "Make it English."))
    page.get_by_label("Repository").fill(str(house.repository))
    page.get_by_label("Model").fill(MODEL[1])
    page.get_by_role("button", name="Start").click()
    expect(page.locator("#link")).to_have_text("live")
    page.evaluate(SIZES)
    expect(page.locator("#log .words").first).to_contain_text("Streaming bold words,")
    expect(page.locator(".approval")).to_contain_text("sed -i")
    page.keyboard.press("a")
    expect(page.locator("#log .tool")).to_contain_text("sed -i s/Hallo/Hello/ greet.py")
    expect(page.locator("#log .words").last).to_contain_text("Finished now.")
    sizes = page.evaluate("[...sizes]")
    assert len(sizes) > 2, sizes  # it came in pieces
    assert sizes == sorted(sizes)


def test_approve_by_key(visit: Open, api: Api) -> None:
    session = api.begin([*ASKS[:1], *ASKS], "Approve me", permissions="ask")
    page = visit(f"/sessions/{session}")
    expect(page.locator(".approval")).to_contain_text("touch made")
    expect(page.locator("#rail .count")).to_contain_text("1")
    expect(page.locator(".rules")).to_contain_text("touch")
    page.keyboard.press("l")  # for this session: the same is not asked a second time
    expect(page.locator("#log")).to_contain_text("That was it.")
    expect(page.locator(".approval")).to_have_count(0)
    expect(page.locator("#status .state").first).to_have_text("idle")
    expect(page.locator("#log")).to_contain_text("Allowed by you")
    expect(page.locator("#log .tool", has_text="touch made")).to_have_count(2)
    expect(page.locator("#log .line", has_text="Waits for an answer")).to_have_count(1)


def test_deny_with_a_message_from_the_inbox(visit: Open, api: Api) -> None:
    session = api.begin(ASKS, "Deny me", permissions="ask")
    page = visit("/inbox")
    expect(page.locator(".approval")).to_contain_text("touch made")
    page.keyboard.press("m")
    page.keyboard.type("not in this house")
    page.keyboard.press("Escape")
    page.keyboard.press("d")
    expect(page.get_by_text("Nothing waits for you.")).to_be_visible()
    api.rest(session)
    page.goto(f"/sessions/{session}")
    expect(page.locator("#log")).to_contain_text("Denied by you not in this house")


def test_queue_withdraw_stop_and_take_over(visit: Open, api: Api) -> None:
    session = api.begin([{"shell": "sleep 60"}], "Work long")
    page = visit(f"/sessions/{session}")
    expect(page.locator("#log .tool-running, #log .tool-in_progress, #log .tool-pending").first).to_be_visible()
    page.keyboard.press("c")
    page.keyboard.insert_text("And then this")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".queued")).to_contain_text("And then this")
    expect(page.locator("#text")).to_have_value("")
    picture(page, "session-works")
    page.get_by_role("button", name="Withdraw").click()
    expect(page.locator(".queued")).to_have_count(0)
    page.keyboard.press("Escape")
    page.get_by_role("button", name="Stop").click()
    expect(page.locator("#status .state").first).to_have_text("idle")
    expect(page.get_by_role("button", name="Stop")).to_have_count(0)
    page.keyboard.press("v")
    page.keyboard.press("d")
    page.get_by_text("End the session").click()
    page.get_by_role("button", name="End it").click()
    expect(page.locator("#status .state").first).to_have_text("ended")


def test_hand_off_and_take_over(visit: Open, api: Api) -> None:
    session = api.begin([{"text": "Ready."}], "Change hands")
    api.rest(session)
    page = visit(f"/sessions/{session}")
    api.call("POST", f"/sessions/{session}/handoff", text=prompt([{"shell": "sleep 60"}], "Go on."), checks=["true"])
    expect(page.locator("#status")).to_contain_text("control: the agent")
    page.keyboard.press("t")
    expect(page.locator("#status")).to_contain_text("control: you")
    page.keyboard.press("h")  # the goal came while the page was open
    assert focus(page) == "Goal"
    expect(page.get_by_label("Goal")).to_have_value(re.compile("Go on"))
    expect(page.get_by_label("Checks, one a line")).to_have_value(re.compile("true"))
    reach(page, "Hand off")
    page.keyboard.press("Enter")
    expect(page.locator("#status")).to_contain_text("control: the agent")


def test_the_server_is_killed_and_nothing_is_lost(visit: Open, api: Api, house: House) -> None:
    session = api.begin([{"text": "Before the end."}], "Survive")
    api.rest(session)
    page = visit(f"/sessions/{session}")
    expect(page.locator("#link")).to_have_text("live")
    asked: list[Request] = []
    page.on("request", lambda request: asked.append(request) if streams(request) else None)
    page.locator("#text").fill("a draft that is kept")
    page.evaluate(BANNERS)
    server = house.server()
    house.kill(server)
    house.ready(but=server)
    api.call("POST", f"/sessions/{session}/prompts", text=prompt([{"text": "After the end."}], "Again"))
    expect(page.locator("#log")).to_contain_text("After the end.")
    expect(page.locator("#log .words", has_text="Before the end.")).to_have_count(1)
    expect(page.locator("#link")).to_have_text("live")
    told = str(page.evaluate("told.join()"))
    assert 0 <= told.find("the server does not answer, reconnecting") < told.find("The server was started again"), told
    log = api.call("GET", f"/sessions/{session}/events")["events"]
    again = next(one["seq"] for one in log if one["kind"] == "turn.started" and one["data"]["turn"] == 2)
    assert asked  # each went on after the last event that the page had, none began anew
    assert {0 < int(one.headers["last-event-id"]) < again for one in asked} == {True}
    page.reload()
    expect(page.locator("#text")).to_have_value("a draft that is kept")


def test_a_session_is_found_answered_read_and_commented_by_keys_alone(visit: Open, api: Api, house: House) -> None:
    edit: dict[str, object] = {"shell": "sed -i s/Hallo/Hello/ greet.py"}
    asks: list[dict[str, object]] = [edit, {"shell": "mkdir no"}, {"shell": "touch /tmp/yes"}, {"text": "Done so."}]
    for rule in api.call("GET", "/rules")["rules"]:  # of an attempt before, after which nothing would be asked
        api.call("POST", "/rules/remove", key=rule["key"], section=rule["section"], rule=rule["rule"])
    session = api.begin(asks, "By keys alone", permissions="ask")
    api.rest(session, "waiting")
    page = visit("/inbox")
    reach(page, "By keys alone")  # in the rail
    press(page, "Enter")
    answer(page, api)
    expect(page.locator("#status .state").first).to_have_text("idle")  # Stop, which may have the focus, is gone by then
    reach(page, "Transcript")
    expect(page.locator("diff-review")).to_contain_text('return "Hello "')
    expect(page.locator(".strip")).to_contain_text(
        "The agent ran sed -i s/Hallo/Hello/ greet.py: completed its own word"
    )
    expect(page.locator(".strip")).to_contain_text("Nobody checked this change")
    comment(page)
    press(page, "S")
    expect(page.locator("tr.comment")).to_have_count(0)
    api.rest(session)
    for words in ("why was this wrong?", "say it louder", "greet.py:2"):
        expect(page.locator("#log .turn").last).to_contain_text(words)
        assert words in house.model.heard()
    press(page, "j")
    reach(page, "Viewed")
    press(page, "Space")
    assert focus(page) == "greet.py"
    press(page, "u")
    expect(page.locator("table.split")).to_have_count(1)
    expect(page.get_by_label("Viewed")).to_be_checked()


def answer(page: Page, api: Api) -> None:
    """Always, no with a message, yes."""
    expect(page.locator(".approval")).to_contain_text("sed -i")
    expect(page.locator("#link")).to_have_text("live")  # its scripts listen to keys
    press(page, "A")  # always: the rule is kept
    expect(page.locator(".approval")).to_contain_text("mkdir no")
    assert "sed" in str(api.call("GET", "/rules"))
    press(page, "m")
    assert focus(page) == "Message to the agent"
    page.keyboard.type("not in this house")
    press(page, "Escape d")
    expect(page.locator(".approval")).to_contain_text("touch /tmp/yes")
    press(page, "a")
    expect(page.locator("#log")).to_contain_text("Done so.")
    expect(page.locator("#log")).to_contain_text("Denied by you not in this house")


def comment(page: Page) -> None:
    """On two lines, through a reload and a newer diff."""
    press(page, "n")
    assert focus(page) == "Comment on removed line 2"
    press(page, "c")
    assert focus(page) == "Comment on greet.py line 2"
    page.keyboard.type("why was this")
    page.reload()
    expect(page.locator("diff-review")).to_be_visible()
    press(page, "n c End")
    page.keyboard.type(" wrong?")
    page.evaluate(MOVED)  # while one writes: it waits
    press(page, "Control+Enter")
    expect(page.locator("diff-review[data-old]")).to_have_count(0)
    assert focus(page) == "Comment on removed line 2"
    press(page, "ArrowDown")
    assert focus(page) == "Comment on added line 2"
    press(page, "Enter")
    page.keyboard.type("say it louder")
    press(page, "Control+Enter")
    expect(page.locator("tr.comment")).to_have_count(2)


def test_palette_and_keys(visit: Open, api: Api) -> None:
    session = api.begin([{"shell": "echo here"}, {"text": "Found."}], "Find me by name")
    api.rest(session)
    page = visit("/inbox")
    page.keyboard.press("?")
    expect(page.get_by_role("dialog", name="Keys of this page")).to_contain_text("Go to Sessions")
    page.keyboard.press("Escape")
    page.keyboard.press("g")
    page.keyboard.press("s")
    expect(page.get_by_role("heading", name="Sessions", exact=True)).to_be_visible()
    page.keyboard.press("Control+k")
    page.keyboard.type("find me by")
    expect(page.locator("#commands").get_by_role("option")).to_have_count(1)
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Find me by name")).to_be_visible()
    page.keyboard.press("v")
    page.keyboard.press("t")
    expect(page.locator(".timeline")).to_be_visible()
    page.locator("#side").get_by_role("link", name="echo here").click()
    expect(page.locator("#log .tool:target")).to_contain_text("echo here")
