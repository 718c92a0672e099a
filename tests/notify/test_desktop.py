from __future__ import annotations

from pathlib import Path

from handrail.notify.desktop import Desktop
from tests.notify.conftest import message


def program(folder: Path, script: str) -> str:
    file = folder / "notify-send"
    file.write_text(f"#!/bin/sh\n{script}\n")
    file.chmod(0o755)
    return str(file)


async def test_the_program_gets_subject_and_text_as_arguments(tmp_path: Path) -> None:
    command = program(tmp_path, f'printf "%s|" "$@" > {tmp_path}/said')
    assert await Desktop(command).send(message(subject="--help $(id)", text="<b>x</b>", urgent=True)) is None
    said = (tmp_path / "said").read_text()
    page = "http://127.0.0.1:7171/sessions/s-1"
    assert said == f"--urgency=critical|--app-name=Handrail|--|--help $(id)|&lt;b&gt;x&lt;/b&gt;\n{page}|"


async def test_a_machine_without_the_program_is_not_asked_again() -> None:
    failure = await Desktop("no-such-notify-send").send(message())
    assert failure is not None
    assert failure.lasting
    assert "apt install libnotify-bin" in failure.reason


async def test_a_desktop_that_is_locked_is_asked_again(tmp_path: Path) -> None:
    failure = await Desktop(program(tmp_path, "echo no bus >&2; exit 3")).send(message())
    assert failure is not None
    assert not failure.lasting
    assert failure.reason.endswith("no bus")
