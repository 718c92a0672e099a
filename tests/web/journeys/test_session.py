"""A person beside an agent: its shell and theirs, its files, another try from here, and a workflow made of it."""

from __future__ import annotations

import re

from playwright.sync_api import expect

from tests.fake_provider import prompt
from tests.web.journeys.conftest import Api, Open, examine, picture, press
from tests.whole.conftest import git, make_repository
from tests.whole.house import MODEL, House, until

SCREEN = ".xterm-rows"


def test_the_agents_shell_is_watched_and_one_of_ones_own_opened_once_taken(visit: Open, api: Api, house: House) -> None:
    session = api.begin([{"text": "Ready."}], "Use the terminal")
    api.rest(session)
    steps: list[dict[str, object]] = [{"shell": "echo from-the-agent"}, {"shell": "sleep 60"}]
    api.call("POST", f"/sessions/{session}/handoff", text=prompt(steps, "Go on."), checks=["true"])
    page = visit(f"/sessions/{session}")
    expect(page.locator("#link")).to_have_text("live")  # a key before that opens a page instead of a tab
    press(page, "v x")
    expect(page.locator(SCREEN)).to_contain_text("from-the-agent")
    expect(page.locator("x-term [role=status]")).to_contain_text("Read only")
    expect(page.get_by_role("button", name="Open a shell")).to_be_hidden()
    press(page, "t")
    expect(page.locator("#status")).to_contain_text("control: you")
    expect(page.locator("#status .state").first).to_have_text("idle")
    press(page, "x")
    expect(page.locator("x-term [role=status]")).to_contain_text("A shell inside the walls")
    page.keyboard.type("printf '\\033[38;2;9;99;9m%s\\033[0m\\n' gre''en; echo mine >> greet.py\n")
    expect(page.locator(SCREEN)).to_contain_text("green")
    picture(page, "terminal")
    examine(page)
    press(page, "v f")  # keys are the shell's while it is typed into
    expect(page.locator(SCREEN)).to_contain_text("vf")
    press(page, "Control+u Shift+Escape v d")
    expect(page.locator(".details")).to_be_visible()
    press(page, "v x")
    expect(page.locator(SCREEN)).to_contain_text("green")  # it is still there
    api.call("POST", f"/sessions/{session}/handoff", text=prompt([{"shell": "tail -1 greet.py"}], "Look."))
    expect(page.locator("x-term [role=status]")).to_contain_text("The agent is in control again")
    expect(page.locator("#log .tool").last).to_contain_text("tail -1 greet.py")
    api.call("POST", f"/sessions/{session}/take")
    server = house.server()
    house.kill(server)
    house.ready(but=server)
    expect(page.locator("#link")).to_have_text("live")
    expect(page.locator(SCREEN)).to_contain_text("mine")


def test_files_are_read_as_a_snapshot_holds_them(visit: Open, api: Api) -> None:
    made = "mkdir -p src; echo '<b>bold</b>' > 'src/<i>x'; echo obey > AGENTS.md; ln -s /etc/passwd out"
    session = api.begin([{"shell": made}, {"text": "Done."}], "Leave files")
    api.rest(session)
    page = visit(f"/sessions/{session}")
    expect(page.locator("#link")).to_have_text("live")  # a key before that opens a page instead of a tab
    press(page, "v f")
    expect(page.locator(".tree")).to_contain_text("tells coding agents what to do")
    expect(page.locator(".tree .badge").first).to_have_text("changed inside")
    page.get_by_role("link", name="src/").click()
    page.get_by_role("link", name="<i>x").click()
    expect(page.locator("table.lines")).to_contain_text("<b>bold</b>")
    with page.expect_download() as download:
        page.get_by_role("link", name="Download").click()
    assert download.value.path().read_text() == "<b>bold</b>\n"
    press(page, "v d")
    expect(page.locator(".details")).to_be_visible()
    page.get_by_role("link", name="Files").last.click()
    expect(page.locator("#side")).to_contain_text("As it was after turn 0")
    expect(page.locator(".tree")).not_to_contain_text("AGENTS.md")


def test_a_branch_goes_on_from_here(visit: Open, api: Api, house: House) -> None:
    session = api.begin([{"shell": "echo more >> greet.py"}, {"text": "Added."}], "Try this")
    api.rest(session)
    page = visit(f"/sessions/{session}")
    expect(page.get_by_role("button", name="Branch", exact=True)).to_be_visible()
    page.get_by_role("button", name="Branch after turn 1").click()
    page.wait_for_url(re.compile(r"/sessions/s-(?!" + session[2:] + ")"))
    expect(page.locator("#log")).to_contain_text(f"Branched from session {session} after its turn 1")
    expect(page.locator("#link")).to_have_text("live")
    press(page, "v d")
    expect(page.locator(".details")).to_contain_text("Branched")
    page.locator("#text").fill(prompt([{"text": "I know."}], "What was done?"))
    page.locator("#text").press("Control+Enter")
    expect(page.locator("#log .words").last).to_contain_text("I know.")
    assert "this session was branched" in house.model.heard()
    assert "Try this" in house.model.heard()


def test_a_good_session_is_promoted_and_then_rehearsed(visit: Open, api: Api, house: House) -> None:
    session = api.begin([{"shell": "sed -i s/Hallo/Hello/ greet.py"}, {"shell": "sh check.sh"}], "Greet again")
    api.rest(session)
    page = visit(f"/sessions/{session}")
    expect(page.locator("diff-review")).to_contain_text("Hello")
    expect(page.locator("#link")).to_have_text("live")
    press(page, "n")
    expect(page.locator("button[data-line]:focus")).to_have_count(1)
    press(page, "j")
    expect(page.locator("summary:focus")).to_contain_text("greet.py")
    press(page, "w")
    expect(page.get_by_role("heading", name="Promote to a workflow")).to_be_visible()
    expect(page.locator("#allowed + ul")).to_contain_text("sed -i s/Hallo/Hello/ greet.py")
    expect(page.locator(".diff")).to_contain_text("trust: supervised")
    press(page, "e")
    field = page.get_by_label("The file")
    text = field.input_value()
    field.fill(text.replace("trust: supervised", "trust: blind"))
    page.get_by_role("button", name="Keep it").click()
    expect(page.locator("#notice")).to_contain_text("trust")
    field.fill(text.replace("trust: supervised", "trust: shadow"))
    page.get_by_role("button", name="Keep it").click()
    expect(page.get_by_role("heading", name="greet-again", exact=True)).to_be_visible()
    expect(page.locator(".head")).to_contain_text("trust: shadow")
    expect(page.get_by_role("heading", name="Rehearsal of version 1")).to_be_visible()
    (house.repository / "past").write_text("a past case\n")
    git(house.repository, "add", "past")
    git(house.repository, "commit", "-q", "-m", "A past case")
    page.get_by_label("Which").fill("last:1")
    page.get_by_label("Which").blur()
    press(page, "r")
    card = page.get_by_role("group", name="Scorecard, a table")
    expect(card.locator("tbody tr")).to_have_count(1)
    until(lambda: page.reload() and card.locator("[class*=outcome-]").count(), why="the case came to an end")
    picture(page, "rehearsal")
    examine(page)
    page.goto(f"/sessions/{session}/promote")
    expect(page.get_by_role("heading", name="Against version 1")).to_be_visible()


def test_a_fan_out_is_walked_by_keyboard(visit: Open, api: Api, house: House) -> None:
    places = [make_repository(house.repository.parent / f"shop-{at}") for at in range(3)]
    goal = prompt([{"shell": "sed -i s/Hallo/Hello/ greet.py"}, {"text": "Done."}], "Greet in English.")
    listed = "".join(f"  - {place}\n" for place in places)
    text = (
        f"name: fan-out\ndescription: Greets everywhere.\non: {{manual: {{}}}}\nmodel: {MODEL[1]}\n"
        f"repositories:\n{listed}goal: |\n  {goal}\nchecks: [sh check.sh]\n"
    )
    api.call("POST", "/workflows", text=text)
    run = api.call("POST", "/workflows/fan-out/start")["run"]
    page = visit(f"/runs/{run}")
    expect(page.locator(".matrix .outcome-done")).to_have_count(3, timeout=60_000)
    press(page, "j j")
    expect(page.locator(".matrix tr[aria-current]")).to_contain_text("shop-1")
    picture(page, "run-matrix")
    press(page, "Enter")
    page.wait_for_url(re.compile("#t-"))
    expect(page.locator(".task:target")).to_contain_text("shop-1")


def test_the_palette_acts(visit: Open, api: Api) -> None:
    session = api.begin([{"shell": "sleep 60"}], "Stop me by a word")
    page = visit(f"/sessions/{session}")
    expect(page.get_by_role("button", name="Stop")).to_be_visible()
    press(page, "Control+k")
    page.keyboard.type("stop the")
    press(page, "Enter")
    expect(page.locator("#status .state").first).to_have_text("idle")
