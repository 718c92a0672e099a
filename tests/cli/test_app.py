from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from handrail.cli import app
from handrail.cli.app import load
from handrail.cli.verbs import SECTIONS, VERBS
from handrail.errors import HandrailError, NotFound
from tests.cli.reference import page

REFERENCE = Path(__file__).parents[2] / "docs" / "reference" / "cli.md"
COMMAND = [sys.executable, "-m", "handrail.cli"]


def handrail(*words: str | bytes, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [*COMMAND, *words], capture_output=True, text=True, timeout=60, check=False, env=os.environ | (env or {})
    )


def test_help_lists_every_verb_by_section_and_loads_none(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["--help"]) == 0
    shown = capsys.readouterr().out
    assert all(f"\n  {name} " in shown for name in VERBS)
    assert all(f"\n{title}:\n" in shown for title in SECTIONS)


def test_help_is_cheap_and_loads_no_client_no_server() -> None:
    code = "import sys; from handrail.cli import app; app.main(['--help']); sys.stderr.write(' '.join(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(done.stderr.split())
    assert not loaded & {"httpx2", "msgspec", "rich", "asyncio", "prompt_toolkit", "pydantic"}
    assert not loaded & {"sqlalchemy", "alembic", "starlette", "uvicorn"}


def test_status_loads_neither_server_nor_database(tmp_path: Path) -> None:
    code = (
        "import sys; from handrail.cli import app\n"
        f"assert app.main(['status', '--data', {str(tmp_path)!r}]) == 0\n"
        "sys.stderr.write(' '.join(sys.modules))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=True)
    loaded = set(done.stderr.split())
    # typer itself loads pydantic to convert arguments (0.29: typer/_coercion.py)
    assert not loaded & {"sqlalchemy", "alembic", "starlette", "uvicorn", "rich", "prompt_toolkit"}
    rooms = ("web", "commands", "sessions", "store", "agents", "sandbox", "workspaces", "gateway", "policy")
    assert not [name for name in loaded if name.startswith(tuple(f"handrail.{room}" for room in rooms))]


@pytest.mark.parametrize("name", VERBS)
def test_every_verb_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main([name, "--help"]) == 0
    shown = capsys.readouterr().out
    assert f"Usage: handrail {name}" in shown
    assert f"Example: handrail {name}" in shown
    verb = VERBS[name]
    assert verb.help[0].isupper()
    assert verb.help.endswith(".")


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (["sessoins"], "Did you mean 'sessions'?"),
        (["chat", "--nonsense"], "No such option: --nonsense"),
        (["workflows", "trust", "x"], "Missing argument 'LEVEL'"),
        (["log", "last", "--after", "x"], "Invalid value for '--after'"),
        (["sessions", "--state", "sleeping"], "give idle, running, waiting or ended"),
        (["apply", "--branch", "x", "--uncommitted"], "not both"),
    ],
)
def test_what_was_mistyped_is_one_sentence(
    words: list[str], says: str, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    assert app.main(["--data", str(tmp_path), *words]) == 2
    told = capsys.readouterr()
    assert says in told.err
    assert told.err.startswith("handrail: ")
    assert told.err.count("\n") == 1
    assert told.out == ""


@pytest.mark.parametrize(
    ("words", "says"),
    [
        ([b"do", b"fix", b"--budget", b"abc"], "--budget: 'abc' cannot be used: give a positive amount of US dollars"),
        ([b"do", b"fix", b"--time", b"soon"], "--time: 'soon' cannot be used"),
        ([b"do", b"fix", b"--sandbox", b"jail"], "--sandbox: 'jail' cannot be used: give bubblewrap, none or seatbelt"),
        ([b"do", b"caf\xe9"], "GOAL: 'caf\\\\udce9' cannot be used: give text in UTF-8"),
        ([b"chat", b"hello", b"--repo", b"/"], "--repo: '/' cannot be used: go to a git repository"),
        ([b"providers", b"set", b"x", b"--wire", b"w", b"--key-env", b"NOT_SET"], "--key-env: 'NOT_SET'"),
        ([b"up", b"--data", b"/dev/null/x"], "--data: '/dev/null/x' cannot be used"),
    ],
)
def test_bad_input_is_one_sentence_and_starts_no_server(words: list[bytes], says: str, tmp_path: Path) -> None:
    data = tmp_path / "data"
    done = handrail(*words, env={"HANDRAIL_DATA": str(data)})
    assert done.returncode == 2
    assert says in done.stderr
    assert done.stderr.count("\n") == 1
    assert not data.exists()


def test_a_key_is_never_an_argument(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["providers", "set", "--help"]) == 0
    assert "--key " not in capsys.readouterr().out


def test_a_narrow_locale_loses_letters_only(tmp_path: Path) -> None:
    env = {"LC_ALL": "C", "PYTHONUTF8": "0", "PYTHONCOERCECLOCALE": "0", "PYTHONIOENCODING": "ascii"}
    done = handrail("--data", str(tmp_path / "dätä"), "status", env=env)
    assert done.returncode == 0
    assert "no server runs on" in done.stdout


def test_a_closed_pipe_is_quiet() -> None:
    done = subprocess.run(
        ["bash", "-c", f"set -o pipefail; {sys.executable} -m handrail.cli --help | true"],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stderr == ""


@pytest.mark.parametrize(
    ("error", "code", "says"),
    [
        (NotFound("there is no session x"), 2, "handrail: there is no session x\n"),
        (HandrailError("it broke"), 1, "handrail: it broke\n"),
        (KeyboardInterrupt(), 130, ""),
        (BrokenPipeError(), 141, ""),
    ],
)
def test_failures_end_as_one_sentence(
    error: BaseException, code: int, says: str, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    def fails() -> None:
        raise error

    monkeypatch.setattr("handrail.cli.server.down", fails)
    kept = os.dup(1)
    try:
        assert app.main(["down"]) == code
    finally:
        os.dup2(kept, 1)
        os.close(kept)
    assert capfd.readouterr().err == says


def test_a_goal_in_the_place_of_a_session_is_shown_the_way(capsys: pytest.CaptureFixture[str]) -> None:
    assert app.main(["handoff", "Make it green", "--check", "make test"]) == 2
    assert "begins with `handrail do`" in capsys.readouterr().err


def test_a_fault_of_ours_leaves_a_file_and_one_sentence(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    def fails() -> None:
        raise ZeroDivisionError("secret detail")

    monkeypatch.setattr("handrail.cli.server.down", fails)
    monkeypatch.setenv("HANDRAIL_DATA", str(tmp_path))
    (tmp_path / "logs").mkdir()
    assert app.main(["down"]) == 1
    told = capsys.readouterr().err
    assert told.startswith("handrail: this is a fault of Handrail (ZeroDivisionError); what happened is in ")
    assert "secret detail" not in told
    (crash,) = (tmp_path / "logs").glob("handrail-crash-*.txt")
    assert "secret detail" in crash.read_text("utf-8")


@pytest.mark.parametrize(
    "words",
    [
        *("sessions", "show", "log", "diff", "files", "events", "events show", "spend", "inbox", "rules", "effects"),
        *("effects show", "workflows", "workflows show", "workflows next", "workflows versions", "workflows lint"),
        *("runs", "runs show", "runs wait", "gallery", "agents", "agents check", "providers", "forges"),
        *("forges check", "sources", "secrets", "budgets", "prices", "members", "members list", "notify"),
        *("sandbox probe", "status", "doctor"),
    ],
)
def test_every_reading_command_tells_programs_as_well(words: str) -> None:
    name, *below = words.split()
    command: Any = load(VERBS[name])
    for word in below:
        command = command.commands[word]
    assert "--json" in {option for param in command.params for option in param.opts}


def test_the_reference_is_in_step() -> None:
    assert REFERENCE.read_text("utf-8") == page(), "run: python -m tests.cli.reference > docs/reference/cli.md"
