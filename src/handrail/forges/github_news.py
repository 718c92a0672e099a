"""What is new in a repository of GitHub's, by its REST API alone: for machines that no webhook can reach.

Each list is asked for with the tag of its last answer, so that where nothing is new nothing of the limit is used
(https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api). What is found is told in the
words of GitHub's webhooks, with the same ids and times, so that the two are known as one thing.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode

from handrail.forges import ForgeKind, News, faults
from handrail.forges.github_checks import Checks
from handrail.forges.http import Answer, Api
from handrail.forges.news import Book, Item, facts, who
from handrail.types import Json

_ACTIONS = {
    "assigned": "assigned", "closed": "closed", "convert_to_draft": "converted_to_draft",
    "demilestoned": "demilestoned", "labeled": "labeled", "locked": "locked", "milestoned": "milestoned",
    "ready_for_review": "ready_for_review", "renamed": "edited", "reopened": "reopened",
    "review_requested": "review_requested", "unassigned": "unassigned", "unlabeled": "unlabeled",
    "unlocked": "unlocked",
}  # fmt: skip
"""GitHub's issue events that have a webhook (https://docs.github.com/rest/using-the-rest-api/issue-event-types)"""
_PULLS_A_PAGE = 30
"""a pull request is 20 KB"""
_LATEST = 30
"""releases, and checks that have ended, that a look takes in: one is found by what it is, not by its time"""
_MOST_CHECKS = 300
"""checks that a look takes in where it saw none of those beyond the latest before: so many ended since the last one"""


def _first(count: int) -> Callable[[Item], bool]:
    """Stops a list after so many items."""
    seen = itertools.count()
    return lambda _: next(seen) >= count


class Look:
    """One look at a repository.

    Args:
        api: with a credential for it.
        repository: `owner/name`.
        seen: what the last look left; empty for the first, which tells nothing.
    """

    def __init__(self, api: Api, repository: str, seen: Json) -> None:
        self._api = api
        self._repository = repository
        self._path = f"/repos/{quote(repository)}"
        self._book = Book(ForgeKind.GITHUB, seen)
        self._issues: dict[int, Item] = {}
        self._pulls: dict[int, Item] = {}

    async def news(self) -> News:
        """What happened since the last look.

        Raises:
            ForgeError: GitHub could not be asked.
        """
        if self._book.first:
            await self._begin()
        else:
            await self._look()
            await self._happened()
            await self._pushes()
            await self._checked()
            await Checks(self._book, self._list).tell()
        return self._book.news({"repository": await self._facts()} if self._book.told else {})

    # --- asking -------------------------------------------------------------------------------------------------------

    async def _list(
        self, name: str, query: Mapping[str, str | int], stop: Callable[[Item], bool] | None = None
    ) -> list[Item]:
        """The items of a list before the first that is to `stop` it; none where the list is as it was."""
        asked, found = f"{name}?{urlencode(query)}", list[Item]()
        kept = self._book.before.tags.get(name)
        tag = kept[1] if kept and kept[0] == asked else None

        def heard(answer: Answer) -> None:
            self._book.heard(answer)
            if not found and (new := answer.headers.get("etag")):
                self._book.after.tags[name] = [asked, new]

        what = f"looking for news in {self._repository}"
        async for item in self._api.pages(f"{self._path}/{name}", what, query, tag=tag, heard=heard):
            if stop is not None and stop(item):
                break
            found.append(item)
        return found

    async def _one(self, path: str, query: Mapping[str, str | int] | None = None) -> Any:
        what = f"looking for news in {self._repository}"
        answer = await self._api.call("GET", self._path + path, what, query=query)
        self._book.heard(answer)
        return answer.data

    async def _facts(self) -> Json:
        found = facts(await self._one(""))
        self._book.after.trunk = str(found["default_branch"] or "")
        return found

    async def _begin(self) -> None:
        """Note how things are; what is there already is not news."""
        answer = await self._api.call("GET", self._path, f"looking at {self._repository}")
        self._book.begin(answer.headers)
        await self._look()
        self._book.after.heads = {
            str(item["name"]): str(item["commit"]["sha"]) for item in await self._list("branches", {})
        }
        for item in await self._list("pulls", {"state": "open", "per_page": _PULLS_A_PAGE}):
            self._book.after.pulls[str(item["number"])] = str(item["head"]["sha"])
        await self._checked()
        self._book.after.trunk = str(answer.data.get("default_branch") or "")
        await Checks(self._book, self._list).tell()
        latest = await self._one("/issues/events", {"per_page": 1})
        self._book.after.event = int(latest[0]["id"]) if latest else 0
        self._book.after.tags = {}
        self._book.told = []  # times are whole seconds: what was there in this one is known from now on

    async def _look(self) -> None:
        """Tell of what bears its time."""
        await self._opened_issues()
        changed = await self._changed_pulls()
        await self._comments("issue_comment", "issues/comments")
        await self._comments("pull_request_review_comment", "pulls/comments")
        await self._reviews(changed)
        await self._released()

    # --- telling ------------------------------------------------------------------------------------------------------

    def _tell(self, at: str, event: str, action: str | None, user: object, **payload: object) -> None:
        head = {} if action is None else {"action": action}
        self._book.tell(at, event, {**head, **payload, "sender": who(user)})

    async def _opened_issues(self) -> None:
        query: dict[str, str | int] = {"state": "all", "sort": "updated", "direction": "asc", "since": self._book.floor}
        for item in await self._list("issues", query):
            self._issues[int(item["number"])] = item
            self._book.reached(str(item["updated_at"]))
            if "pull_request" not in item and self._book.fresh(f"issue:{item['number']}", str(item["created_at"])):
                self._tell(item["created_at"], "issues", "opened", item.get("user"), issue=item)

    async def _changed_pulls(self) -> list[int]:
        """Tells of pull requests that were opened, or whose branch was pushed to; gives those that changed."""
        query: dict[str, str | int] = {
            "state": "all", "sort": "updated", "direction": "desc", "per_page": _PULLS_A_PAGE,
        }  # fmt: skip
        changed = []
        for listed in await self._list("pulls", query, lambda item: str(item["updated_at"]) < self._book.floor):
            item = self._keep(listed)
            number, head, at = int(item["number"]), str(item["head"]["sha"]), str(item["updated_at"])
            self._book.reached(at)
            changed.append(number)
            was = self._book.pull(number, head, opened=item["state"] == "open")
            if self._book.fresh(f"pull:{number}", str(item["created_at"])):
                self._tell(item["created_at"], "pull_request", "opened", item["user"], number=number, pull_request=item)
            elif was is not None:
                self._tell(
                    at, "pull_request", "synchronize", None, number=number, pull_request=item, before=was, after=head
                )
        return changed

    def _keep(self, item: Item) -> Item:
        self._pulls[int(item["number"])] = told = {**item, "merged": item.get("merged_at") is not None}
        return told

    async def _pull(self, number: int) -> Item:
        return self._pulls.get(number) or self._keep(await self._one(f"/pulls/{number}"))

    async def _issue(self, number: int) -> Item:
        if number not in self._issues:
            self._issues[number] = await self._one(f"/issues/{number}")
        return self._issues[number]

    async def _comments(self, event: str, name: str) -> None:
        query: dict[str, str | int] = {"sort": "updated", "direction": "asc", "since": self._book.floor}
        for item in await self._list(name, query):
            made, at, mark = str(item["created_at"]), str(item["updated_at"]), f"{event}:{item['id']}"
            new = self._book.fresh(mark, made)
            if (not self._book.fresh(f"{mark}:{at}", at) and not new) or (at == made and not new):
                continue
            number = int(str(item.get("issue_url") or item.get("pull_request_url")).rpartition("/")[2])
            about = (
                {"issue": await self._issue(number)}
                if event == "issue_comment"
                else {"pull_request": await self._pull(number)}
            )
            self._tell(at, event, "created" if new else "edited", item.get("user"), comment=item, **about)

    async def _reviews(self, changed: list[int]) -> None:
        for number in changed:
            for item in await self._list(f"pulls/{number}/reviews", {}):
                at = str(item.get("submitted_at") or "")
                if at and self._book.fresh(f"review:{item['id']}", at):
                    review = {**item, "state": str(item["state"]).lower()}  # as webhooks spell it
                    pull = self._pulls[number]
                    self._tell(at, "pull_request_review", "submitted", item["user"], review=review, pull_request=pull)
            self._book.after.tags.pop(f"pulls/{number}/reviews", None)

    async def _happened(self) -> None:
        """Tells of labels, assignees, closing and the like: what leaves no trace in an issue but its event."""
        found = []
        for item in await self._list("issues/events", {}, lambda item: int(item["id"]) <= self._book.before.event):
            self._book.after.event = max(self._book.after.event, int(item["id"]))
            if str(item.get("event")) in _ACTIONS and isinstance(item.get("issue"), dict):
                found.append(item)
        for item in reversed(found):
            action, at, issue = _ACTIONS[str(item["event"])], str(item["created_at"]), item["issue"]
            times = {"updated_at": at} | ({"closed_at": at} if action == "closed" else {})  # as its webhook had them
            self._book.reached(at)
            more = {key: item[key] for key in ("label", "assignee", "milestone") if item.get(key)}
            if "pull_request" in issue:
                number = int(issue["number"])
                about = {**await self._pull(number), **times}
                self._tell(at, "pull_request", action, item.get("actor"), number=number, pull_request=about, **more)
            else:
                self._tell(at, "issues", action, item.get("actor"), issue={**issue, **times}, **more)

    async def _released(self) -> None:
        for item in await self._list("releases", {"per_page": _LATEST}, _first(_LATEST)):
            at = str(item.get("published_at") or "")  # none of a draft
            if at and self._book.fresh(f"release:{item['id']}", at):
                self._tell(at, "release", "published", item.get("author"), release=item)

    async def _checked(self) -> None:
        """Tells of workflows of GitHub Actions that have ended; one may end long after others that began later."""
        try:
            query: dict[str, str | int] = {"status": "completed", "per_page": _LATEST}
            found = await self._list("actions/runs", query, self._looked_at_enough())
        except (faults.NotPermitted, faults.NotThere):  # a token may read issues and not checks
            return
        kept = {str(item["id"]): int(item.get("run_attempt") or 1) for item in found}
        for item in found:
            told = self._book.before.runs.get(str(item["id"]), 0)
            at, name = str(item["updated_at"]), item.get("name")
            if kept[str(item["id"])] > told and at >= self._book.after.began:
                of = {"id": item.get("workflow_id"), "name": name, "path": item.get("path")}
                who_ran = item.get("triggering_actor") or item.get("actor")
                self._tell(at, "workflow_run", "completed", who_ran, workflow_run=item, workflow=of)
        if found:
            self._book.after.runs = kept

    def _looked_at_enough(self) -> Callable[[Item], bool]:
        """Stops the list of checks: at the first beyond the latest that was seen before, or after a whole lot."""
        latest, most, known = _first(_LATEST), _first(_MOST_CHECKS), self._book.before.runs
        first = self._book.first

        def enough(item: Item) -> bool:
            beyond, far = latest(item), most(item)
            return far or (beyond and (first or str(item["id"]) in known))

        return enough

    async def _pushes(self) -> None:
        heads, same = {}, True
        for item in await self._list("branches", {}):
            heads[str(item["name"])], same = str(item["commit"]["sha"]), False
        if same:
            return
        for push in self._book.pushes(heads):
            self._tell(self._book.after.since, "push", None, None, **push)
