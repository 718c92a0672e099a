from __future__ import annotations

import itertools
import random
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest

from handrail.triggers.schedule import AT_ONCE, COUNTED, Decision, decide
from handrail.workflows import cron
from handrail.workflows.rules import CatchUp, Overlap, Rule

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)
HOUR, MINUTE, SECOND = timedelta(hours=1), timedelta(minutes=1), timedelta(seconds=1)


def rule(text: str = "0 * * * *", zone: str = "UTC", **said: object) -> Rule:
    return Rule(cron.parse(text, cron.zone(zone)), **said)  # type: ignore[arg-type]  # each is of its field's type


def missed(decision: Decision) -> int:
    return sum(span.count for span in decision.missed)


@pytest.mark.parametrize("catch_up", CatchUp)
def test_on_time(catch_up: CatchUp) -> None:
    decision = decide(rule(catch_up=catch_up), NOON - SECOND, NOON + SECOND, going=False)
    assert (decision.fire, decision.missed, decision.watermark) == ((NOON,), (), NOON)
    assert decide(rule(catch_up=catch_up), NOON, NOON + HOUR - SECOND, going=False) == Decision(NOON)


def test_it_is_decided_once_however_often_it_is_asked() -> None:
    every = rule("*/10 * * * * *")
    watermark = NOON
    fired: list[datetime] = []
    for now in (NOON + n * timedelta(seconds=0.7) for n in range(1000)):
        decision = decide(every, watermark, now, going=False)
        watermark = decision.watermark
        fired += decision.fire
    assert fired == [NOON + n * 10 * SECOND for n in range(1, 70)]


@pytest.mark.parametrize(
    ("catch_up", "fires", "misses"), [(CatchUp.NONE, 1, 467), (CatchUp.LATEST, 1, 467), (CatchUp.ALL, 468, 0)]
)
def test_suspended_for_78_minutes_with_a_schedule_of_10_seconds(catch_up: CatchUp, fires: int, misses: int) -> None:
    """Incident 1 (dbos#803: every tick missed in sleep was replayed)."""
    every = rule("*/10 * * * * *", catch_up=catch_up, overlap=Overlap.QUEUE)
    fired: list[datetime] = []
    count, watermark = 0, NOON
    for now in (NOON + 78 * MINUTE, NOON + 78 * MINUTE + SECOND, NOON + 78 * MINUTE + 2 * SECOND):
        decision = decide(every, watermark, now, going=False)
        watermark = decision.watermark
        fired += decision.fire
        count += missed(decision)
    assert len(fired) == len(set(fired)) == fires
    assert count == misses
    assert fired[-1] == NOON + 78 * MINUTE


def test_without_catch_up_a_tick_that_nobody_saw_is_missed() -> None:
    decision = decide(rule(catch_up=CatchUp.NONE), NOON - SECOND, NOON + 2 * MINUTE, going=False)
    assert (decision.fire, missed(decision), decision.watermark) == ((), 1, NOON)
    assert decision.missed[0].reason == "2 min late, and this schedule allows 1 min"


@pytest.mark.parametrize(
    ("catch_up", "fires", "misses"), [(CatchUp.NONE, 0, 26), (CatchUp.LATEST, 1, 25), (CatchUp.ALL, 24, 2)]
)
def test_a_day_down(catch_up: CatchUp, fires: int, misses: int) -> None:
    """26 hours and a half; with `all` the two ticks of more than 24 hours ago are too late."""
    late = rule(catch_up=catch_up, overlap=Overlap.QUEUE)
    decision = decide(late, NOON, NOON + 26 * HOUR + 30 * MINUTE, going=False)
    assert (len(decision.fire), missed(decision)) == (fires, misses)
    assert decision.watermark == NOON + 26 * HOUR
    assert list(decision.fire) == [NOON + (27 - fires + n) * HOUR for n in range(fires)]


def test_how_late_a_tick_may_be() -> None:
    short = rule("0 12 * * *", lateness=timedelta(hours=2))
    assert decide(short, NOON - HOUR, NOON + 2 * HOUR, going=False).fire == (NOON,)
    decision = decide(short, NOON - HOUR, NOON + 2 * HOUR + SECOND, going=False)
    assert decision.fire == ()
    assert decision.missed[0].reason == "2 h late, and this schedule allows 2 h"


def test_a_run_that_goes_on() -> None:
    skip = decide(rule(overlap=Overlap.SKIP), NOON - SECOND, NOON, going=True)
    assert (skip.fire, skip.skipped, skip.cancel) == ((), (NOON,), False)
    queue = decide(rule(overlap=Overlap.QUEUE), NOON - SECOND, NOON, going=True)
    assert (queue.fire, queue.waits, queue.skipped) == ((NOON,), True, ())
    cancel = decide(rule(overlap=Overlap.CANCEL_RUNNING), NOON - SECOND, NOON, going=True)
    assert (cancel.fire, cancel.cancel) == ((NOON,), True)
    assert not decide(rule(overlap=Overlap.CANCEL_RUNNING), NOON - SECOND, NOON, going=False).cancel


def test_what_comes_at_once_is_settled_in_pieces() -> None:
    flood = rule("* * * * * *", catch_up=CatchUp.ALL, overlap=Overlap.QUEUE)
    fired: list[datetime] = []
    watermark, rounds = NOON, 0
    while True:
        decision = decide(flood, watermark, NOON + 1000 * SECOND, going=False)
        fired += decision.fire
        watermark, rounds = decision.watermark, rounds + 1
        if not decision.more:
            break
    assert fired == [NOON + n * SECOND for n in range(1, 1001)]
    assert rounds == 1000 // AT_ONCE


def test_a_year_of_missed_seconds_is_one_row() -> None:
    decision = decide(rule("* * * * * *"), NOON - timedelta(days=365), NOON, going=False)
    assert decision.fire == (NOON,)
    assert [span.count for span in decision.missed] == [COUNTED]


def test_a_clock_that_is_set_back_a_little_fires_nothing_again() -> None:
    assert decide(rule(), NOON, NOON - 20 * SECOND, going=False) == Decision(NOON)


def test_a_clock_that_was_a_year_ahead_and_is_set_right() -> None:
    """It fired one tick of next year; time counts again from now instead of standing still for a year."""
    ahead = decide(rule(), NOON, NOON + timedelta(days=365), going=False)
    right = decide(rule(), ahead.watermark, NOON + 5 * MINUTE, going=False)
    assert right == Decision(NOON + 5 * MINUTE)
    assert decide(rule(), right.watermark, NOON + HOUR, going=False).fire == (NOON + HOUR,)


@pytest.mark.parametrize(
    "zone", ["America/New_York", "Europe/Berlin", "Australia/Lord_Howe", "America/Santiago", "Africa/Cairo"]
)
@pytest.mark.parametrize("catch_up", CatchUp)
def test_a_simulated_year(zone: str, catch_up: CatchUp) -> None:
    """Restarts, suspends, set clocks, runs of any length: each tick has one fate, the one that the rule says."""
    chance = random.Random(f"{zone} {catch_up}")  # noqa: S311 - the same year each time
    overlap = Overlap.QUEUE if catch_up is CatchUp.ALL else Overlap.SKIP
    each = rule("30 1-3 * * *", zone, catch_up=catch_up, overlap=overlap)
    start = datetime(2026, 1, 1, tzinfo=UTC)
    now = watermark = start
    busy_until = start
    fate: Counter[datetime] = Counter()
    fired: list[datetime] = []
    while now < start + timedelta(days=365):
        decision = decide(each, watermark, now, going=now < busy_until)
        watermark = decision.watermark
        for due in decision.fire:
            assert now - due <= (MINUTE if catch_up is CatchUp.NONE else each.lateness)
            busy_until = now + timedelta(minutes=chance.choice((1, 5, 45)))
        spans = itertools.chain.from_iterable(
            cron.upto(each.cron, span.first - SECOND, span.last) for span in decision.missed
        )
        fate.update(sorted(itertools.chain(decision.fire, decision.skipped, spans)))
        fired += decision.fire
        if chance.random() < 0.98:  # the sleeper wakes for the next one, a little late
            now = max(now, next(cron.ticks(each.cron, now)) + timedelta(seconds=chance.random() * 5))
        else:
            now += timedelta(seconds=chance.choice((1, 3600, 78 * 60, 86_400, 3 * 86_400)) * (0.5 + chance.random()))
        if chance.random() < 0.05:
            now -= timedelta(seconds=chance.randrange(50))  # its clock is set back
    ticks = list(cron.upto(each.cron, start, watermark))
    assert list(fate) == sorted(fate)
    assert fate == Counter(ticks)
    assert fired == sorted(set(fired))
    assert len(fired) > 100
