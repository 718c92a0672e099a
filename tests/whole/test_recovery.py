"""kill -9 of agent, server and keeper, in mid-tool and in mid-permission: what goes on by itself and what waits."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.fake_provider import prompt
from tests.whole.house import MODEL, Face, House, Obj, until

pytestmark = pytest.mark.timeout(150)  # many processes: a busy machine may take its time

MEND: dict[str, object] = {"shell": "sed -i s/Hallo/Hello/ greet.py"}
SLOW: dict[str, object] = {"shell": "echo begun >> made.txt; sleep 5; echo ended >> made.txt"}
CHECK = ("--check", "sh check.sh")


def chat(house: House, *steps: dict[str, object], text: str = "Look.") -> str:
    """Start a hands-on session whose turn goes on without a terminal; its id."""
    with house.start("chat", prompt(list(steps), text), *MODEL) as talk:
        session = str(until(lambda: of(house), why="a session was begun"))
        house.wait(session, "turn.started")
        talk.terminate()
        talk.communicate(timeout=20)
    return session


def of(house: House) -> str | None:
    """The session of this repository, if there is one already."""
    told = house.json("sessions")["sessions"]
    return next((str(one["id"]) for one in told if one["repository"] == str(house.repository)), None)


def how(log: list[Obj]) -> list[str]:
    return [event["data"]["how"] for event in log if event["kind"] == "agent.started"]


def ends(log: list[Obj]) -> list[str]:
    return [event["data"]["stop_reason"] for event in log if event["kind"] == "turn.ended"]


def agent_of(house: House, session: str) -> int:
    return int(house.wait(session, "agent.started")["data"]["pid"])


def test_the_agent_dies_in_the_middle_of_a_tool(shared: House) -> None:
    session = shared.hand_off([SLOW, MEND, {"text": "done"}], *CHECK)
    with Face(shared, session) as face:
        until(lambda: face.of("tool.started"))
        shared.kill(agent_of(shared, session))
        until(lambda: face.of("outcome.reached"))
    assert face.of("outcome.reached")[0]["data"]["outcome"] == "done"
    log = shared.events(session)
    assert how(log) == ["new", "loaded"]
    assert ends(log) == ["interrupted", "end_turn"]
    assert next(event["data"]["status"] for event in log if event["kind"] == "tool.ended") == "interrupted"
    assert "outcome unknown" in shared.model.heard()
    made = Path(shared.show(session)["workspace"]) / "made.txt"
    assert made.read_text() == "begun\n"  # the command died with its agent


def test_server_agent_and_keeper_die_at_once_and_any_verb_brings_it_back(shared: House) -> None:
    session = shared.hand_off([SLOW, MEND, {"text": "done"}], *CHECK)
    shared.wait(session, "tool.started")
    shared.kill(shared.keeper(), shared.server(), agent_of(shared, session))
    shared.empty()
    assert shared.json("sessions")["sessions"][0]["id"] == session
    assert shared.wait(session, "outcome.reached")["data"]["outcome"] == "done"
    log = shared.events(session)
    assert (how(log), ends(log)) == (["new", "loaded"], ["interrupted", "end_turn"])
    cost = {
        turn: sum(e["data"]["cost_nano"] for e in log if e["kind"] == "model.called" and e["turn"] == turn)
        for turn in (1, 2)
    }
    assert {event["turn"]: event["data"]["cost_nano"] for event in log if event["kind"] == "turn.ended"} == cost
    assert cost[1] > 0


def test_a_question_of_a_handed_off_session_is_open_once_after_the_kill(shared: House) -> None:
    ask: list[dict[str, object]] = [MEND, MEND, {"text": "done"}]  # the second is what the model does when it resumes
    session = shared.hand_off(ask, *CHECK, "--permissions", "ask")
    first = shared.wait(session, "approval.asked")["data"]["approval"]
    pid = shared.server()
    shared.kill(pid)
    shared.ready(but=pid)
    shared.at_rest(session, "waiting")
    assert [item["id"] for item in shared.json("inbox")["approvals"]] == [first]
    shared.run("approve", first)
    assert shared.wait(session, "outcome.reached")["data"]["outcome"] == "done"
    log = shared.events(session)
    assert len([event for event in log if event["kind"] == "approval.asked"]) == 1
    answers = [event["data"] for event in log if event["kind"] == "approval.answered"]
    assert [(answer["approval"], answer["decision"]) for answer in answers] == [(first, "allow")]
    assert shared.json("inbox")["approvals"] == []


def test_a_question_whose_agent_alone_died_is_asked_anew_and_open_once(shared: House) -> None:
    session = shared.hand_off([MEND, MEND, {"text": "done"}], *CHECK, "--permissions", "ask")
    first = shared.wait(session, "approval.asked")["data"]["approval"]
    shared.kill(agent_of(shared, session))
    second = shared.wait(session, "approval.asked", count=2)["data"]["approval"]
    assert [item["id"] for item in shared.json("inbox")["approvals"]] == [second]
    shared.run("approve", second)
    assert shared.wait(session, "outcome.reached")["data"]["outcome"] == "done"
    log = shared.events(session)
    assert (how(log), ends(log)) == (["new", "loaded"], ["interrupted", "end_turn"])
    answers = [event["data"] for event in log if event["kind"] == "approval.answered"]
    assert [(one["approval"], one["decision"]) for one in answers] == [(first, "cancelled"), (second, "allow")]


def test_a_hands_on_turn_whose_agent_alone_died_waits_for_its_person(shared: House) -> None:
    session = chat(shared, MEND, {"text": "never"}, text="Remember the word Zebra.")
    shared.wait(session, "approval.asked")
    shared.kill(agent_of(shared, session))
    told = shared.at_rest(session)
    calls = len(shared.model.fake.calls)
    time.sleep(0.5)
    log = shared.events(session)
    assert (how(log), ends(log), told["approvals"]) == (["new"], ["interrupted"], [])
    assert len(shared.model.fake.calls) == calls  # nothing runs by itself
    shared.run("prompt", session, prompt([{"text": "Zebra it was."}]))
    shared.wait(session, "turn.ended", count=2)
    assert how(shared.events(session)) == ["new", "loaded"]
    assert "Remember the word Zebra." in shared.model.heard()


def test_a_question_that_is_answered_before_the_agent_is_back_is_not_asked_again(shared: House) -> None:
    session = shared.hand_off([MEND, MEND, {"text": "done"}], *CHECK, "--permissions", "ask")
    first = shared.wait(session, "approval.asked")["data"]["approval"]
    shared.kill(shared.keeper(), shared.server())
    shared.empty()
    shared.run("approve", first)  # starts the server, and is there before the agent
    assert shared.wait(session, "outcome.reached")["data"]["outcome"] == "done"
    log = shared.events(session)
    assert len([event for event in log if event["kind"] == "approval.asked"]) == 1
    assert len([event for event in log if event["kind"] == "approval.answered"]) == 1


def test_a_question_of_a_hands_on_session_waits_for_its_person(shared: House) -> None:
    session = chat(shared, MEND, MEND, {"text": "It is done."})
    asked = shared.wait(session, "approval.asked")["data"]["approval"]
    pid = shared.server()
    shared.kill(pid)
    shared.ready(but=pid)
    shared.at_rest(session, "waiting")
    calls = len(shared.model.fake.calls)
    time.sleep(1.0)
    log = shared.events(session)
    assert (how(log), len(shared.model.fake.calls)) == (["new"], calls)  # nothing runs by itself
    assert [item["id"] for item in shared.json("inbox")["approvals"]] == [asked]
    shared.run("approve", asked)
    shared.wait(session, "turn.ended", count=2)
    log = shared.events(session)
    assert (how(log), ends(log)) == (["new", "loaded"], ["interrupted", "end_turn"])
    assert len([event for event in log if event["kind"] == "approval.asked"]) == 1
    assert "Hello" in (Path(shared.show(session)["workspace"]) / "greet.py").read_text()
    assert shared.at_rest(session)["approvals"] == []


def test_a_hands_on_turn_is_shown_interrupted_and_the_next_prompt_remembers(shared: House) -> None:
    session = chat(shared, {"text": "Half of it.", "chunks": 2}, text="Remember the word Zebra.")
    shared.wait(session, "turn.ended")
    shared.run("prompt", session, prompt([{"text": "A long answer that breaks off here", "chunks": 20, "delay": 0.2}]))
    shared.wait(session, "agent.text", count=2)
    pid = shared.server()
    shared.kill(pid)
    shared.ready(but=pid)
    shared.at_rest(session)
    assert ends(shared.events(session)) == ["end_turn", "interrupted"]
    calls = len(shared.model.fake.calls)
    time.sleep(0.5)
    assert len(shared.model.fake.calls) == calls
    shared.run("prompt", session, prompt([{"text": "Zebra it was."}]))
    shared.wait(session, "turn.ended", count=3)
    assert how(shared.events(session)) == ["new", "loaded"]
    assert "Remember the word Zebra." in shared.model.heard()
    assert "A long answer" in shared.model.heard()  # what was shown, the agent knows that it said


def test_a_lost_memory_is_said_and_replaced_by_a_summary(shared: House) -> None:
    session = chat(shared, {"text": "Noted, Zebra."}, text="Remember the word Zebra.")
    shared.wait(session, "turn.ended")
    shared.run("down")
    journals = list((shared.data / "sessions" / session / "home").rglob("own-*.jsonl"))
    assert len(journals) == 1
    journals[0].write_text(
        '{"k":"session","cwd":"/"}\n{"k":"user","text":"Remember the word Zebra."}\n'
    )  # as it once was
    shared.run("prompt", session, prompt([{"text": "I was told so."}]))
    shared.wait(session, "turn.ended", count=2)
    log = shared.events(session)
    assert [event["kind"] for event in log].count("memory.lost") == 1
    assert how(log) == ["new", "replayed"]
    assert "your memory of this session was lost" in shared.model.heard()
    assert "Zebra" in shared.model.heard()


def test_a_torn_line_of_the_journal_costs_that_line_alone(shared: House) -> None:
    session = chat(shared, {"text": "Noted, Zebra."}, text="Remember the word Zebra.")
    shared.wait(session, "turn.ended")
    shared.run("down")
    (journal,) = (shared.data / "sessions" / session / "home").rglob("own-*.jsonl")
    with journal.open("ab") as file:
        file.write(b'{"k":"user","text":"half of a li')
    shared.run("prompt", session, prompt([{"text": "Zebra."}]))
    shared.wait(session, "turn.ended", count=2)
    assert how(shared.events(session)) == ["new", "loaded"]
    assert "Noted, Zebra." in shared.model.heard()
    assert "half of a li" not in shared.model.heard()


def test_a_half_written_last_frame_of_the_database_costs_nothing_that_was_shown(shared: House) -> None:
    session = shared.hand_off([SLOW, MEND, {"text": "done"}], *CHECK)
    with Face(shared, session) as face:
        until(lambda: face.of("tool.started"))
        shared.kill(shared.keeper(), shared.server())
        shared.empty()
    shown = face.seen
    wal = shared.data / "handrail.db-wal"
    with wal.open("ab") as file:
        file.write(wal.read_bytes()[-4120:-2000])  # as a write that the power cut in two
    shared.run("sessions")
    assert shared.wait(session, "outcome.reached")["data"]["outcome"] == "done"
    assert shared.events(session)[: len(shown)] == shown
