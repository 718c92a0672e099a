"""What checks said of the heads that matter in a repository of GitHub's, whoever runs them: for `github_news`.

There is no list of all checks of a repository, but one for each commit
(https://docs.github.com/rest/checks/suites#list-check-suites-for-a-git-reference). So the heads of open pull requests
and of the default branch are asked about, a few of them: what was delivered and is open, first.
"""

from __future__ import annotations

import contextlib
import itertools
from collections.abc import Awaitable, Callable, Iterator, Mapping

from handrail.forges import faults
from handrail.forges.effects import OURS
from handrail.forges.news import Book, Item, who

MOST_HEADS = 10
"""heads that a look asks about; each costs two calls, of which nothing is counted where nothing is new"""
_MOST = 100
"""suites, checks and statuses of one head: a page"""
_UNTOLD = (faults.NotPermitted, faults.NotThere, faults.Refused)
"""a token may read issues and not checks; a head may be gone by the time that it is asked about"""

Lister = Callable[[str, Mapping[str, str | int], Callable[[Item], bool]], Awaitable[list[Item]]]
"""the items of a list below the repository, none where it is as it was; see `github_news.Look`"""


class Checks:
    """One look at the checks of a repository.

    Args:
        book: of the look; branches and pull requests are noted in it before.
        listed: asks.
    """

    def __init__(self, book: Book, listed: Lister) -> None:
        self._book = book
        self._listed = listed

    async def tell(self) -> None:
        """Tell of suites and checks that have ended, and of statuses, each time that they say something new."""
        asked = set[str]()
        for head, branches in itertools.islice(self._heads(), MOST_HEADS):
            base = f"commits/{head}"
            asked |= {f"{base}/check-suites", f"{base}/check-runs", f"{base}/statuses"}
            with contextlib.suppress(*_UNTOLD):
                suites = {str(suite["id"]): suite for suite in await self._list(f"{base}/check-suites")}
                if suites:  # none of its checks has ended where its suite is as it was
                    self._runs(f"{base}/check-runs", await self._list(f"{base}/check-runs"), suites)
                    self._suites(f"{base}/check-suites", suites)
            with contextlib.suppress(*_UNTOLD):
                self._statuses(f"{base}/statuses", await self._list(f"{base}/statuses"), head, branches)
        for kept in (self._book.after.checks, self._book.after.tags):  # of heads that matter no more
            for name in [name for name in kept if name.startswith("commits/") and name not in asked]:
                del kept[name]

    def _heads(self) -> Iterator[tuple[str, list[str]]]:
        """Heads and the branches that are there, those first that matter most."""
        after = self._book.after
        branches: dict[str, list[str]] = {}
        for name, head in after.heads.items():
            branches.setdefault(head, []).append(name)
        opened = [after.pulls[number] for number in sorted(after.pulls, key=int, reverse=True)]
        ours = [head for head, names in branches.items() if any(name.startswith(OURS) for name in names)]
        trunk = [head for head in (after.heads.get(after.trunk),) if head is not None]
        for head in dict.fromkeys([*(head for head in opened if head in ours), *trunk, *opened, *ours]):
            yield head, branches.get(head, [])

    async def _list(self, name: str) -> list[Item]:
        seen = itertools.count()
        return await self._listed(name, {"per_page": _MOST}, lambda _: next(seen) >= _MOST)

    def _new(self, name: str, marks: Mapping[str, tuple[str, Item]]) -> Iterator[tuple[str, Item]]:
        """What a list tells that it did not tell the last time, with its time; `marks` is what it tells now."""
        before = set(self._book.before.checks.get(name, ()))
        self._book.after.checks[name] = list(marks)
        for mark, (at, item) in marks.items():
            if mark not in before and at >= self._book.after.began:
                yield at, item

    def _runs(self, name: str, runs: list[Item], suites: Mapping[str, Item]) -> None:
        if not runs:
            return  # as it was
        ended = {
            f"{run['id']}:{run.get('conclusion')}": (str(run.get("completed_at") or ""), run)
            for run in runs
            if run.get("status") == "completed"
        }
        for at, run in self._new(name, ended):
            suite = run.get("check_suite") or {}
            told = {**run, "check_suite": suites.get(str(suite.get("id")), suite)}
            self._book.tell(at, "check_run", {"action": "completed", "check_run": told, "sender": None})

    def _suites(self, name: str, suites: Mapping[str, Item]) -> None:
        ended = {
            f"{key}:{suite.get('conclusion')}": (str(suite.get("updated_at") or ""), suite)
            for key, suite in suites.items()
            if suite.get("status") == "completed"
        }
        for at, suite in self._new(name, ended):
            self._book.tell(at, "check_suite", {"action": "completed", "check_suite": suite, "sender": None})

    def _statuses(self, name: str, statuses: list[Item], head: str, branches: list[str]) -> None:
        if not statuses:
            return  # as it was
        said = {str(item["id"]): (str(item.get("created_at") or ""), item) for item in statuses}
        for at, item in self._new(name, said):
            told = {key: item.get(key) for key in ("id", "state", "context", "description", "target_url")}
            times = {key: item.get(key) for key in ("created_at", "updated_at")}
            where = [{"name": branch, "commit": {"sha": head}} for branch in branches]
            more = {"sha": head, "branches": where, "sender": who(item.get("creator"))}
            self._book.tell(at, "status", {**told, **times, **more})
