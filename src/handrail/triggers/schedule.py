"""What becomes of each due time of a schedule: fired, queued, skipped or missed. Pure; `ticker` carries it out.

A *watermark* says up to when the due times of a schedule were decided. Each decision takes the due times after it, up
to now, and moves it on; so a tick is decided once, however often and wherever it is asked for. Enabling a workflow, or
changing its schedule, sets the watermark to that moment: what was due before never fires.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from datetime import datetime, timedelta

from msgspec import Struct
from msgspec.structs import replace

from handrail.workflows.cron import latest, upto
from handrail.workflows.rules import CatchUp, Overlap, Rule

ON_TIME = timedelta(seconds=60)
"""a tick that is decided within this of its due time was not missed"""
AT_ONCE = 200
"""ticks that one decision settles at the most; the next one goes on from there"""
COUNTED = 10_000
"""missed ticks are counted up to here"""
STEP_BACK = timedelta(seconds=60)
"""a clock that is further behind the watermark than this was set back"""


class Missed(Struct, frozen=True):
    """Ticks in a row that did not fire, for one reason."""

    first: datetime
    last: datetime
    count: int
    """how many; `COUNTED` means that or more"""
    reason: str


class Decision(Struct, frozen=True):
    """What becomes of the ticks between two watermarks, both of them in UTC."""

    watermark: datetime
    """the new one"""
    fire: tuple[datetime, ...] = ()
    """a run each, in this order"""
    waits: bool = False
    """the runs of `fire` wait for what goes on, and for each other"""
    cancel: bool = False
    """what goes on is cancelled"""
    skipped: tuple[datetime, ...] = ()
    missed: tuple[Missed, ...] = ()
    more: bool = False
    """ticks are left: decide again"""


def decide(rule: Rule, watermark: datetime, now: datetime, *, going: bool) -> Decision:
    """Decide all that came due between `watermark` and `now`.

    Args:
        rule: the schedule.
        watermark: up to when it was decided before.
        now: by the wall clock.
        going: a run of the workflow has begun, or waits to, and has not ended.
    """
    if now <= watermark:
        # a clock that was ahead has been set right: time counts again from here, and whoever fired keeps its record
        return Decision(now if watermark - now > STEP_BACK else watermark)
    if rule.catch_up is CatchUp.ALL:
        return _each(rule, watermark, now, going=going)
    return _last_one(rule, watermark, now, going=going)


def _last_one(rule: Rule, watermark: datetime, now: datetime, *, going: bool) -> Decision:
    """Of all that are due only the last one can fire."""
    last = latest(rule.cron, watermark, now)
    if last is None:
        return Decision(watermark)
    earlier = _missed(upto(rule.cron, watermark, last - timedelta(microseconds=1)), "a later tick was due as well")
    late = now - last
    allowed = min(rule.lateness, ON_TIME) if rule.catch_up is CatchUp.NONE else rule.lateness
    if late > allowed:
        why = f"{_spoken(late)} late, and this schedule allows {_spoken(allowed)}"
        return Decision(last, missed=(*earlier, Missed(last, last, 1, why)))
    return replace(_fired(rule, (last,), going=going), missed=earlier)


def _each(rule: Rule, watermark: datetime, now: datetime, *, going: bool) -> Decision:
    """All that are due fire, but for those that are too late."""
    oldest = max(watermark, now - rule.lateness - timedelta(microseconds=1))
    why = f"more than {_spoken(rule.lateness)} late"
    late = _missed(upto(rule.cron, watermark, oldest), why) if oldest > watermark else ()
    due = tuple(itertools.islice(upto(rule.cron, oldest, now), AT_ONCE + 1))
    if not due:
        return Decision(late[-1].last if late else watermark, missed=late)
    decision = _fired(rule, due[:AT_ONCE], going=going)
    return replace(decision, missed=late, more=len(due) > AT_ONCE)


def _fired(rule: Rule, due: tuple[datetime, ...], *, going: bool) -> Decision:
    """Put the overlap rule to ticks that fire otherwise."""
    if rule.overlap is Overlap.QUEUE:
        return Decision(due[-1], fire=due, waits=True)
    if rule.overlap is Overlap.CANCEL_RUNNING:
        return Decision(due[-1], fire=due[-1:], cancel=going, skipped=due[:-1])
    return Decision(due[-1], skipped=due) if going else Decision(due[-1], fire=due[:1], skipped=due[1:])


def _missed(due: Iterator[datetime], reason: str) -> tuple[Missed, ...]:
    """A run of missed ticks as one, so that a month of every ten seconds is one row."""
    first = next(due, None)
    if first is None:
        return ()
    last, count = first, 1
    for tick in itertools.islice(due, COUNTED - 1):
        last, count = tick, count + 1
    return (Missed(first, last, count, reason),)


def _spoken(time: timedelta) -> str:
    seconds = round(time.total_seconds())
    for size, name in ((86_400, "d"), (3600, "h"), (60, "min")):
        if seconds >= size:
            return f"{seconds / size:.1f}".removesuffix(".0") + f" {name}"
    return f"{seconds} s"
