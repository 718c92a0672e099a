"""chat, do and the verbs about sessions: the real server, Handrail's own agent, a scripted model."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from tests.cli.conftest import Cli, begun
from tests.fake_provider import prompt

BARE = ("--sandbox", "none")
FREE = (*BARE, "--permissions", "allow")
WRITE = prompt([{"write": {"path": "new.txt", "content": "x\n"}}, {"text": "written"}])


def kinds(cli: Cli) -> list[str]:
    return [json.loads(row)["kind"] for row in cli.run("log", begun(cli), "--json").stdout.splitlines()]


def open_question(cli: Cli) -> str:
    session, end = begun(cli), time.monotonic() + 20
    while not (found := [one for one in cli.json("inbox")["approvals"] if one["session"] == session]):
        assert time.monotonic() < end
        time.sleep(0.05)
    return str(found[0]["id"])


def running(cli: Cli) -> None:
    """Wait until the tool of the session runs."""
    end = time.monotonic() + 20
    while "tool.started" not in kinds(cli):
        assert time.monotonic() < end
        time.sleep(0.05)


def test_each_line_of_a_pipe_is_a_prompt(work: Cli) -> None:
    lines = [
        prompt([{"text": "the first answer", "chunks": 3}]),
        "",
        prompt([{"shell": "echo hi"}, {"text": "the second"}]),
    ]
    done = work.run("chat", *FREE, stdin="\n".join(lines))
    first, second = done.stdout.split("── turn 1")
    assert "NO SANDBOX" in first
    assert "the first answer" in first
    assert "echo hi" in second
    assert "the second" in second
    assert done.stderr == ""
    assert kinds(work).count("turn.ended") == 2
    again = work.run("chat", "--session", "last", stdin=prompt([{"text": "third"}]) + "\n").stdout
    assert "the second" in again
    assert "── turn 3" in again


def test_a_failed_turn_fails_the_pipe(work: Cli) -> None:
    done = work.run("chat", *BARE, stdin=prompt([{"fault": "400"}]), code=1)
    assert "✗" in done.stdout


@pytest.mark.parametrize(("raw", "says"), [(b"caf\xe9\n", "stdin: "), (b"x" * 2_000_000, "PROMPT: '2000000 bytes'")])
def test_a_bad_line_is_one_sentence(work: Cli, raw: bytes, says: str) -> None:
    command = [sys.executable, "-m", "handrail.cli", "chat", *BARE]
    done = subprocess.run(
        command, input=raw, capture_output=True, cwd=work.cwd, env=work.environment, timeout=30, check=False
    )
    assert done.returncode == 2
    assert done.stderr.decode().startswith(f"handrail: {says}")
    assert done.stderr.count(b"\n") == 1


def test_do_follows_to_done_and_tells_how_to_take_it(work: Cli) -> None:
    done = work.run("do", WRITE, "--check", "test -f new.txt", "--budget", "1.50", "--turns", "3", *FREE)
    for part in ("limits: 3 turns, $1.50", "new.txt +1 -0", "check test -f new.txt ✓", "✓ done", "1 file, +1 -0"):
        assert part in done.stdout
    assert "unpriced calls: 2" in done.stdout
    assert "handrail apply s-" in done.stdout
    patch = work.run("diff").stdout
    subprocess.run(["git", "apply", "--check"], input=patch, text=True, cwd=work.cwd, check=True, timeout=20)
    assert "+1 -0" in work.run("diff", "--turn", "1", "--stat").stdout
    assert "applied as branch fix" in work.run("apply", "--branch", "fix").stdout
    show = subprocess.run(
        ["git", "show", "fix:new.txt"], cwd=work.cwd, capture_output=True, text=True, check=True, timeout=20
    )
    assert show.stdout == "x\n"
    assert "at the start" in work.run("undo").stdout
    assert "no change" in work.run("diff", "--stat").stdout
    assert work.json("show")["outcome"] == "done"
    assert "done" in work.run("sessions").stdout


def test_do_json_is_one_document(work: Cli) -> None:
    steering = prompt([{"write": {"path": "AGENTS.md", "content": "Obey.\n"}}, {"text": "written"}])
    told = work.json("do", steering, "--check", "test -f AGENTS.md", *FREE)
    assert told["outcome"]["outcome"] == "done"
    assert told["session"]["outcome"] == "done"
    assert [(file["path"], file["flag"]) for file in told["files"]] == [("AGENTS.md", "tells coding agents what to do")]
    stat = work.run("diff", "--stat").stdout
    assert "AGENTS.md  +1 -0  (tells coding agents what to do)" in stat


def test_a_check_that_never_passes_ends_in_three(work: Cli) -> None:
    done = work.run("do", WRITE, "--check", "false", "--turns", "1", *FREE, code=None)
    assert done.returncode in {3, 4}
    assert "✗ exit 1 false" in done.stdout
    assert work.run("do", WRITE, "--check", "false", "--turns", "1", "--json", *FREE, code=done.returncode)


def test_detached_work_goes_on_and_can_be_taken(work: Cli) -> None:
    slow = prompt([{"shell": "sleep 20"}, {"text": "late"}])
    session = work.json("do", slow, "--check", "true", "--detach", *FREE)
    name = session["id"]
    assert session["control"] == "agent"
    assert "is yours" in work.run("take", name[:6]).stdout
    assert work.json("show", name)["control"] == "you"
    assert work.run("handoff", name, "--goal", prompt([{"text": "ok"}]), "--check", "true").returncode == 0
    assert "has ended" in work.run("end", name).stdout
    assert work.run("prompt", name, "more", code=2).stderr.count("\n") == 1


def test_a_question_is_answered_from_another_terminal(work: Cli) -> None:
    with work.start("chat", *BARE, WRITE) as talk:
        question = open_question(work)
        listed = work.run("inbox").stdout
        assert "new.txt" in listed
        assert "1 Allow" in listed
        assert work.run("deny", question, "--because", "not now").stdout == "denied\n"
        assert "denied" in work.run("approve", question, code=2).stderr.replace("deny", "denied")
        out, _ = talk.communicate("", timeout=30)
    assert f"handrail approve {question}" in out
    assert "✗ denied by you: not now" in out
    assert work.json("diff")["files"] == []


def test_always_and_a_policy_file(work: Cli, tmp_path: Path) -> None:
    rules = tmp_path / "policy.yaml"
    rules.write_text('shell: {deny: ["git push *"]}\n')
    steps = [
        {"shell": "make run-1234 || true"},
        {"shell": "make run-5678 || true"},
        {"shell": "git push"},
        {"text": "ok"},
    ]
    with work.start("chat", *BARE, "--policy", str(rules), prompt(steps)) as talk:
        told = work.run("approve", open_question(work), "--for-session").stdout
        out, _ = talk.communicate("", timeout=30)
    assert told.startswith("allowed\nfrom now on in this session: shell: allow make run-*")
    assert "denied by policy: the session policy says deny: its rule `git push *` names `git push`" in out
    rules.write_text("shell: {allow: x}\n")
    assert "policy:1: shell.allow: 'x' cannot be used" in work.run("chat", "--policy", str(rules), "hi", code=2).stderr
    assert "--policy" in work.run("chat", "--policy", str(tmp_path / "none.yaml"), "hi", code=2).stderr


def test_an_option_of_the_agent_lasts(work: Cli) -> None:
    twice = prompt(
        [
            {"write": {"path": "a.txt", "content": "1"}},
            {"write": {"path": "b.txt", "content": "2"}},
            {"text": "both"},
        ]
    )
    with work.start("chat", *BARE, twice) as talk:
        question = open_question(work)
        options = {option["kind"]: option for option in work.json("inbox")["approvals"][0]["options"]}
        assert work.run("deny", question, "--option", options["allow_always"]["id"], code=2).stderr
        work.run("approve", question, "--option", options["allow_always"]["name"])
        talk.communicate("", timeout=30)
    assert talk.returncode == 0
    assert len(work.json("diff")["files"]) == 2


def test_prompt_queues_and_cancel_cancels(work: Cli) -> None:
    slow = prompt([{"shell": "sleep 20"}, {"text": "late"}])
    with work.start("chat", *FREE, slow) as talk:
        running(work)
        assert "queued" in work.run("prompt", "last", prompt([{"text": "after"}])).stdout
        assert work.run("prompt", "last", "-", stdin="from stdin").returncode == 0
        work.run("cancel")
        out, _ = talk.communicate("", timeout=30)
    assert "cancelled" in out
    assert "after" in out


def test_ctrl_c_cancels_the_turn_and_twice_leaves(work: Cli) -> None:
    slow = prompt([{"shell": "sleep 20"}, {"text": "late"}])
    with work.start("chat", *FREE, slow) as talk:
        running(work)
        talk.send_signal(signal.SIGINT)
        assert talk.stdout is not None
        while "cancelling the turn" not in talk.stdout.readline():
            pass
        talk.send_signal(signal.SIGINT)
        out, told = talk.communicate("", timeout=20)
    assert talk.returncode == 130, (out, told)
    assert "come back with: handrail attach" in out
    assert "Traceback" not in out


def test_a_talk_goes_on_when_the_server_is_killed(work: Cli) -> None:
    with work.start("chat", *BARE, prompt([{"text": "before"}])) as talk:
        assert talk.stdin is not None
        while "turn.ended" not in kinds(work):
            time.sleep(0.05)
        pid = work.json("status")["pid"]
        os.kill(pid, signal.SIGKILL)
        while work.json("status").get("pid") in {None, pid}:
            time.sleep(0.05)
        out, told = talk.communicate(prompt([{"text": "after the fall"}]) + "\n", timeout=40)
    assert talk.returncode == 0, (out, told)
    assert out.count("before") == 2  # in the prompt's script, and once as the answer
    assert "after the fall" in out.rsplit("\n> ", 1)[1].split("\n", 1)[1]


def test_a_log_is_filtered_and_pages(work: Cli) -> None:
    work.run("chat", *BARE, stdin=prompt([{"text": "hello"}]))
    rows = [
        json.loads(row) for row in work.run("log", "--json", "--kind", "turn.ended", "--after", "1").stdout.splitlines()
    ]
    assert [row["kind"] for row in rows] == ["turn.ended"]
    with work.start("log", "--follow") as following:
        assert following.stdout is not None
        assert any("hello" in line for line in following.stdout)
        following.send_signal(signal.SIGINT)
        _, told = following.communicate(timeout=20)
    assert following.returncode == 130
    assert told == ""


def test_a_killed_talk_ends_no_session(work: Cli) -> None:
    with work.start("do", prompt([{"shell": "sleep 1"}, {"text": "x"}]), "--check", "true", *FREE) as talk:
        begun(work)
        talk.kill()
        talk.communicate(timeout=20)
    end = time.monotonic() + 20
    while work.json("show")["outcome"] is None and time.monotonic() < end:
        time.sleep(0.2)
    assert work.json("show")["outcome"] in {"done", "nothing_to_do"}
