from __future__ import annotations

import itertools
import time
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import pytest
from cronsim import CronSim

from handrail.workflows import cron

SHIFTS = {
    "America/New_York": ("2026-03-08", "2026-11-01"),
    "Europe/Berlin": ("2026-03-29", "2026-10-25"),
    "Australia/Lord_Howe": ("2026-10-04", "2026-04-05"),  # half an hour
    "America/Santiago": ("2026-09-06", "2026-04-05"),  # at midnight
    "Africa/Cairo": ("2026-04-24", "2026-10-30"),
}
"""zone → the days on which the clocks go forward and back"""
EXPRESSIONS = (
    "0 0 * * *", "30 0 * * *", "30 1 * * *", "30 2 * * *", "15 2 * * *", "0,30 2,3 * * *", "*/15 2 * * *",
    "*/15 1 * * *", "*/15 0 * * *", "*/20 23 * * *", "0 */2 * * *", "0 3 * * 0",
    "59 23 * * 6", "* 1 * * *", "0 * * * *", "30 * * * *",
    "*/15 * * * *", "*/7 * * * *", "45 * * * 0",
)  # fmt: skip
DAYS = [(zone, day) for zone, days in SHIFTS.items() for day in days]
MINUTE = timedelta(minutes=1)


@lru_cache(maxsize=1)
def walked(zone: ZoneInfo, start: datetime, end: datetime) -> tuple[list[datetime], list[datetime]]:
    walk = [start + n * MINUTE for n in range(int((end - start) / MINUTE) + 1)]
    return walk, [instant.astimezone(zone).replace(tzinfo=None) for instant in walk]


def expected(expression: str, zone: ZoneInfo, start: datetime, end: datetime) -> list[datetime]:
    """By the rule, from a walk over every minute of real time."""
    walk, local = walked(zone, start, end)
    first, last = min(local), max(local)
    names = set(itertools.takewhile(lambda name: name <= last, CronSim(expression, first - MINUTE)))
    if expression.split()[1] == "*":  # every hour: whatever the clock shows, whenever it shows it
        return [instant for instant, shown in zip(walk, local, strict=True) if shown in names and instant > start]
    due = set()
    for name in names:  # a named time: the first moment at which the clock shows it, or is past it
        at = next(n for n, shown in enumerate(local) if shown >= name)
        due.add(walk[at])
    return sorted(instant for instant in due if instant > start)


@pytest.mark.parametrize(("zone", "day"), DAYS)
def test_daylight_saving(zone: str, day: str) -> None:
    known = cron.zone(zone)
    start = datetime.fromisoformat(day).replace(tzinfo=known).astimezone(UTC) - timedelta(hours=20)
    end = start + timedelta(hours=48)
    for expression in EXPRESSIONS:
        assert list(cron.upto(cron.parse(expression, known), start, end)) == expected(expression, known, start, end)


@pytest.mark.parametrize(("zone", "day"), DAYS)
def test_it_does_not_matter_from_where_one_looks(zone: str, day: str) -> None:
    """The ticks after any moment are those that were due anyway: a restart in the midst of a shift changes nothing."""
    known = cron.zone(zone)
    start = datetime.fromisoformat(day).replace(tzinfo=known).astimezone(UTC) - timedelta(hours=3)
    end = start + timedelta(hours=10)
    for expression in ("30 1 * * *", "*/15 2 * * *", "*/20 * * * *", "30 0 * * *", "0 */2 * * *"):
        rule = cron.parse(expression, known)
        whole = list(cron.upto(rule, start, end))
        for minutes in range(0, 600, 17):
            later = start + minutes * MINUTE + timedelta(seconds=11)
            assert list(cron.upto(rule, later, end)) == [due for due in whole if due > later]


def test_named_times_fire_once_a_day_all_year() -> None:
    for zone in SHIFTS:
        rule = cron.parse("30 1 * * *", cron.zone(zone))
        year = list(cron.upto(rule, datetime(2025, 12, 31, 12, tzinfo=UTC), datetime(2026, 12, 31, 10, tzinfo=UTC)))
        days = [due.astimezone(rule.zone).date() for due in year]
        assert len(days) == len(set(days)) == 365


def test_a_day_that_never_was() -> None:
    """Samoa went over the date line: 30 December 2011 does not exist there. What it named is due as the 31st begins."""
    apia = cron.zone("Pacific/Apia")
    start = datetime(2011, 12, 29, 0, tzinfo=apia).astimezone(UTC)
    due = cron.upto(cron.parse("0 12 * * *", apia), start, start + timedelta(days=3))
    assert [f"{one.astimezone(apia):%d %H:%M}" for one in due] == ["29 12:00", "31 00:00", "31 12:00", "01 12:00"]


def test_seconds() -> None:
    rule = cron.parse("*/10 * * * * *", cron.zone("UTC"))
    start = datetime(2026, 1, 1, 0, 0, 5, 300, tzinfo=UTC)
    assert [due.second for due in itertools.islice(cron.ticks(rule, start), 4)] == [10, 20, 30, 40]


def test_the_latest_is_found_fast_however_long_nobody_looked() -> None:
    rule = cron.parse("*/10 * * * * *", cron.zone("Europe/Berlin"))
    began = time.process_time()
    found = cron.latest(rule, datetime(2016, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, 0, 0, 9, tzinfo=UTC))
    assert found == datetime(2026, 1, 1, tzinfo=UTC)
    assert time.process_time() - began < 1
    yearly = cron.parse("0 0 29 2 *", cron.zone("UTC"))
    span = datetime(2021, 1, 1, tzinfo=UTC), datetime(2026, 1, 1, tzinfo=UTC)
    assert cron.latest(yearly, *span) == datetime(2024, 2, 29, tzinfo=UTC)
    assert cron.latest(yearly, span[1], span[1]) is None


def test_next_five() -> None:
    both = (cron.parse("0 3 * * *", cron.zone("Europe/Berlin")), cron.parse("0 1 * * *", cron.zone("UTC")))
    found = cron.upcoming(both, datetime(2026, 6, 1, 12, tzinfo=UTC), 5)
    assert [f"{due:%d %H:%M}" for due in found] == ["02 01:00", "03 01:00", "04 01:00", "05 01:00", "06 01:00"]
    assert cron.upcoming((), datetime(2026, 6, 1, 12, tzinfo=UTC), 5) == ()


def test_words() -> None:
    berlin = cron.zone("Europe/Berlin")
    assert cron.parse("0 3 * * 1-5", berlin).words == "at 03:00 on Monday through Friday (Europe/Berlin)"
    assert cron.parse("@daily", berlin).text == "0 0 * * *"


@pytest.mark.parametrize(
    ("text", "mend"),
    [
        ("", "five fields"),
        ("* * *", "five fields"),
        ("0 0 * * * * *", "five fields"),
        ("@often", "@hourly"),
        ("60 * * * *", "minute"),
        ("* 24 * * *", "hour"),
        ("* * 0 * *", "day-of-month"),
        ("* * * 13 *", "month"),
        ("* * * * 8", "day-of-week"),
        ("a b c d e", "minute"),
        ("5-1 * * * *", "minute"),
        ("*/0 * * * *", "minute"),
        ("0 0 30 2 *", "day-of-month"),
        ("0 0 31 4,6 *", "day-of-month"),
        ("९ * * * *", "minute"),
    ],
)
def test_a_bad_expression(text: str, mend: str) -> None:
    with pytest.raises(ValueError, match=mend):
        cron.parse(text, cron.zone("UTC"))


@pytest.mark.parametrize(
    ("name", "near"),
    [
        ("Berlin", "Europe/Berlin"),
        ("New York", "America/New_York"),
        ("Europe", "Europe/"),
        ("../etc/passwd", "Europe/"),
    ],
)
def test_a_bad_zone(name: str, near: str) -> None:
    with pytest.raises(ValueError, match=f"such as {near}"):
        cron.zone(name)
