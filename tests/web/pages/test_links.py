from __future__ import annotations

from datetime import timedelta
from urllib.parse import quote

import httpx2
import pytest

from handrail.commands import approvals as commands
from handrail.commands.actor import OWNER
from handrail.commands.desk import Desk
from handrail.errors import Conflict
from handrail.store import approvals
from handrail.store.tables import ApprovalState
from handrail.types import ApprovalId, SessionState, now
from tests.commands.desks import ask, begin

PUBLIC = {"host": "handrail.example.com", "accept": "text/html"}


@pytest.fixture
async def asked(desk: Desk) -> ApprovalId:
    return await ask(desk, await begin(desk, "s-alice", state=SessionState.WAITING), why="step: Clean up")


def token(desk: Desk, asked: ApprovalId, decision: str = "allow", *, message: str = "msg_1", days: int = 1) -> str:
    return desk.post.links.sign(message, asked, decision, "slack", now() + timedelta(days=days))


async def test_showing_the_page_answers_nothing(desk: Desk, stranger: httpx2.AsyncClient, asked: ApprovalId) -> None:
    address = f"/answer?token={token(desk, asked)}"
    for method in ("GET", "HEAD", "GET"):
        page = await stranger.request(method, address, headers=PUBLIC)
        assert page.status_code == 200
    assert "Allow this?" in page.text
    assert "step: Clean up" in page.text
    assert page.headers["referrer-policy"] == "same-origin"
    assert page.headers["cache-control"] == "no-store"
    assert (await approvals.get(desk.store, asked)).state is ApprovalState.OPEN


async def test_the_button_answers_once_from_anywhere(
    desk: Desk, stranger: httpx2.AsyncClient, asked: ApprovalId
) -> None:
    headers = PUBLIC | {"origin": "https://handrail.example.com"}
    given = {"token": token(desk, asked, "deny"), "because": "not today"}
    answer = await stranger.post("/answer", data=given, headers=headers)
    assert (answer.status_code, "Denied" in answer.text) == (200, True)
    row = await approvals.get(desk.store, asked)
    assert (row.decision, row.by, row.because) == ("deny", "you, by a link in slack", "not today")
    for again in (given, {"token": token(desk, asked)}):
        answer = await stranger.post("/answer", data=again, headers=headers)
        assert answer.status_code == 409
        assert "answered before, with deny by you, by a link in slack" in answer.text
    page = await stranger.get("/answer", params={"token": token(desk, asked)}, headers=PUBLIC)
    assert page.status_code == 409


async def test_a_link_is_good_for_one_use(desk: Desk, asked: ApprovalId) -> None:
    used = token(desk, asked)
    await commands.answer_by_link(desk, used, because=None)
    await desk.store.log.write(approvals.insert(await reopened(desk, asked)))
    with pytest.raises(Conflict):
        await commands.answer_by_link(desk, used, because=None)


async def reopened(desk: Desk, asked: ApprovalId) -> approvals.ApprovalRow:
    row = await approvals.get(desk.store, asked)
    await commands.waiting(desk, OWNER)
    return approvals.ApprovalRow(
        **{name: getattr(row, name) for name in ("session", "turn", "call", "title", "tool", "input", "diffs")},
        **{name: getattr(row, name) for name in ("options", "signature", "asked")},
        id=ApprovalId("a-again"),
    )


async def test_what_is_no_link_opens_nothing(desk: Desk, stranger: httpx2.AsyncClient, asked: ApprovalId) -> None:
    good = token(desk, asked)
    old = token(desk, asked, days=-1)
    for bad in ("", "x", old, good[:-4] + "AAAA", quote(good[::-1]), "a" * 5000):
        assert (await stranger.get(f"/answer?token={bad}", headers=PUBLIC)).status_code == 403
        assert (await stranger.post("/answer", data={"token": bad}, headers=PUBLIC)).status_code == 403
    assert (await approvals.get(desk.store, asked)).state is ApprovalState.OPEN
    # the door stays shut for everything else, whatever the token
    for path in (f"/?token={good}", f"/inbox?token={good}", f"/answer/../api/v1/status?token={good}", "/answer/x"):
        assert (await stranger.get(path, headers=PUBLIC)).status_code == 403
    assert (await stranger.post("/answer", content=b"{}", headers=PUBLIC)).status_code == 422


async def test_a_link_whose_question_is_gone_says_so(desk: Desk, stranger: httpx2.AsyncClient) -> None:
    page = await stranger.get(f"/answer?token={token(desk, ApprovalId('a-none'))}", headers=PUBLIC)
    assert page.status_code == 404
