"""What polls of all forges share: what a look leaves for the next one, and what it found, told in the order of time."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any

from msgspec import Struct, field

from handrail.forges import ForgeKind, News, faults
from handrail.forges.http import Answer
from handrail.types import Json, now

Item = dict[str, Any]
OVERLAP = timedelta(seconds=60)
"""how late an item may show in a list whose later ones were seen already: replicas lag"""
NOTHING = "0" * 40
"""the commit of a branch that is not there"""


class Seen(Struct):
    """What the last look left, or what this one will leave. Times are as `stamp` writes them.

    Args:
        began: when the first look was; nothing from before is told.
        since: the newest time that was seen.
        edge: what was told of the last minute before it.
        heads: branches and their commits.
        pulls: open pull requests, by number, and their heads.
        event: id of the newest event.
        runs: checks that had ended, by id, with the number of their try.
        checks: list of checks or statuses → what it told.
        trunk: the default branch.
        tags: list → what was asked for, and the tag of its answer.
    """

    began: str = ""
    since: str = ""
    edge: dict[str, str] = field(default_factory=dict)
    heads: dict[str, str] = field(default_factory=dict)
    pulls: dict[str, str] = field(default_factory=dict)
    event: int = 0
    runs: dict[str, int] = field(default_factory=dict)
    checks: dict[str, list[str]] = field(default_factory=dict)
    trunk: str = ""
    tags: dict[str, list[str]] = field(default_factory=dict)

    def kept(self) -> Json:
        """As JSON."""
        return {
            "began": self.began, "since": self.since, "edge": self.edge, "heads": self.heads, "pulls": self.pulls,
            "event": self.event, "runs": self.runs, "checks": self.checks, "trunk": self.trunk, "tags": self.tags,
        }  # fmt: skip


_FACTS = ("id", "name", "full_name", "default_branch", "private", "html_url", "clone_url")


class Book:
    """Keeps what one look sees and tells.

    Args:
        kind: of the forge, in whose words it is told.
        seen: what the last look left; empty for the first, which tells nothing.
    """

    def __init__(self, kind: ForgeKind, seen: Json) -> None:
        self._kind = kind
        self.before = kept = Seen(**seen)  # type: ignore[arg-type]  # as `kept` gave it
        self.after = Seen(
            kept.began, kept.since, {}, dict(kept.heads), dict(kept.pulls), kept.event, dict(kept.runs),
            dict(kept.checks), kept.trunk, dict(kept.tags),
        )  # fmt: skip
        self.told: list[tuple[str, str, Json]] = []
        self.floor = max(kept.began, earlier(kept.since)) if kept.began else ""
        self._wait: float | None = None

    @property
    def first(self) -> bool:
        """Nothing was seen before: what is there is not news."""
        return not self.before.began

    def begin(self, headers: Mapping[str, str]) -> None:
        """Take the forge's own time as the beginning."""
        date = headers.get("date")
        self.after.began = self.after.since = stamp(now() if date is None else parsedate_to_datetime(date))
        self.floor = earlier(self.after.began)

    def heard(self, answer: Answer) -> None:
        """Heed for how long the forge asks to be left alone."""
        wait = faults.waiting(answer.headers)
        self._wait = wait if self._wait is None else max(self._wait, wait or 0.0)

    def reached(self, at: str) -> None:
        """Note a time that was seen."""
        self.after.since = max(self.after.since, at)

    def fresh(self, key: str, at: str) -> bool:
        """Whether something of that time was not told yet; it counts as told from now on."""
        self.reached(at)
        if at < self.floor or key in self.before.edge or key in self.after.edge:
            return False
        self.after.edge[key] = at
        return True

    def pull(self, number: int, head: str, *, opened: bool) -> str | None:
        """Note the head of a pull request; gives the one that it had when it was last seen open, where that differs."""
        known = self.before.pulls.get(str(number))
        if opened:
            self.after.pulls[str(number)] = head
        else:
            self.after.pulls.pop(str(number), None)
        return None if known == head else known

    def pushes(self, heads: Mapping[str, str]) -> Iterator[Json]:
        """Note all branches; gives what a push webhook says of each that changed."""
        for name in sorted({*self.before.heads, *heads}):
            before, after = self.before.heads.get(name, NOTHING), heads.get(name, NOTHING)
            if before != after:
                made, gone = before == NOTHING, after == NOTHING
                yield {"ref": f"refs/heads/{name}", "before": before, "after": after, "created": made, "deleted": gone}
        self.after.heads = dict(heads)

    def tell(self, at: str, event: str, payload: Json) -> None:
        """Tell of something that happened at that time."""
        self.told.append((at, event, payload))

    def news(self, more: Json) -> News:
        """What was told, with `more` in each payload, and what the next look needs."""
        floor = earlier(self.after.since)
        self.after.edge = {key: at for key, at in (self.before.edge | self.after.edge).items() if at >= floor}
        told = sorted(self.told, key=lambda item: item[0])
        payloads = tuple((event, {**payload, **more}) for _, event, payload in told)
        return News(payloads, self.after.kept(), self._wait, self._kind)


def stamp(at: datetime) -> str:
    """A time to the second, in UTC: in this form times sort as texts."""
    return at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def stamped(text: object) -> str:
    """A time that a forge wrote, whatever its zone and its fractions; nothing where it wrote none."""
    return stamp(datetime.fromisoformat(str(text))) if text else ""


def earlier(at: str) -> str:
    """The time by which what is shown late was surely there."""
    return stamp(datetime.fromisoformat(at) - OVERLAP)


def who(user: object) -> Json | None:
    """The part of a user that a webhook's `sender` is matched by."""
    return {key: user.get(key) for key in ("login", "id", "type")} if isinstance(user, dict) else None


def facts(repository: Item) -> Json:
    """The part of a repository that a webhook tells, where the forge speaks as GitHub does."""
    return {name: repository.get(name) for name in _FACTS} | {"owner": who(repository.get("owner"))}
