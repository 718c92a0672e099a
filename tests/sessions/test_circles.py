from __future__ import annotations

from handrail.sessions.circles import Circles


def noted(circles: Circles, *calls: tuple[str, str | None]) -> list[int | None]:
    return [circles.note("execute", {"command": command}, "completed", answer) for command, answer in calls]


def test_the_same_call_with_the_same_answer_is_a_circle() -> None:
    assert noted(Circles(3), *[("ls", "a")] * 3) == [None, None, 3]


def test_calls_in_turn_are_one_too() -> None:
    assert noted(Circles(3), *[("ls", "a"), ("cat a", "x")] * 3)[-1] == 3
    assert noted(Circles(2), *[("a", "1"), ("b", "2"), ("c", "3")] * 2)[-1] == 2
    assert not any(noted(Circles(2), *[("a", "1"), ("b", "2"), ("c", "3"), ("d", "4")] * 3))


def test_polling_whose_answer_changes_and_work_in_between_are_none() -> None:
    assert not any(noted(Circles(3), *[("tail log", f"line {at}") for at in range(50)]))
    assert not any(noted(Circles(3), *[call for at in range(9) for call in (("ls", "a"), (f"touch {at}", ""))]))
    assert not any(noted(Circles(3), ("ls", "a"), ("ls", "a"), ("ls", "b"), ("ls", "a"), ("ls", "a")))


def test_an_answer_that_nobody_told_is_never_the_same() -> None:
    assert not any(noted(Circles(3), *[("ls", None)] * 9))


def test_a_new_turn_begins_anew_and_0_is_never() -> None:
    circles = Circles(3)
    noted(circles, *[("ls", "a")] * 2)
    circles.clear()
    assert noted(circles, ("ls", "a")) == [None]
    assert not any(noted(Circles(0), *[("ls", "a")] * 20))
