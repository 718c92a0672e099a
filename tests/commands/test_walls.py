from __future__ import annotations

import asyncio

import pytest

from handrail.commands.walls import PROBING, Probes
from handrail.errors import MissingPart, SandboxError
from handrail.sandbox import Box, Guarantee, Walls
from handrail.types import SandboxKind

KIND = SandboxKind.BUBBLEWRAP


class Trial:
    """Walls whose trial ends when a test says so; no box is opened here."""

    kind = KIND

    def __init__(self) -> None:
        self.go = asyncio.Event()
        self.tries = 0
        self.error: Exception | None = None

    async def probe(self) -> Guarantee:
        self.tries += 1
        await self.go.wait()
        if self.error is not None:
            raise self.error
        return Guarantee.READS | Guarantee.KILL

    async def open(self, walls: Walls) -> Box:
        raise NotImplementedError


async def test_walls_are_tried_once_and_a_caller_waits_for_it() -> None:
    trial = Trial()
    probes = Probes({KIND: trial})
    assert probes.now(KIND).detail == PROBING
    assert not probes.now(KIND).known
    waiting = [asyncio.create_task(probes.backend(KIND)) for _ in range(3)]
    await asyncio.sleep(0)
    waiting.pop().cancel()  # one that goes away does not end the trial
    trial.go.set()
    assert await asyncio.gather(*waiting) == [trial, trial]
    held = await probes.held(KIND)
    assert held.holds == ("reads", "kill")
    assert "network" in held.lacks
    assert held.usable
    assert trial.tries == 1


@pytest.mark.parametrize("error", [MissingPart("bwrap is not installed"), SandboxError("busy"), BlockingIOError()])
async def test_what_failed_is_told_to_all_who_wait_and_tried_again_for_the_next_caller(error: Exception) -> None:
    trial = Trial()
    trial.error = error
    probes = Probes({KIND: trial})
    waiting = [asyncio.create_task(probes.backend(KIND)) for _ in range(3)]
    await asyncio.sleep(0)
    trial.go.set()
    assert await asyncio.gather(*waiting, return_exceptions=True) == [error] * 3
    trial.error = None
    assert await probes.backend(KIND) is trial
    assert trial.tries == 2


async def test_a_failed_trial_says_why_and_what_to_do() -> None:
    trial = Trial()
    trial.go.set()
    trial.error = MissingPart("bwrap is not installed")
    probes = Probes({KIND: trial})
    probes.start(KIND)
    await asyncio.sleep(0.01)
    held = probes.now(KIND)
    assert (held.usable, held.detail, held.mend) == (False, "bwrap is not installed", "install what is missing")


async def test_a_trial_that_breaks_is_no_wall(caplog: pytest.LogCaptureFixture) -> None:
    trial = Trial()
    trial.go.set()
    trial.error = ZeroDivisionError("oops")
    probes = Probes({KIND: trial})
    probes.start(KIND)
    await asyncio.sleep(0.01)
    assert not probes.now(KIND).usable
    assert "oops" not in probes.now(KIND).detail
    assert "ZeroDivisionError" in caplog.text
    await probes.stop()
