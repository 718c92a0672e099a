from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest

from handrail.errors import HandrailError, StorageFull
from handrail.workspaces import git as module
from handrail.workspaces.git import Home, attempt, environment, failure, first_line, git


def slow_git(place: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A `git` that says its pid and hangs."""
    program = place / "git"
    program.write_text(f"#!/bin/sh\necho $$ > {place}/pid\nexec sleep 50\n")
    program.chmod(0o755)
    monkeypatch.setenv("PATH", f"{place}:{os.environ['PATH']}")
    return place / "pid"


def ended(pid_file: Path) -> bool:
    return not Path(f"/proc/{pid_file.read_text().strip()}").exists()


async def test_cancellation_ends_git(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = slow_git(tmp_path, monkeypatch)
    task = asyncio.create_task(attempt(["status"], cwd=tmp_path))
    async with asyncio.timeout(10):
        while not pid.exists() or not pid.read_text():  # noqa: ASYNC110  another process writes it
            await asyncio.sleep(0.01)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert ended(pid)


async def test_time_is_bounded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pid = slow_git(tmp_path, monkeypatch)
    with pytest.raises(HandrailError, match="longer than"):
        await attempt(["status"], cwd=tmp_path, timeout=0.3)
    assert ended(pid)


async def test_output_is_bounded(tmp_path: Path) -> None:
    ran = await attempt(["help", "-a"], cwd=tmp_path, limit=100)
    assert (len(ran.out), ran.truncated) == (100, True)
    with pytest.raises(HandrailError, match="gave more than"):
        await git("help", "-a", cwd=tmp_path, limit=100)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become another user")
async def test_another_user_is_nobody_else_with_and_without_setpriv(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    told = ["-c", "alias.who=!id -u; id -G; umask; grep Cap /proc/self/status; ls /proc/self/fd", "who"]
    assert module._become(4242)
    with_it = await git(*told, cwd=Path("/"), uid=4242)
    monkeypatch.setattr(module, "_become", lambda _: ())
    assert with_it.splitlines()[:3] == [b"4242", b"4242", b"0022"]
    assert with_it == await git(*told, cwd=Path("/"), uid=4242)


async def test_large_input_that_git_does_not_read_hangs_nothing(tmp_path: Path) -> None:
    assert (await attempt(["version"], cwd=tmp_path, stdin=b"x" * (1 << 22))).code == 0


async def test_an_environment_holds_nothing_of_the_servers(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "secret")
    monkeypatch.setenv("GIT_DIR", "/nowhere")
    monkeypatch.setenv("LD_PRELOAD", "/nowhere")
    for home in Home:
        built = environment(home)
        assert not {"ANTHROPIC_API_KEY", "GIT_DIR", "LD_PRELOAD"} & built.keys()
        assert built["GIT_TERMINAL_PROMPT"] == "0"
    assert environment(Home.OURS)["GIT_CONFIG_GLOBAL"] == "/dev/null"


def test_errors_are_one_printable_line() -> None:
    assert first_line("warning: x\nfatal: bad\x1b[31m thing\nmore") == "fatal: bad?[31m thing"
    assert first_line("") == "git gave no reason"
    assert isinstance(failure("x", "fatal: No space left on device"), StorageFull)
