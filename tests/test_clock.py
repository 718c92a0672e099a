from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta

import pytest

from handrail.clock import PROOF, Clock, running

NOON = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
HOUR = timedelta(hours=1)


class Machine:
    """A wall clock that a test sets, and one that only goes on."""

    def __init__(self) -> None:
        self.wall, self.seconds = NOON, 5000.0
        self.clock = Clock(lambda: self.wall, lambda: self.seconds)

    def on(self, seconds: float) -> datetime:
        self.wall += timedelta(seconds=seconds)
        self.seconds += seconds
        return self.clock()

    def jump(self, by: timedelta) -> datetime:
        self.wall += by
        return self.clock()


def test_it_goes_with_the_wall_and_follows_small_steps_at_once() -> None:
    machine = Machine()
    assert machine.clock() == NOON
    assert machine.on(86_400) == machine.wall
    for step in (9, -9, 9, 9):
        assert machine.jump(timedelta(seconds=step)) == machine.wall
    assert abs((Clock()() - datetime.now(UTC)).total_seconds()) < 1
    assert running() <= running()


@pytest.mark.parametrize("by", [400 * 24 * HOUR, -400 * 24 * HOUR])
def test_a_clock_that_is_set_wrong_and_right_again_changes_nothing(
    by: timedelta, caplog: pytest.LogCaptureFixture
) -> None:
    machine = Machine()
    with caplog.at_level(logging.WARNING):
        assert machine.jump(by) == NOON
        assert machine.on(PROOF - 1) == NOON + timedelta(seconds=PROOF - 1)
        assert machine.jump(-by) == machine.wall
    assert machine.on(2 * PROOF) == machine.wall == NOON + timedelta(seconds=3 * PROOF - 1)
    assert len(caplog.records) == 1


@pytest.mark.parametrize("by", [8 * HOUR, -8 * HOUR])
def test_a_jump_that_stays_is_believed(by: timedelta) -> None:
    machine = Machine()
    machine.jump(by)
    machine.on(PROOF / 2)
    machine.jump(by)  # another one: it has to stand for itself
    assert machine.on(PROOF - 1) == machine.wall - 2 * by
    assert machine.on(1) == machine.wall
    assert machine.on(1) == machine.wall
