"""What is new in a repository of GitHub's, by its REST API alone: for machines that no webhook can reach.

Each list is asked for with the tag of its last answer, so that where nothing is new nothing of the limit is used
(https://docs.github.com/rest/using-the-rest-api/best-practices-for-using-the-rest-api). What is found is told in the
words of GitHub's webhooks, with the same ids and times, so that the two are known as one thing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Any
from urllib.parse import quote, urlencode

from handrail.forges import News, faults
from handrail.forges.http import Answer, Api
from handrail.types import Json, now

Item = dict[str, Any]
OVERLAP = timedelta(seconds=60)
"""how late an item may show in a list whose later ones were seen already: GitHub's replicas lag"""
_ACTIONS = {
    "assigned": "assigned", "closed": "closed", "convert_to_draft": "converted_to_draft",
    "demilestoned": "demilestoned", "labeled": "labeled", "locked": "locked", "milestoned": "milestoned",
    "ready_for_review": "ready_for_review", "renamed": "edited", "reopened": "reopened",
    "review_requested": "review_requested", "unassigned": "unassigned", "unlabeled": "unlabeled",
    "unlocked": "unlocked",
}  # fmt: skip
"""GitHub's issue events that have a webhook (https://docs.github.com/rest/using-the-rest-api/issue-event-types)"""
_FACTS = ("id", "name", "full_name", "default_branch", "private", "html_url", "clone_url")
_NOTHING = "0" * 40
_PULLS_A_PAGE = 30
"""a pull request is 20 KB"""


@dataclass(slots=True)
class _Seen:
    """What the last look left, and what this one will leave.

    Args:
        began: when the first look was; nothing from before is told.
        since: the newest time that was seen.
        edge: what was told of the last minute before it.
        heads: branches and their commits.
        pulls: open pull requests, by number, and their heads.
        event: id of the newest issue event.
        tags: list → what was asked for, and the tag of its answer.
    """

    began: str = ""
    since: str = ""
    edge: dict[str, str] = field(default_factory=dict)
    heads: dict[str, str] = field(default_factory=dict)
    pulls: dict[str, str] = field(default_factory=dict)
    event: int = 0
    tags: dict[str, list[str]] = field(default_factory=dict)

    def kept(self) -> Json:
        """As JSON."""
        return {
            "began": self.began, "since": self.since, "edge": self.edge, "heads": self.heads, "pulls": self.pulls,
            "event": self.event, "tags": self.tags,
        }  # fmt: skip


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
        self._before = _Seen(**seen)  # type: ignore[arg-type]  # as `kept` gave it
        kept = self._before
        self._after = _Seen(kept.began, kept.since, {}, dict(kept.heads), dict(kept.pulls), kept.event, dict(kept.tags))
        self._told: list[tuple[str, str, Json]] = []
        self._issues: dict[int, Item] = {}
        self._pulls: dict[int, Item] = {}
        self._wait: float | None = None
        self._floor = kept.began

    async def news(self) -> News:
        """What happened since the last look.

        Raises:
            ForgeError: GitHub could not be asked.
        """
        repository: Json = {}
        if self._before.began:
            self._floor = max(self._before.began, _earlier(self._before.since))
            await self._look()
            await self._happened()
            await self._pushes()
            repository = await self._facts() if self._told else {}
        else:
            await self._begin()
        floor = _earlier(self._after.since)
        self._after.edge = {key: at for key, at in (self._before.edge | self._after.edge).items() if at >= floor}
        told = sorted(self._told, key=lambda item: item[0])
        return News(
            tuple((event, {**payload, "repository": repository}) for _, event, payload in told),
            self._after.kept(),
            self._wait,
        )

    # --- asking -------------------------------------------------------------------------------------------------------

    def _heard(self, answer: Answer) -> None:
        wait = faults.waiting(answer.headers)
        self._wait = wait if self._wait is None else max(self._wait, wait or 0.0)

    async def _list(
        self, name: str, query: Mapping[str, str | int], stop: Callable[[Item], bool] | None = None
    ) -> list[Item]:
        """The items of a list before the first that is to `stop` it; none where the list is as it was."""
        asked, found = f"{name}?{urlencode(query)}", list[Item]()
        kept = self._before.tags.get(name)
        tag = kept[1] if kept and kept[0] == asked else None

        def heard(answer: Answer) -> None:
            self._heard(answer)
            if not found and (new := answer.headers.get("etag")):
                self._after.tags[name] = [asked, new]

        what = f"looking for news in {self._repository}"
        async for item in self._api.pages(f"{self._path}/{name}", what, query, tag=tag, heard=heard):
            if stop is not None and stop(item):
                break
            found.append(item)
        return found

    async def _one(self, path: str, query: Mapping[str, str | int] | None = None) -> Any:
        what = f"looking for news in {self._repository}"
        answer = await self._api.call("GET", self._path + path, what, query=query)
        self._heard(answer)
        return answer.data

    async def _facts(self) -> Json:
        told = await self._one("")
        return {name: told.get(name) for name in _FACTS} | {"owner": _who(told.get("owner"))}

    async def _begin(self) -> None:
        """Note how things are; what is there already is not news."""
        answer = await self._api.call("GET", self._path, f"looking at {self._repository}")
        date = answer.headers.get("date")
        self._after.began = self._after.since = _stamp(now() if date is None else parsedate_to_datetime(date))
        self._floor = _earlier(self._after.began)
        await self._look()
        self._told = []  # times are whole seconds: what was there in this one is known by `edge` from now on
        self._after.heads = {str(item["name"]): str(item["commit"]["sha"]) for item in await self._list("branches", {})}
        for item in await self._list("pulls", {"state": "open", "per_page": _PULLS_A_PAGE}):
            self._after.pulls[str(item["number"])] = str(item["head"]["sha"])
        latest = await self._one("/issues/events", {"per_page": 1})
        self._after.event = int(latest[0]["id"]) if latest else 0
        self._after.tags = {}

    async def _look(self) -> None:
        """Tell of what bears its time."""
        await self._opened_issues()
        changed = await self._changed_pulls()
        await self._comments("issue_comment", "issues/comments")
        await self._comments("pull_request_review_comment", "pulls/comments")
        await self._reviews(changed)

    # --- telling ------------------------------------------------------------------------------------------------------

    def _fresh(self, key: str, at: str) -> bool:
        """Whether something of that time was not told yet; it counts as told from now on."""
        self._after.since = max(self._after.since, at)
        if at < self._floor or key in self._before.edge or key in self._after.edge:
            return False
        self._after.edge[key] = at
        return True

    def _tell(self, at: str, event: str, action: str | None, who: object, **payload: object) -> None:
        head = {} if action is None else {"action": action}
        self._told.append((at, event, {**head, **payload, "sender": _who(who)}))

    async def _opened_issues(self) -> None:
        query: dict[str, str | int] = {"state": "all", "sort": "updated", "direction": "asc", "since": self._floor}
        for item in await self._list("issues", query):
            self._issues[int(item["number"])] = item
            self._after.since = max(self._after.since, str(item["updated_at"]))
            if "pull_request" not in item and self._fresh(f"issue:{item['number']}", str(item["created_at"])):
                self._tell(item["created_at"], "issues", "opened", item.get("user"), issue=item)

    async def _changed_pulls(self) -> list[int]:
        """Tells of pull requests that were opened, or whose branch was pushed to; gives those that changed."""
        query: dict[str, str | int] = {
            "state": "all", "sort": "updated", "direction": "desc", "per_page": _PULLS_A_PAGE,
        }  # fmt: skip
        changed = []
        for listed in await self._list("pulls", query, lambda item: str(item["updated_at"]) < self._floor):
            item = self._keep(listed)
            number, head, at = int(item["number"]), str(item["head"]["sha"]), str(item["updated_at"])
            self._after.since = max(self._after.since, at)
            changed.append(number)
            known = self._before.pulls.get(str(number))
            if item["state"] == "open":
                self._after.pulls[str(number)] = head
            else:
                self._after.pulls.pop(str(number), None)
            if self._fresh(f"pull:{number}", str(item["created_at"])):
                self._tell(item["created_at"], "pull_request", "opened", item["user"], number=number, pull_request=item)
            elif known is not None and known != head:
                self._tell(
                    at, "pull_request", "synchronize", None, number=number, pull_request=item, before=known, after=head
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
        query: dict[str, str | int] = {"sort": "updated", "direction": "asc", "since": self._floor}
        for item in await self._list(name, query):
            made, at, mark = str(item["created_at"]), str(item["updated_at"]), f"{event}:{item['id']}"
            new = self._fresh(mark, made)
            if (not self._fresh(f"{mark}:{at}", at) and not new) or (at == made and not new):
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
                if at and self._fresh(f"review:{item['id']}", at):
                    review = {**item, "state": str(item["state"]).lower()}  # as webhooks spell it
                    pull = self._pulls[number]
                    self._tell(at, "pull_request_review", "submitted", item["user"], review=review, pull_request=pull)
            self._after.tags.pop(f"pulls/{number}/reviews", None)

    async def _happened(self) -> None:
        """Tells of labels, assignees, closing and the like: what leaves no trace in an issue but its event."""
        found = []
        for item in await self._list("issues/events", {}, lambda item: int(item["id"]) <= self._before.event):
            self._after.event = max(self._after.event, int(item["id"]))
            if str(item.get("event")) in _ACTIONS and isinstance(item.get("issue"), dict):
                found.append(item)
        for item in reversed(found):
            action, at, issue = _ACTIONS[str(item["event"])], str(item["created_at"]), item["issue"]
            times = {"updated_at": at} | ({"closed_at": at} if action == "closed" else {})  # as its webhook had them
            self._after.since = max(self._after.since, at)
            more = {key: item[key] for key in ("label", "assignee", "milestone") if item.get(key)}
            if "pull_request" in issue:
                number = int(issue["number"])
                about = {**await self._pull(number), **times}
                self._tell(at, "pull_request", action, item.get("actor"), number=number, pull_request=about, **more)
            else:
                self._tell(at, "issues", action, item.get("actor"), issue={**issue, **times}, **more)

    async def _pushes(self) -> None:
        heads, same = {}, True
        for item in await self._list("branches", {}):
            heads[str(item["name"])], same = str(item["commit"]["sha"]), False
        if same:
            return
        for name in sorted({*self._before.heads, *heads}):
            before, after = self._before.heads.get(name, _NOTHING), heads.get(name, _NOTHING)
            if before != after:
                made, gone = before == _NOTHING, after == _NOTHING
                told = {"ref": f"refs/heads/{name}", "before": before, "after": after, "created": made, "deleted": gone}
                self._tell(self._after.since, "push", None, None, **told)
        self._after.heads = heads


def _who(user: object) -> Json | None:
    """The part of a user that a webhook's `sender` is matched by."""
    return {key: user.get(key) for key in ("login", "id", "type")} if isinstance(user, dict) else None


def _stamp(at: datetime) -> str:
    return at.strftime("%Y-%m-%dT%H:%M:%SZ")


def _earlier(stamp: str) -> str:
    return _stamp(datetime.fromisoformat(stamp) - OVERLAP)
