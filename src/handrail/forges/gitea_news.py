"""What is new in a repository of Gitea or Forgejo, by its REST API alone: for machines that no webhook can reach.

It is told in the words of Gitea's webhooks, which are GitHub's but for details, with the same ids and times.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from urllib.parse import quote

from handrail.forges import ForgeKind, News
from handrail.forges.http import Answer, Api
from handrail.forges.news import Book, Item, facts, stamped, who
from handrail.types import Json


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
        self._book = Book(ForgeKind.GITEA, seen)
        self._issues: dict[int, Item] = {}

    async def news(self) -> News:
        """What happened since the last look.

        Raises:
            ForgeError: the forge could not be asked.
        """
        book = self._book
        if book.first:
            book.begin((await self._one("")).headers)
        await self._opened_and_closed()
        await self._pulls()
        await self._comments()
        heads = {str(item["name"]): str(item["commit"]["id"]) async for item in self._list("/branches", {})}
        for push in book.pushes(heads):
            self._tell(book.after.since, "push", None, None, push)
        if book.first:
            book.told = []  # what was there in this second is known by `edge` from now on
        return book.news({"repository": await self._facts()} if book.told else {})

    # --- asking -------------------------------------------------------------------------------------------------------

    async def _one(self, path: str) -> Answer:
        answer = await self._api.call("GET", self._path + path, f"looking at {self._repository}")
        self._book.heard(answer)
        return answer

    def _list(self, path: str, query: Mapping[str, str | int]) -> AsyncIterator[Item]:
        what = f"looking for news in {self._repository}"
        return self._api.pages(self._path + path, what, query, heard=self._book.heard)

    async def _facts(self) -> Json:
        return facts((await self._one("")).data)

    async def _issue(self, number: int) -> Item:
        if number not in self._issues:
            self._issues[number] = (await self._one(f"/issues/{number}")).data
        return self._issues[number]

    # --- telling ------------------------------------------------------------------------------------------------------

    def _tell(self, at: str, event: str, action: str | None, user: object, payload: Json) -> None:
        head: Json = {} if action is None else {"action": action}
        self._book.tell(at, event, {**head, **payload, "sender": who(user)})

    async def _opened_and_closed(self) -> None:
        async for item in self._list("/issues", {"state": "all", "type": "issues", "since": self._book.floor}):
            self._book.reached(stamped(item["updated_at"]))
            self._issues[int(item["number"])] = item
            self._ends("issues", item, {"issue": item})

    def _ends(self, event: str, item: Item, about: Json) -> None:
        """Tells of the opening and the closing of an issue or pull request. Who closed it cannot be told."""
        number, made, shut = item["number"], stamped(item["created_at"]), stamped(item.get("closed_at"))
        if self._book.fresh(f"{event}:{number}", made):
            self._tell(made, event, "opened", item.get("user"), {"number": number, **about})
        if item["state"] == "closed" and shut and self._book.fresh(f"{event}:{number}:closed:{shut}", shut):
            self._tell(shut, event, "closed", None, {"number": number, **about})

    async def _pulls(self) -> None:
        first = self._book.first  # it notes the heads of all that are open; the list has no `since`
        async for item in self._list("/pulls", {"state": "open" if first else "all", "sort": "recentupdate"}):
            at, number = stamped(item["updated_at"]), int(item["number"])
            head = str((item.get("head") or {}).get("sha"))
            if at < self._book.floor and not first:
                break
            self._book.reached(at)
            was = self._book.pull(number, head, opened=item["state"] == "open")
            about: Json = {"pull_request": item}
            self._ends("pull_request", item, about)
            if was is not None:
                more = {"number": number, "before": was, "after": head}
                self._tell(at, "pull_request", "synchronized", None, {**about, **more})

    async def _comments(self) -> None:
        async for item in self._list("/issues/comments", {"since": self._book.floor}):
            made, at, key = stamped(item["created_at"]), stamped(item["updated_at"]), f"comment:{item['id']}"
            new, changed = self._book.fresh(key, made), self._book.fresh(f"{key}:{at}", at)
            if not new and (at == made or not changed):
                continue
            place = str(item.get("issue_url") or item.get("pull_request_url"))
            issue = await self._issue(int(place.rstrip("/").rpartition("/")[2]))
            about = {"issue": issue, "comment": item, "is_pull": bool(item.get("pull_request_url"))}
            self._tell(at, "issue_comment", "created" if new else "edited", item.get("user"), about)
