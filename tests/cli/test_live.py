"""What a conversation makes of keys, where it needs no server; the rest is in `test_talk.py` and `test_terminal.py`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable
from pathlib import Path

import pytest

from handrail.cli.acts import typed_goal
from handrail.cli.client import Client
from handrail.cli.layout import plain
from handrail.cli.live import Conversation, Until
from handrail.cli.render import Out, Stream, Transcript
from handrail.cli.screen import Key, Typed
from handrail.errors import InvalidInput, Unavailable


class Paper:
    """A screen that keeps what is shown."""

    live = True

    def __init__(self) -> None:
        self.text = ""
        self.told: Callable[[], str] = str
        self.rung = 0

    def show(self, out: Iterable[Out]) -> None:
        self.text += "".join(piece.text if isinstance(piece, Stream) else plain(piece) + "\n" for piece in out)

    def status(self, told: Callable[[], str]) -> None:
        self.told = told

    def ring(self) -> None:
        self.rung += 1

    async def keys(self) -> AsyncIterator[Key]:
        nothing: tuple[Key, ...] = ()
        for key in nothing:
            yield key


ASKED = {"approval": "a1", "title": "rm -rf build", "tool": "execute", "options": []}


def conversation(tmp_path: Path, screen: Paper, until: Until = Until.LEFT) -> Conversation:
    client = Client(tmp_path, say=lambda _: None, start=False)
    return Conversation(client, {"id": "s-1", "state": "idle"}, screen, Transcript(), until)


async def test_an_answer_to_what_only_just_appeared_is_not_taken(tmp_path: Path) -> None:
    screen = Paper()
    talk = conversation(tmp_path, screen)
    talk.take_in({"seq": 1, "kind": "approval.asked", "data": ASKED})
    await talk._handle(Typed("y"))
    assert "the question had only just appeared" in screen.text
    assert "a1" in talk._questions
    assert screen.rung == 1


async def test_a_question_that_was_there_before_is_answered_at_once(tmp_path: Path) -> None:
    screen = Paper()
    talk = conversation(tmp_path, screen)
    talk.take_in({"seq": 1, "kind": "approval.asked", "data": ASKED}, replayed=True)
    assert screen.rung == 0
    with pytest.raises(RuntimeError, match="not entered"):  # it went to the server
        await talk._handle(Typed("y"))


async def test_other_words_are_no_answer_and_no_prompt(tmp_path: Path) -> None:
    screen = Paper()
    talk = conversation(tmp_path, screen)
    talk.take_in({"seq": 1, "kind": "approval.asked", "data": ASKED}, replayed=True)
    await talk._handle(Typed("please allow it all"))
    assert "the agent waits for an answer" in screen.text


def test_a_question_answered_elsewhere_is_no_longer_open(tmp_path: Path) -> None:
    talk = conversation(tmp_path, Paper())
    talk.take_in({"seq": 1, "kind": "approval.asked", "data": ASKED})
    talk.take_in({"seq": 2, "kind": "approval.answered", "data": {"approval": "a1", "decision": "deny", "by": "you"}})
    assert not talk._questions


def called(seq: int, cost: int | None) -> dict[str, object]:
    data = {"model": "m", "input_tokens": 9, "output_tokens": 9, "cost_nano": cost}
    return {"seq": seq, "kind": "model.called", "data": data}


def test_the_meter_adds_up_what_came_since_and_never_calls_the_unpriced_free(tmp_path: Path) -> None:
    client = Client(tmp_path, say=lambda _: None, start=False)
    session = {"id": "s-1", "state": "running", "last_seq": 5, "cost_nano": 100_000_000}
    talk = Conversation(client, session, Paper(), Transcript(), Until.LEFT)
    talk.take_in(called(5, 100_000_000), replayed=True)
    assert " · $0.10 · " in talk._status()
    talk.take_in(called(6, 250_000_000), replayed=True)  # shown with the old ones, and not yet in the session's figure
    talk.take_in(called(7, 150_000_000))
    talk.take_in(called(7, 150_000_000))
    assert " · $0.50 · " in talk._status()
    talk.take_in({"seq": 8, "kind": "goal.set", "data": {"text": "x", "budget_nano": 2_000_000_000}})
    talk.take_in(called(9, 750_000_000))
    assert " · $0.75 of $2.00 · " in talk._status()
    talk.take_in({"seq": 10, "kind": "control.changed", "data": {"control": "you"}})
    talk.take_in(called(11, None))
    assert " · $1.25 (unpriced calls: 1) · " in talk._status()


@pytest.mark.parametrize(
    ("session", "says"),
    [
        ({}, "cost unknown (unpriced calls: 1)"),
        ({"login": True}, "not metered (your login)"),
        (
            {"control": "agent", "goal": {"budget_nano": 10**9}, "goal_spent_nano": 2 * 10**8, "cost_nano": 5 * 10**8},
            "$0.30 (unpriced calls: 1) of $1.00",
        ),
    ],
)
def test_the_meter_begins_with_what_the_session_says(tmp_path: Path, session: dict[str, object], says: str) -> None:
    client = Client(tmp_path, say=lambda _: None, start=False)
    talk = Conversation(client, {"id": "s-1", "state": "running"} | session, Paper(), Transcript(), Until.LEFT)
    talk.take_in(called(1, None))
    assert f" · {says} · " in talk._status()
    assert "$0.00" not in talk._status()


@pytest.mark.parametrize(
    ("outcome", "code"),
    [
        ("done", 0),
        ("nothing_to_do", 0),
        ("needs_person", 3),
        ("blocked", 3),
        ("failed", 4),
        ("cancelled", 4),
        ("lost", 4),
    ],
)
def test_the_exit_status_is_the_outcome(tmp_path: Path, outcome: str, code: int) -> None:
    screen = Paper()
    talk = conversation(tmp_path, screen, Until.OUTCOME)
    talk.take_in({"seq": 1, "kind": "outcome.reached", "data": {"outcome": outcome}})
    assert talk._exit == code
    assert screen.rung == 1


def test_a_typed_goal() -> None:
    assert typed_goal("make it 'work well' --check 'pytest -q' --check ruff --budget 2 --turns 5 --time 30m") == {
        "text": "make it work well",
        "checks": ["pytest -q", "ruff"],
        "turns": 5,
        "budget_usd": "2",
        "seconds": 1800.0,
    }


@pytest.mark.parametrize("text", ["", "x --check", "x --turns none", "x 'open", "x --budget free"])
def test_a_goal_that_cannot_be_is_refused(text: str) -> None:
    with pytest.raises(InvalidInput):
        typed_goal(text)


async def test_without_a_server_a_client_that_starts_none_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"no server runs on .*`handrail up`"):
        async with Client(tmp_path, say=lambda _: None, start=False):
            pass
