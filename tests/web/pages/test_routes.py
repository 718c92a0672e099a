from __future__ import annotations

import asyncio
from datetime import timedelta
from html.parser import HTMLParser
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest

from handrail.commands.actor import OWNER
from handrail.commands.desk import Desk
from handrail.gateway import ModelCall, Wire
from handrail.kinds import Kind
from handrail.store import approvals, budgets, calls
from handrail.store import sessions as rows
from handrail.store.log import Draft
from handrail.types import Check, Control, Goal, NanoUSD, Outcome, SandboxKind, Scope, SessionId, SessionState, now
from handrail.web.guard import Keys
from handrail.web.pages.reading import PAGE_EVENTS
from tests.commands.desks import ask, begin

NASTY = "</textarea><script>alert(1)</script><img src=x onerror=alert(1)> \x1b]0;owned\x07\x1b[31mred\x00 \u202eevil"
VOID = {"meta", "link", "input", "br", "img", "hr", "col"}


class Page(HTMLParser):
    """What a browser would make of a page: its elements, its forms, its text; every element must be closed."""

    def __init__(self, answer: httpx2.Response) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.words = ""
        self.feed(answer.text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.words += data

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [given for name, given in self.elements if name == tag]

    @property
    def forms(self) -> set[str]:
        posted = {str(form["action"]) for form in self.all("form") if form.get("method") == "post"}
        return posted - {"/signout"}  # it stands on every page


async def page(browser: httpx2.AsyncClient, path: str, status: int = 200) -> Page:
    answer = await browser.get(path)
    assert answer.status_code == status, answer.text
    found = Page(answer)
    assert all(str(given["src"]).startswith("/static/") for given in found.all("script"))
    assert not found.all("img")
    assert "\x1b" not in answer.text
    assert "\x00" not in answer.text
    assert "\u202e" not in answer.text
    assert len(found.all("h1")) == 1
    return found


async def rested(desk: Desk, session: SessionId) -> None:
    """Wait until the turn that an answer began has ended: it finds no workspace here."""
    async with asyncio.timeout(30):
        while (await rows.get(desk.store, session)).state is not SessionState.IDLE:  # noqa: ASYNC110
            await asyncio.sleep(0.02)


async def test_an_empty_house_says_what_to_do(browser: httpx2.AsyncClient) -> None:
    found = await page(browser, "/")
    assert "No session yet" in found.words
    assert found.forms == {"/sessions"}
    assert "Nothing waits for you" in (await page(browser, "/inbox")).words


async def test_hostile_text_is_text(desk: Desk, browser: httpx2.AsyncClient) -> None:
    alice = await begin(desk, title=NASTY, outcome_reason=NASTY, goal=Goal(NASTY, (Check(NASTY.replace("\x00", "")),)))
    kinds = [kind for kind in Kind if kind is not Kind.APPROVAL_ASKED]
    keys = (
        "text",
        "title",
        "output",
        "detail",
        "reason",
        "command",
        "agent",
        "by",
        "because",
        "branch",
        "error",
        "tool",
    )
    data: dict[str, object] = dict.fromkeys(keys, NASTY)
    data |= {"call": "c", "input": {"command": NASTY}, "paths": [NASTY], "entries": [{"text": NASTY, "status": "x"}]}
    data["diffs"] = [{"path": NASTY, "old": NASTY, "new": NASTY + "\nx"}]
    await desk.store.log.append(alice, [Draft(kind, dict(data), 1) for kind in kinds])
    await ask(desk, alice, title=NASTY, input={"command": NASTY}, diffs=data["diffs"])
    for path in ("/", "/inbox", f"/sessions/{alice}", f"/sessions/{alice}/details", f"/sessions/{alice}/timeline"):
        found = await page(browser, path)
        assert "alert(1)" in found.words


async def test_what_a_person_decides_on_hides_nothing(desk: Desk, browser: httpx2.AsyncClient) -> None:
    await ask(desk, await begin(desk), title="rm\u202e -rf x", input={"command": "echo a\x1b[2K\rrm -rf /"})
    found = await page(browser, "/inbox")
    assert "\\u202e" in found.words
    assert "\\x1b[2K" in found.words


async def test_a_session_says_aloud_when_there_are_no_walls(desk: Desk, browser: httpx2.AsyncClient) -> None:
    await begin(desk, "s-bare", sandbox=SandboxKind.NONE)
    await begin(desk, "s-walled", holds=["reads", "network"])
    bare = await page(browser, "/sessions/s-bare")
    assert "No walls." in bare.words
    assert any(given.get("role") == "alert" for given in bare.all("p"))
    assert "seen to hold: reads, network." in (await page(browser, "/sessions/s-walled/details")).words
    assert "no walls" in (await page(browser, "/")).words


async def test_a_login_can_be_given_where_there_is_one(
    desk: Desk, browser: httpx2.AsyncClient, keys: Keys, tmp_path: Path
) -> None:
    assert not [given for given in (await page(browser, "/sessions")).all("input") if given.get("name") == "login"]
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".claude" / ".credentials.json").write_text('{"claudeAiOauth": {"accessToken": "x"}}')
    desk.roster._environ = {"HOME": str(tmp_path)}
    shown = await page(browser, "/sessions")
    assert [given["value"] for given in shown.all("input") if given.get("name") == "login"] == ["yes"]
    assert "its calls are not metered" in shown.words
    form = {
        "csrf": keys.form_of(OWNER),
        "repository": str(tmp_path),
        "agent": "handrail",
        "prompt": "x",
        "login": "yes",
    }
    refused = await browser.post("/sessions", data=form)
    assert "cannot be used: name an agent that has logins" in refused.text


async def test_money_that_nobody_meters_is_said(desk: Desk, browser: httpx2.AsyncClient) -> None:
    await begin(desk, "s-mine", login=True, turn=1)
    for path in ("/spend", "/sessions", "/sessions/s-mine"):
        assert "ot metered" in (await page(browser, path)).words, path
    assert (await browser.get("/spend.json")).json()["not_metered"] == 1


async def test_spend_is_told_by_day_agent_model_member_and_session(desk: Desk, browser: httpx2.AsyncClient) -> None:
    alice = await begin(desk, "s-alice", agent="claude", by="alice")
    await desk.store.log.write(*budgets.share(alice, [Scope("member:alice")]))
    for back, cost in ((1, 2 * 10**9), (0, 10**9)):
        at = now() - timedelta(days=back)
        call = ModelCall(alice, 1, at, "anthropic", Wire.ANTHROPIC, f"m-{back}", 200, 10, 2, 3, NanoUSD(cost))
        await desk.store.log.write(calls.insert(call))
    found = await page(browser, "/spend")
    days = [(now() - timedelta(days=back)).date().isoformat() for back in (1, 0)]
    for group, names in (
        ("day", days), ("agent", ["claude"]), ("model", ["m-0", "m-1"]), ("member", ["alice"]),
        ("session", ["work of s-alice"]),
    ):  # fmt: skip
        assert f"By {group}" in found.words
        assert all(name in found.words for name in names), group
    assert "at $2.00 a day" in found.words
    rows = [row.split(",") for row in (await browser.get("/spend.csv")).text.splitlines()]
    assert {(row[0], row[1], row[3]) for row in rows[1:]} == {
        ("day", days[0], "2.000000000"), ("day", days[1], "1.000000000"), ("agent", "claude", "3.000000000"),
        ("model", "m-1", "2.000000000"), ("model", "m-0", "1.000000000"), ("member", "alice", "3.000000000"),
        ("session", "s-alice", "3.000000000"),
    }  # fmt: skip


async def test_sessions_are_found_by_state_agent_repository_and_words(desk: Desk, browser: httpx2.AsyncClient) -> None:
    await begin(desk, "s-one", agent="claude")
    await begin(desk, "s-two", agent="codex")
    await begin(desk, "s-busy", agent="claude", state=SessionState.RUNNING)
    for query, names in (
        ("state:idle agent:claude", {"s-one"}), ("agent:CLAUDE", {"s-one", "s-busy"}), ("work s-two", {"s-two"}),
        ("repo:src/project state:running", {"s-busy"}), ("agent:none", set()),
    ):  # fmt: skip
        asked = quote(query)
        assert {one["id"] for one in (await browser.get(f"/sessions.json?q={asked}")).json()["sessions"]} == names
        listed = (await browser.get(f"/sessions?q={asked}")).text.partition('id="list"')[2]
        assert {name for name in ("s-one", "s-two", "s-busy") if f"/sessions/{name}" in listed} == names, query


async def test_a_session_names_what_an_untrusted_ref_brought(desk: Desk, browser: httpx2.AsyncClient) -> None:
    await begin(desk, "s-fork", untrusted=True, set_aside=["AGENTS.md", "\u202e.mcp.json"])
    words = (await page(browser, "/sessions/s-fork")).words
    assert "its settings for agents are not used: AGENTS.md \\u202e.mcp.json" in words


async def test_a_session_offers_what_can_be_done_now(desk: Desk, browser: httpx2.AsyncClient) -> None:
    await begin(desk, "s-idle")
    await begin(desk, "s-busy", state=SessionState.RUNNING, control=Control.AGENT)
    await begin(desk, "s-ended", state=SessionState.ENDED, outcome=Outcome.DONE)
    idle = await page(browser, "/sessions/s-idle")
    assert idle.forms == {f"/sessions/s-idle/{act}" for act in ("prompts", "handoff", "cancel")}
    assert not any(given.get("http-equiv") for given in idle.all("meta"))
    busy = await page(browser, "/sessions/s-busy")
    assert busy.forms == {f"/sessions/s-busy/{act}" for act in ("cancel", "take", "prompts", "handoff")}
    assert any(given.get("http-equiv") == "refresh" for given in busy.all("meta"))
    hold = "/sessions/s-busy?still=1"  # without a script, what is being written would be gone
    assert hold in [given.get("href") for given in busy.all("a")]
    assert not any(given.get("http-equiv") for given in (await page(browser, hold)).all("meta"))
    assert (await page(browser, "/sessions/s-ended")).forms == set()
    assert "/sessions/s-idle/end" in (await page(browser, "/sessions/s-idle/details")).forms


async def test_every_form_is_signed(desk: Desk, browser: httpx2.AsyncClient, keys: Keys) -> None:
    await ask(desk, await begin(desk, "s-busy", state=SessionState.RUNNING, control=Control.AGENT))
    for path in ("/", "/inbox", "/sessions/s-busy"):
        found = await page(browser, path)
        signed = [given for given in found.all("input") if given.get("name") == "csrf"]
        posted = [given for given in found.all("form") if given.get("method") == "post"]
        assert len(signed) == len(posted) > 0
        assert {given["value"] for given in signed} == {keys.form_of(OWNER)}


async def test_a_long_transcript_is_read_in_windows(desk: Desk, browser: httpx2.AsyncClient) -> None:
    alice = await begin(desk)
    await desk.store.log.append(
        alice, [Draft(Kind.NOTICE, {"level": "info", "text": f"n{n}."}) for n in range(2, 1001)]
    )
    newest = await page(browser, f"/sessions/{alice}")
    assert "n1000." in newest.words
    assert "n701." in newest.words
    assert "n700." not in newest.words
    links = [str(given["href"]) for given in newest.all("a")]
    assert f"/sessions/{alice}?before=701#transcript" in links
    older = await page(browser, f"/sessions/{alice}?before=701")
    assert "n700." in older.words
    assert "n401." in older.words
    assert "n701." not in older.words
    assert f"/sessions/{alice}?after=700#transcript" in [str(given["href"]) for given in older.all("a")]
    first = await page(browser, f"/sessions/{alice}?before=101")
    assert f"n{PAGE_EVENTS}." in first.words
    assert "Older events" not in first.words
    await page(browser, f"/sessions/{alice}?before=x", 422)


async def test_an_approval_is_answered_on_the_page(desk: Desk, browser: httpx2.AsyncClient, keys: Keys) -> None:
    asked = await ask(desk, await begin(desk, "s-alice", state=SessionState.WAITING))
    found = await page(browser, "/sessions/s-alice")
    assert any(given.get("aria-label") == "Waits for you" for given in found.all("section"))
    assert f"/approvals/{asked}" in found.forms
    form = {"csrf": keys.form_of(OWNER), "back": "/inbox", "decision": "deny", "because": "use trash"}
    answer = await browser.post(f"/approvals/{asked}", data=form)
    assert (answer.status_code, answer.headers["location"]) == (303, "/inbox")
    row = await approvals.get(desk.store, asked)
    assert (row.decision, row.because, row.by) == ("deny", "use trash", "you")
    again = await browser.post(f"/approvals/{asked}", data=form)
    assert again.status_code == 409
    assert "answered before, with deny by you" in again.text


async def test_rules_that_stand_are_listed_and_taken_back(desk: Desk, browser: httpx2.AsyncClient, keys: Keys) -> None:
    session = await begin(desk, "s-alice", state=SessionState.WAITING)
    asked = await ask(desk, session, "a-1", title="make x", input={"command": "make run-1234"})
    form = {"csrf": keys.form_of(OWNER), "back": "/inbox", "decision": "always", "shown": "shell: allow make run-*"}
    assert (await browser.post(f"/approvals/{asked}", data=form)).status_code == 303
    assert (await rows.get(desk.store, session)).policy is None
    found = await page(browser, "/rules")
    assert "shell: allow make run-*" in found.words
    assert "/src/project" in found.words
    (rule,) = (await browser.get("/rules.json")).json()["rules"]
    given = {
        "csrf": keys.form_of(OWNER),
        "back": "/rules",
        "key": rule["key"],
        "section": "shell",
        "rule": rule["rule"],
    }
    assert (await browser.post("/rules/remove", data=given | {"key": "../../x"})).status_code == 404
    assert (await browser.post("/rules/remove", data=given)).status_code == 303
    assert "No rule stands" in (await page(browser, "/rules")).words
    assert (await browser.post("/rules/remove", data=given)).status_code == 404
    await rested(desk, session)


async def test_always_shows_its_rule_before_it_is_written(desk: Desk, browser: httpx2.AsyncClient, keys: Keys) -> None:
    session = await begin(desk, "s-alice", state=SessionState.WAITING)
    commands = ("make run-1234", "make run-5678", "python3 -c x")
    first, second, vague = [
        await ask(desk, session, f"a-{at}", title=command, input={"command": command})
        for at, command in enumerate(commands)
    ]
    inbox = await page(browser, "/inbox")
    assert f"/approvals/{first}/always" in [given.get("href") for given in inbox.all("a")]
    shown = await page(browser, f"/approvals/{first}/always")
    assert "shell: allow make run-*" in shown.words
    assert "would have allowed 1 of 2 asked before in this session" in shown.words
    assert (await approvals.get(desk.store, first)).decision is None  # looking answers nothing
    assert "No narrow rule can be given" in (await page(browser, f"/approvals/{vague}/always")).words
    form = {"csrf": keys.form_of(OWNER), "back": "/sessions/s-alice", "decision": "allow"}
    other = await browser.post(f"/approvals/{first}", data=form | {"lasts": "session", "shown": "shell: allow make *"})
    assert (other.status_code, "look at it again" in other.text) == (409, True)
    answer = await browser.post(
        f"/approvals/{first}", data=form | {"lasts": "session", "shown": "shell: allow make run-*"}
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/sessions/s-alice")
    assert (await approvals.get(desk.store, first)).decision == "allow"
    assert "make run-*" in ((await rows.get(desk.store, session)).policy or "")
    assert "answered already" in (await page(browser, f"/approvals/{first}/always")).words
    assert (await approvals.get(desk.store, second)).decision is None
    await rested(desk, session)


@pytest.mark.parametrize(
    ("path", "form", "said"),
    [
        ("/sessions", {"repository": "nowhere", "prompt": "x"}, "repository"),
        ("/sessions", {"repository": "/", "prompt": ""}, "prompt"),
        ("/sessions", {"repository": "/", "prompt": "x", "turns": "0"}, "turns"),
        ("/sessions/s-alice/prompts", {"text": " "}, "prompt"),
        ("/sessions/s-alice/handoff", {"text": "x", "budget_usd": "free"}, "budget"),
        ("/sessions/s-alice/apply", {"mode": "push"}, "mode"),
        ("/approvals/a-none", {"decision": "allow"}, "no approval"),
    ],
)
async def test_a_refusal_is_a_page_with_a_way_back(
    *, desk: Desk, browser: httpx2.AsyncClient, keys: Keys, path: str, form: dict[str, str], said: str
) -> None:
    await begin(desk)
    headers = {"referer": "http://127.0.0.1:7171/sessions/s-alice"}
    answer = await browser.post(path, data=form | {"csrf": keys.form_of(OWNER)}, headers=headers)
    assert answer.status_code in {404, 422}
    found = Page(answer)
    assert said in found.words
    assert "/sessions/s-alice" in [given.get("href") for given in found.all("a")]
