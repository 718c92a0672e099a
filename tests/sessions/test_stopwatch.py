from __future__ import annotations

from handrail.sessions.stopwatch import Stopwatch


class Time:
    def __init__(self) -> None:
        self.seconds = 1e6

    def __call__(self) -> float:
        return self.seconds


def test_it_counts_work_and_neither_rest_nor_waits() -> None:
    time = Time()
    watch = Stopwatch(10, time)
    time.seconds += 7
    assert watch.seconds == 10
    with watch.working():
        time.seconds += 1
        with watch.waiting():
            time.seconds += 100
            with watch.waiting():
                time.seconds += 100
            time.seconds += 100
            assert watch.seconds == 11
        time.seconds += 2
    time.seconds += 1000
    assert watch.seconds == 13
    with watch.waiting(), watch.working():
        time.seconds += 9
    assert watch.seconds == 13


def test_a_new_goal_counts_from_nothing_even_in_the_middle_of_work() -> None:
    time = Time()
    watch = Stopwatch(10, time)
    with watch.working():
        time.seconds += 5
        watch.reset()
        time.seconds += 3
        assert watch.seconds == 3
