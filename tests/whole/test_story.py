"""The whole story by command line alone: talk, hand off, see, take, go back, and what programs read of it."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path

import pytest

from tests.fake_provider import prompt
from tests.whole.conftest import git
from tests.whole.house import MODEL, House, Obj, until

pytestmark = pytest.mark.timeout(150)  # many processes: a busy machine may take its time

MEND: dict[str, object] = {"shell": "sed -i s/Hallo/Hello/ greet.py"}
CHECK = ("--check", "sh check.sh")
SPEND = {
    "total_nano", "unpriced", "not_metered", "calls", "forecast", "by_model", "by_session", "by_scope", "by_day",
    "by_agent", "by_member", "by_workflow",
}  # fmt: skip
SESSION = {
    "id", "title", "agent", "provider", "model", "repository", "workspace", "base", "branch", "sandbox", "holds",
    "permissions", "control", "state", "outcome", "outcome_reason", "turn", "queued", "goal", "cost_nano", "unpriced",
    "tokens", "agent_session", "created", "updated", "last_seq", "approvals",
}  # fmt: skip
APPROVAL = {
    "id", "session", "title", "tool", "input", "diffs", "options", "asked", "state", "decision", "by", "because",
}  # fmt: skip
"""what the API's description promises"""


def ask_and_approve(house: House, talk: subprocess.Popen[bytes], decision: tuple[str, ...]) -> Obj:
    """Answer the question that a piped talk waits on."""
    (item,) = until(lambda: talk.poll() is None and house.json("inbox")["approvals"])
    assert isinstance(item, dict)
    house.run(decision[0], item["id"], *decision[1:])
    return item


def test_a_talk_in_a_pipe(shared: House) -> None:
    prompts = [prompt([{"read": "greet.py"}, {"text": "It says Hallo."}]), prompt([MEND, {"text": "Now Hello."}])]
    with shared.start("chat", *MODEL, stdin=subprocess.PIPE) as talk:
        assert talk.stdin is not None
        talk.stdin.write("\n".join(prompts).encode() + b"\n")
        talk.stdin.close()
        talk.stdin = None
        asked = ask_and_approve(shared, talk, ("approve",))
        out, errors = talk.communicate(timeout=40)
    assert (talk.returncode, errors) == (0, b"")
    assert set(asked) >= APPROVAL
    text = out.decode()
    assert text.index("It says Hallo.") < text.index("Now Hello.")
    assert asked["id"] in text
    assert [file["path"] for file in shared.json("diff")["files"]] == ["greet.py"]
    told = shared.show()
    assert (told["control"], told["turn"], told["state"]) == ("you", 2, "idle")


def test_a_refusal_is_told_and_changes_nothing(shared: House) -> None:
    with shared.start("chat", prompt([MEND, {"text": "I could not."}]), *MODEL, stdin=subprocess.PIPE) as talk:
        ask_and_approve(shared, talk, ("deny", "--because", "not on a Friday"))
        out, _ = talk.communicate(b"", timeout=40)
    assert b"I could not." in out
    assert shared.json("diff")["files"] == []
    ended = shared.events("last", "tool.ended")
    assert [event["data"]["status"] for event in ended] == ["denied"]


def test_a_goal_its_change_and_the_way_back(shared: House) -> None:
    steps: list[dict[str, object]] = [
        {"shell": "sed -i s/Hallo/Hullo/ greet.py; echo a > new.txt"},
        {"text": "Done."},
        {"shell": "sed -i s/Hullo/Hello/ greet.py"},
        {"text": "Now."},
    ]
    done = shared.run("do", prompt(steps, "Make it say Hello."), *CHECK, *MODEL, "--budget", "2", "--turns", "5")
    assert "greet.py" in done.stdout
    assert "cost: $" in done.stdout
    told = shared.show()
    assert set(told) >= SESSION
    assert (told["outcome"], told["turn"], told["goal"]["turns"]) == ("done", 2, 5)
    patch = shared.run("diff").stdout
    assert '+    return "Hello " + name' in patch
    here = shared.repository
    assert "Hallo" in (here / "greet.py").read_text()
    shared.run("apply", "--branch", "hello")
    assert "Hello" in git(here, "show", "hello:greet.py")
    assert git(here, "status", "--porcelain") == ""
    shared.run("apply", "--uncommitted")
    assert sorted(git(here, "status", "--porcelain").split()) == ["??", "M", "greet.py", "new.txt"]
    assert "Hello" in (here / "greet.py").read_text()
    git(here, "stash", "-u", "-q")
    git(here, "apply", "--check", str(kept(shared.data / "a.patch", patch)))
    shared.run("undo", "--to", "1")
    assert "Hullo" in shared.run("diff").stdout
    shared.run("undo", "--to", "0")
    assert shared.json("diff")["files"] == []
    workspace = Path(told["workspace"])
    assert "Hallo" in (workspace / "greet.py").read_text()
    assert not (workspace / "new.txt").exists()


def kept(file: Path, text: str) -> Path:
    file.write_text(text)
    return file


def test_what_is_not_committed_comes_along_on_request(shared: House) -> None:
    here, told = shared.repository, {"greet.py": "dirty = True\n", "new.txt": "untracked\n"}
    for name, text in told.items():
        (here / name).write_text(text)
    before = git(here, "status", "--porcelain")
    for options, expected in (
        (("--include-uncommitted",), told),
        ((), {"greet.py": git(here, "show", "HEAD:greet.py")}),
    ):
        session = shared.hand_off([{"text": "ok"}], *options)
        workspace = Path(shared.show(session)["workspace"])
        assert {name: (workspace / name).read_text() for name in told if (workspace / name).exists()} == expected
    assert git(here, "status", "--porcelain") == before
    assert {name: (here / name).read_text() for name in told} == told


def test_exit_statuses_of_do(shared: House) -> None:
    def do(steps: list[dict[str, object]], *options: str, code: int) -> Obj:
        done = shared.run("do", prompt(steps), *options, *MODEL, "--json", code=code)
        told: Obj = json.loads(done.stdout)
        assert set(told) == {"session", "outcome", "files"}
        return told

    assert do([MEND, {"text": "ok"}], *CHECK, code=0)["outcome"]["outcome"] == "done"
    assert do([{"text": "ok"}], "--check", "true", code=0)["outcome"]["outcome"] == "nothing_to_do"
    assert do([{"text": "ok"}], code=3)["outcome"]["cause"] == "no_checks"
    assert do([{"text": "ok"}], "--check", "false", "--turns", "1", code=4)["outcome"]["cause"] == "turns_spent"
    assert do([MEND, {"text": "ok"}], *CHECK, "--permissions", "deny", code=3)["outcome"]["cause"] == "denied"


def test_control_changes_hands(shared: House) -> None:
    session = shared.hand_off([{"shell": "sleep 30"}, {"text": "never"}], *CHECK)
    shared.wait(session, "tool.started")
    shared.run("take", session)
    told = shared.at_rest(session)
    assert (told["control"], told["outcome"]) == ("you", None)
    shared.run("handoff", session, "--goal", prompt([MEND, {"text": "done"}]), *CHECK, "--turns", "3")
    shared.wait(session, "outcome.reached")
    told = shared.at_rest(session)
    assert (told["control"], told["outcome"]) == ("you", "done")
    who = [event["data"]["control"] for event in shared.events(session, "control.changed")]
    assert who == ["agent", "you", "agent", "you"]
    shared.run("end", session)
    assert "ended" in shared.refused("prompt", session, "again")
    assert shared.json("diff", session)["files"]


def test_attach_follows_live_and_ends_with_the_session(shared: House) -> None:
    session = shared.hand_off(
        [{"text": "One word at a time.", "chunks": 5, "delay": 0.3}, MEND, {"text": "ok"}], *CHECK
    )
    with shared.start("attach", session) as face:
        shared.wait(session, "outcome.reached")
        shared.run("end", session)
        out, errors = face.communicate(timeout=30)
    assert (face.returncode, errors) == (0, b"")
    assert b"One word at a time." in out
    assert b"done" in out


def test_what_programs_read(house: House) -> None:
    session = house.hand_off([{"text": "hm"}, MEND, {"text": "ok"}], *CHECK, "--budget", "1")
    house.wait(session, "outcome.reached")
    (told,) = house.json("sessions")["sessions"]
    assert set(told) >= SESSION
    assert told == house.show(session)
    assert told["goal"]["budget_nano"] == 10**9
    assert set(told["tokens"]) == {"input", "cached", "output"}
    log = house.events(session)
    assert [event["seq"] for event in log] == list(range(1, told["last_seq"] + 1))
    assert all(set(event) == {"seq", "time", "turn", "kind", "data"} for event in log)
    spend = house.json("spend")
    assert set(spend) == SPEND
    called = [event["data"]["cost_nano"] for event in log if event["kind"] == "model.called"]
    assert spend["total_nano"] == told["cost_nano"] == sum(called) > 0
    assert spend["calls"] == len(called)
    status = house.json("status")
    assert status["sessions"]["total"] == 1
    assert {"reads", "writes", "network", "processes", "secrets", "kill"} <= set(status["sandbox"]["holds"])
    assert all(check["ok"] for check in house.json("doctor")["checks"])
    waits = house.json("inbox")
    assert (waits["approvals"], waits["effects"]) == ([], [])


def test_a_prompt_that_waits_is_taken_in_its_turn(shared: House) -> None:
    session = shared.hand_off([{"text": "hm"}])
    shared.wait(session, "outcome.reached")
    shared.run("prompt", session, prompt([{"shell": "until test -e go; do sleep 0.1; done"}, {"text": "first"}]))
    shared.wait(session, "tool.started")
    shared.run("prompt", session, prompt([{"text": "second"}]))
    told = shared.show(session)
    assert told["queued"] == 1
    (Path(told["workspace"]) / "go").touch()
    shared.wait(session, "turn.ended", count=3)
    assert [event["data"]["text"] for event in shared.events(session, "agent.text")][-2:] == ["first", "second"]
