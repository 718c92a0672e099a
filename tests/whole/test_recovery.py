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
        session = str(until(lambda: house.show()["id"] if house.json("sessions")["sessions"] else None))
        house.wait(session, "turn.started")
        talk.terminate()
        talk.communicate(timeout=20)
    return session


def how(log: list[Obj]) -> list[str]:
    return [event["data"]["how"] for event in log if event["kind"] == "agent.started"]


def ends(log: list[Obj]) -> list[str]:
    return [event["data"]["stop_reason"] for event in log if event["kind"] == "turn.ended"]


def agent_of(house: House, session: str) -> int:
    return int(house.wait(session, "agent.started")["data"]["pid"])


def test_the_agent_dies_in_the_middle_of_a_tool(house: House) -> None:
    session = house.hand_off([SLOW, MEND, {"text": "done"}], *CHECK)
    with Face(house, session) as face:
        until(lambda: face.of("tool.started"))
        house.kill(agent_of(house, session))
        until(lambda: face.of("outcome.reached"))
    assert face.of("outcome.reached")[0]["data"]["outcome"] == "done"
    log = house.events(session)
    assert how(log) == ["new", "loaded"]
    assert ends(log) == ["interrupted", "end_turn"]
    assert next(event["data"]["status"] for event in log if event["kind"] == "tool.ended") == "interrupted"
    assert "outcome unknown" in house.model.heard()
    made = Path(house.show(session)["workspace"]) / "made.txt"
    assert made.read_text() == "begun\n"  # the command died with its agent


def test_server_agent_and_keeper_die_at_once_and_any_verb_brings_it_back(house: House) -> None:
    session = house.hand_off([SLOW, MEND, {"text": "done"}], *CHECK)
    house.wait(session, "tool.started")
    house.kill(house.keeper(), house.server(), agent_of(house, session))
    house.empty()
    assert house.json("sessions")["sessions"][0]["id"] == session
    assert house.wait(session, "outcome.reached")["data"]["outcome"] == "done"
    log = house.events(session)
    assert (how(log), ends(log)) == (["new", "loaded"], ["interrupted", "end_turn"])
    cost = {
        turn: sum(e["data"]["cost_nano"] for e in log if e["kind"] == "model.called" and e["turn"] == turn)
        for turn in (1, 2)
    }
    assert {event["turn"]: event["data"]["cost_nano"] for event in log if event["kind"] == "turn.ended"} == cost
    assert cost[1] > 0


def test_a_question_of_a_handed_off_session_is_open_once_after_the_kill(house: House) -> None:
    ask: list[dict[str, object]] = [MEND, MEND, {"text": "done"}]  # the second is what the model does when it resumes
    session = house.hand_off(ask, *CHECK, "--permissions", "ask")
    first = house.wait(session, "approval.asked")["data"]["approval"]
    pid = house.server()
    house.kill(pid)
    house.ready(but=pid)
    house.at_rest(session, "waiting")
    assert [item["id"] for item in house.json("inbox")["approvals"]] == [first]
    house.run("approve", first)
    assert house.wait(session, "outcome.reached")["data"]["outcome"] == "done"
    log = house.events(session)
    assert len([event for event in log if event["kind"] == "approval.asked"]) == 1
    answers = [event["data"] for event in log if event["kind"] == "approval.answered"]
    assert [(answer["approval"], answer["decision"]) for answer in answers] == [(first, "allow")]
    assert house.json("inbox")["approvals"] == []


def test_a_question_that_is_answered_before_the_agent_is_back_is_not_asked_again(house: House) -> None:
    session = house.hand_off([MEND, MEND, {"text": "done"}], *CHECK, "--permissions", "ask")
    first = house.wait(session, "approval.asked")["data"]["approval"]
    house.kill(house.keeper(), house.server())
    house.empty()
    house.run("approve", first)  # starts the server, and is there before the agent
    assert house.wait(session, "outcome.reached")["data"]["outcome"] == "done"
    log = house.events(session)
    assert len([event for event in log if event["kind"] == "approval.asked"]) == 1
    assert len([event for event in log if event["kind"] == "approval.answered"]) == 1


def test_a_question_of_a_hands_on_session_waits_for_its_person(house: House) -> None:
    session = chat(house, MEND, MEND, {"text": "It is done."})
    asked = house.wait(session, "approval.asked")["data"]["approval"]
    pid = house.server()
    house.kill(pid)
    house.ready(but=pid)
    house.at_rest(session, "waiting")
    calls = len(house.model.fake.calls)
    time.sleep(1.0)
    log = house.events(session)
    assert (how(log), len(house.model.fake.calls)) == (["new"], calls)  # nothing runs by itself
    assert [item["id"] for item in house.json("inbox")["approvals"]] == [asked]
    house.run("approve", asked)
    house.wait(session, "turn.ended", count=2)
    log = house.events(session)
    assert (how(log), ends(log)) == (["new", "loaded"], ["interrupted", "end_turn"])
    assert len([event for event in log if event["kind"] == "approval.asked"]) == 1
    assert "Hello" in (Path(house.show(session)["workspace"]) / "greet.py").read_text()
    assert house.at_rest(session)["approvals"] == []


def test_a_hands_on_turn_is_shown_interrupted_and_the_next_prompt_remembers(house: House) -> None:
    session = chat(house, {"text": "Half of it.", "chunks": 2}, text="Remember the word Zebra.")
    house.wait(session, "turn.ended")
    house.run("prompt", session, prompt([{"text": "A long answer that breaks off here", "chunks": 20, "delay": 0.2}]))
    house.wait(session, "agent.text", count=2)
    pid = house.server()
    house.kill(pid)
    house.ready(but=pid)
    house.at_rest(session)
    assert ends(house.events(session)) == ["end_turn", "interrupted"]
    calls = len(house.model.fake.calls)
    time.sleep(0.5)
    assert len(house.model.fake.calls) == calls
    house.run("prompt", session, prompt([{"text": "Zebra it was."}]))
    house.wait(session, "turn.ended", count=3)
    assert how(house.events(session)) == ["new", "loaded"]
    assert "Remember the word Zebra." in house.model.heard()
    assert "A long answer" in house.model.heard()  # what was shown, the agent knows that it said


def test_a_lost_memory_is_said_and_replaced_by_a_summary(house: House) -> None:
    session = chat(house, {"text": "Noted, Zebra."}, text="Remember the word Zebra.")
    house.wait(session, "turn.ended")
    house.run("down")
    journals = list((house.data / "sessions" / session / "home").rglob("own-*.jsonl"))
    assert len(journals) == 1
    journals[0].write_text(
        '{"k":"session","cwd":"/"}\n{"k":"user","text":"Remember the word Zebra."}\n'
    )  # as it once was
    house.run("prompt", session, prompt([{"text": "I was told so."}]))
    house.wait(session, "turn.ended", count=2)
    log = house.events(session)
    assert [event["kind"] for event in log].count("memory.lost") == 1
    assert how(log) == ["new", "replayed"]
    assert "your memory of this session was lost" in house.model.heard()
    assert "Zebra" in house.model.heard()


def test_a_torn_line_of_the_journal_costs_that_line_alone(house: House) -> None:
    session = chat(house, {"text": "Noted, Zebra."}, text="Remember the word Zebra.")
    house.wait(session, "turn.ended")
    house.run("down")
    (journal,) = (house.data / "sessions" / session / "home").rglob("own-*.jsonl")
    with journal.open("ab") as file:
        file.write(b'{"k":"user","text":"half of a li')
    house.run("prompt", session, prompt([{"text": "Zebra."}]))
    house.wait(session, "turn.ended", count=2)
    assert how(house.events(session)) == ["new", "loaded"]
    assert "Noted, Zebra." in house.model.heard()
    assert "half of a li" not in house.model.heard()


def test_a_half_written_last_frame_of_the_database_costs_nothing_that_was_shown(house: House) -> None:
    session = house.hand_off([SLOW, MEND, {"text": "done"}], *CHECK)
    with Face(house, session) as face:
        until(lambda: face.of("tool.started"))
        house.kill(house.keeper(), house.server())
        house.empty()
    shown = face.seen
    wal = house.data / "handrail.db-wal"
    with wal.open("ab") as file:
        file.write(wal.read_bytes()[-4120:-2000])  # as a write that the power cut in two
    house.run("sessions")
    assert house.wait(session, "outcome.reached")["data"]["outcome"] == "done"
    assert house.events(session)[: len(shown)] == shown
