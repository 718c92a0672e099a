"""What is new in a project of GitLab's, by its REST API alone: for machines that no webhook can reach.

The project's events tell what happened and who did it (https://docs.gitlab.com/api/events/), each with an id that only
grows; what they do not tell, a merge request's new commits, shows in its head. It is told in the words of GitLab's
webhooks, with the same ids, so that the two are known as one thing.
"""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import quote

from handrail.forges import ForgeKind, News, faults
from handrail.forges.http import Answer, Api
from handrail.forges.news import NOTHING, Book, Item, stamped
from handrail.types import Json

_ACTIONS = {"opened": "open", "closed": "close", "reopened": "reopen", "accepted": "merge"}
"""GitLab's names of events → those of its webhooks"""
_TARGETS = {"Issue": "issue", "WorkItem": "issue", "MergeRequest": "merge_request"}
_LISTS = {"issue": "issues", "merge_request": "merge_requests"}
_ENDED = frozenset({"success", "failed", "canceled", "skipped"})
"""states of a pipeline that goes on no more"""
_FRESH = timedelta(seconds=60)
"""an `opened` so long after the making of its item is a reopening, which has no name of its own"""
_DAYS = timedelta(days=2)
"""events are asked for by the day, in the zone of the server"""


class Look:
    """One look at a project.

    Args:
        api: with a credential for it.
        repository: its path with all groups.
        seen: what the last look left; empty for the first, which tells nothing.
    """

    def __init__(self, api: Api, repository: str, seen: Json) -> None:
        self._api = api
        self._repository = repository
        self._path = f"/projects/{quote(repository, safe='')}"
        self._book = Book(ForgeKind.GITLAB, seen)
        self._items: dict[tuple[str, int], Item | None] = {}

    async def news(self) -> News:
        """What happened since the last look.

        Raises:
            ForgeError: GitLab could not be asked.
        """
        if self._book.first:
            await self._begin()
            return self._book.news({})
        await self._happened()
        await self._moved()
        await self._checked()
        return self._book.news({"project": await self._project()} if self._book.told else {})

    # --- asking -------------------------------------------------------------------------------------------------------

    async def _one(self, path: str, query: Mapping[str, str | int] | None = None) -> Answer:
        answer = await self._api.call("GET", self._path + path, f"looking at {self._repository}", query=query)
        self._book.heard(answer)
        return answer

    def _list(self, path: str, query: Mapping[str, str | int]) -> AsyncIterator[Item]:
        what = f"looking for news in {self._repository}"
        return self._api.pages(self._path + path, what, query, heard=self._book.heard)

    async def _item(self, kind: str, number: int) -> Item | None:
        """An issue or merge request as it is now; None where it is gone, or not to be seen."""
        if (kind, number) not in self._items:
            try:
                self._items[kind, number] = (await self._one(f"/{_LISTS[kind]}/{number}")).data
            except faults.NotThere:
                self._items[kind, number] = None
        return self._items[kind, number]

    async def _project(self) -> Json:
        told = (await self._one("")).data
        return {
            "id": told.get("id"), "path_with_namespace": told.get("path_with_namespace"),
            "git_http_url": told.get("http_url_to_repo"), "default_branch": told.get("default_branch"),
            "web_url": told.get("web_url"),
        }  # fmt: skip

    async def _begin(self) -> None:
        """Note how things are; what is there already is not news."""
        self._book.begin((await self._one("")).headers)
        latest = (await self._one("/events", {"per_page": 1})).data
        self._book.after.event = int(latest[0]["id"]) if latest else 0
        async for item in self._list("/merge_requests", {"state": "opened", "scope": "all"}):
            self._book.pull(int(item["iid"]), str(item.get("sha")), opened=True)

    # --- telling ------------------------------------------------------------------------------------------------------

    async def _happened(self) -> None:
        since = datetime.fromisoformat(self._book.floor) - _DAYS
        found = []
        async for item in self._list("/events", {"after": since.date().isoformat()}):
            if int(item["id"]) <= self._book.before.event:
                break
            found.append(item)
        for item in reversed(found):
            self._book.after.event = max(self._book.after.event, int(item["id"]))
            at, action, kind = (
                stamped(item["created_at"]),
                item.get("action_name"),
                _TARGETS.get(item.get("target_type") or ""),
            )
            note, push = item.get("note"), item.get("push_data")
            self._book.reached(at)
            if isinstance(push, dict):
                self._pushed(at, item, push)
            elif isinstance(note, dict):
                await self._noted(at, item, note)
            elif kind is not None and action in _ACTIONS:
                await self._acted(at, item, kind, _ACTIONS[action])

    def _tell(self, at: str, kind: str, author: object, payload: Json) -> None:
        user = {key: author.get(key) for key in ("id", "name", "username")} if isinstance(author, dict) else {}
        self._book.tell(at, kind, {"object_kind": kind, "event_type": kind, "user": user, **payload})

    async def _acted(self, at: str, item: Item, kind: str, action: str) -> None:
        about = await self._item(kind, int(item["target_iid"]))
        if about is None:
            return
        made = datetime.fromisoformat(stamped(about["created_at"]))
        if action == "open" and datetime.fromisoformat(at) - made > _FRESH:
            action = "reopen"
        told = self._attributes(kind, about) | {"action": action, "updated_at": at}
        self._tell(at, kind, item.get("author"), {"object_attributes": told})

    async def _noted(self, at: str, item: Item, note: Item) -> None:
        kind = _TARGETS.get(str(note.get("noteable_type")))
        number = note.get("noteable_iid")
        if kind is None or number is None or note.get("system"):
            return
        about = await self._item(kind, int(number))
        if about is None:
            return
        said = {
            "id": note["id"], "note": note.get("body"), "noteable_type": note["noteable_type"], "action": "create",
            "created_at": at, "updated_at": at, "url": f"{about.get('web_url')}#note_{note['id']}",
        }  # fmt: skip
        self._tell(at, "note", item.get("author"), {"object_attributes": said, kind: self._attributes(kind, about)})

    def _pushed(self, at: str, item: Item, push: Item) -> None:
        """A push of many branches at once is one event that names none of them."""
        if push.get("ref_type") == "branch" and push.get("ref"):
            ends = {"before": push.get("commit_from") or NOTHING, "after": push.get("commit_to") or NOTHING}
            author = item.get("author") or {}
            who = {"user_username": author.get("username"), "user_id": author.get("id")}
            self._tell(at, "push", author, {"event_name": "push", "ref": f"refs/heads/{push['ref']}", **ends, **who})

    async def _moved(self) -> None:
        """Tells of open merge requests that have new commits. Who pushed them cannot be told."""
        query: dict[str, str | int] = {
            "state": "all", "scope": "all", "updated_after": self._book.floor, "order_by": "updated_at", "sort": "asc",
        }  # fmt: skip
        async for item in self._list("/merge_requests", query):
            at, head = stamped(item["updated_at"]), str(item.get("sha"))
            self._book.reached(at)
            was = self._book.pull(int(item["iid"]), head, opened=item["state"] == "opened")
            if was is not None:
                told = self._attributes("merge_request", item) | {"action": "update", "updated_at": at, "oldrev": was}
                self._tell(at, "merge_request", None, {"object_attributes": told})

    async def _checked(self) -> None:
        """Tell of pipelines that have ended. Who began them cannot be told; a token may not be let see them."""
        query: dict[str, str | int] = {"updated_after": self._book.floor, "order_by": "updated_at", "sort": "asc"}
        with contextlib.suppress(faults.NotPermitted, faults.NotThere):
            async for item in self._list("/pipelines", query):
                at, state = stamped(item["updated_at"]), item.get("status")
                if state in _ENDED and self._book.fresh(f"pipeline:{item['id']}:{state}", at):
                    names = ("id", "iid", "ref", "sha", "source", "status", "created_at", "name")
                    told = {name: item.get(name) for name in names} | {"url": item.get("web_url")}
                    self._tell(at, "pipeline", None, {"object_attributes": told})

    def _attributes(self, kind: str, item: Item) -> Json:
        """An item of the API as webhooks write it."""
        names = ("id", "iid", "title", "description", "state", "created_at", "updated_at", "labels")
        told: dict[str, Any] = {name: item.get(name) for name in names} | {"url": item.get("web_url")}
        if kind == "merge_request":
            own = item.get("source_project_id") == item.get("target_project_id")
            told |= {name: item.get(name) for name in ("source_branch", "target_branch", "draft")}
            told |= {"last_commit": {"id": item.get("sha")}}
            told |= {"source": {"path_with_namespace": self._repository}} if own else {}
        return told
