"""When a cron expression is due in a time zone. Pure: no clock.

cronsim reads the expression and names local times. What daylight saving makes of a local time is decided here, as
neither it nor croniter gives one rule for all expressions: `*/15 2 * * *` loses the day of the spring change in the
one, `30 1 * * *` fires twice in autumn in the other. The rule:

- A local time that a schedule names fires once on its day. One that does not exist (the clocks went forward over it)
  fires at the shift, together with others of the same gap; one that exists twice fires the first time.
- A schedule for every hour (`*` in its hour field) follows real time: it has no ticks in an hour that does not exist,
  and the same ticks in both hours of one that exists twice.
"""

from __future__ import annotations

import difflib
import heapq
import itertools
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta, tzinfo
from zoneinfo import ZoneInfo, available_timezones

from cronsim import CronSim, CronSimError
from cronsim.explain import Expression
from msgspec import Struct

SHORT = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
}
"""names for common expressions"""

_SECOND = timedelta(seconds=1)
_SHIFTS = timedelta(hours=25)
"""how far ahead a shift that repeats the present local time can be"""
_WINDOWS = tuple(timedelta(days=days) for days in (1 / 24, 1, 32, 367))
_ANY_YEAR = datetime(2024, 1, 1)  # noqa: DTZ001 - a local time; leap year, so that 29 February is found at once


class Cron(Struct, frozen=True):
    """An expression in its zone; made by `parse`.

    Args:
        text: five fields, or six with seconds first.
        zone: what its local times are in.
        hourly: it names every hour, and so follows real time.
    """

    text: str
    zone: ZoneInfo
    hourly: bool

    @property
    def words(self) -> str:
        """The expression as a person says it, with its zone."""
        said = _explained(self.text)
        return f"{said[:1].lower()}{said[1:]} ({self.zone.key})"


def zone(name: str) -> ZoneInfo:
    """A zone of the IANA database.

    Raises:
        ValueError: there is none of that name; the message says which is near.
    """
    try:
        return ZoneInfo(name)
    except (KeyError, ValueError, OSError) as error:  # OSError: the name of a directory, such as `Europe`
        names = {known.lower(): known for known in available_timezones()}
        near = difflib.get_close_matches(name.lower().replace(" ", "_"), names, n=1, cutoff=0.5)
        ends = [known for known in sorted(names.values()) if known.lower().endswith("/" + name.lower())]
        guess = ends[0] if ends else names[near[0]] if near else "Europe/Berlin"
        raise ValueError(f"give a zone of the IANA database, such as {guess}") from error


def parse(text: str, in_zone: ZoneInfo) -> Cron:
    """Read an expression.

    Args:
        text: `minute hour day month weekday`, with seconds before them if wanted, or one of `SHORT`.
        in_zone: what it counts in.

    Raises:
        ValueError: it is none, or is never due; the message says what to write instead.
    """
    plain = SHORT.get(text.strip().lower(), text.strip())
    fields = len(plain.split())
    if fields not in (5, 6):
        known = ", ".join(SHORT)
        raise ValueError(f"write five fields, minute hour day month weekday, or six with seconds first, or {known}")
    try:
        simulated = CronSim(plain, _ANY_YEAR)
        first = next(simulated, None)
    except (CronSimError, ValueError, OverflowError) as error:
        where = str(error).removeprefix("Bad ")
        raise ValueError(f"mend the field {where}: numbers, names, *, a-b, a,b and */n can stand there") from error
    if first is None:
        raise ValueError("name a day that comes: this one never does")
    return Cron(" ".join(plain.upper().split()), in_zone, simulated.hours == set(range(24)))


def ticks(cron: Cron, after: datetime) -> Iterator[datetime]:
    """Every due time later than `after` (aware), in order, each once, in UTC."""
    after = after.astimezone(UTC)
    waiting: list[datetime] = []  # second occurrences, until what comes before them has been given
    given = after
    start = after.astimezone(cron.zone).replace(tzinfo=None, microsecond=0) - _repeats(after, cron.zone)
    for local in itertools.chain(CronSim(cron.text, start - _SECOND), (None,)):
        instants = () if local is None else _instants(local, cron)
        while waiting and (not instants or waiting[0] < instants[0] or local is None):
            if waiting[0] > given:
                given = waiting[0]
                yield given
            heapq.heappop(waiting)
        for instant in instants:
            heapq.heappush(waiting, instant)


def upto(cron: Cron, after: datetime, until: datetime) -> Iterator[datetime]:
    """The due times in `(after, until]`."""
    return itertools.takewhile(lambda due: due <= until, ticks(cron, after))


def upcoming(crons: Sequence[Cron], after: datetime, count: int) -> tuple[datetime, ...]:
    """The next `count` due times of several together; two at one moment are one."""
    soon = (itertools.islice(ticks(cron, after), count) for cron in crons)
    return tuple(sorted(set(itertools.chain.from_iterable(soon)))[:count])


def latest(cron: Cron, after: datetime, until: datetime) -> datetime | None:
    """The last due time in `(after, until]`, None where there is none; cheap however long that is."""
    if next(upto(cron, after, until), None) is None:  # as nearly always
        return None
    for window in _WINDOWS:
        start = max(after, until - window)
        found = None
        for found in upto(cron, start, until):  # noqa: B007 - the last one is wanted
            pass
        if found is not None or start == after:
            return found
    return _last(upto(cron, after, until))


def _last(due: Iterator[datetime]) -> datetime | None:
    found = None
    for found in due:  # noqa: B007 - the last one is wanted
        pass
    return found


def _repeats(instant: datetime, in_zone: tzinfo) -> timedelta:
    """How much of the local time before `instant` comes again after it."""
    now = instant.astimezone(in_zone).utcoffset() or timedelta()
    then = (instant + _SHIFTS).astimezone(in_zone).utcoffset() or timedelta()
    return max(now - then, timedelta())


def _instants(local: datetime, cron: Cron) -> tuple[datetime, ...]:
    """When a local time is due: never, once or twice."""
    first = local.replace(tzinfo=cron.zone, fold=0).astimezone(UTC)
    second = local.replace(tzinfo=cron.zone, fold=1).astimezone(UTC)
    if first == second:
        return (first,)
    if first < second:  # it exists twice
        return (first, second) if cron.hourly else (first,)
    return () if cron.hourly else (_shift(second, first, cron.zone),)


def _shift(before: datetime, after: datetime, in_zone: tzinfo) -> datetime:
    """The first instant of the new offset, between two that lie on either side of the shift."""
    old = before.astimezone(in_zone).utcoffset()
    while after - before > _SECOND:
        middle = before + timedelta(seconds=(after - before) // _SECOND // 2)
        if middle.astimezone(in_zone).utcoffset() == old:
            before = middle
        else:
            after = middle
    return after


def _explained(text: str) -> str:
    parts = text.split()
    return str(Expression(["0", *parts] if len(parts) == 5 else parts).explain())
