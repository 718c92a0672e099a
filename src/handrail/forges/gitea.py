"""Gitea and Forgejo, whose API follows GitHub's but for details (https://docs.gitea.com/api/).

Checked against a small double of ours only.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

import httpx2

from handrail.forges import Checked, ForgeKind, News, Receipt, Remote, faults
from handrail.forges import effects as e
from handrail.forges.acts import act
from handrail.forges.gitea_news import Look
from handrail.forges.http import Api
from handrail.forges.setup import address
from handrail.types import Json

_EVENTS = {"comment": "COMMENT", "approve": "APPROVED", "request_changes": "REQUEST_CHANGES"}


class Gitea:
    """A Gitea or Forgejo with an access token.

    Args:
        http: from `http.client`.
        url: where its pages are.
        token: with the scopes `write:repository` and `write:issue`.
    """

    kind = ForgeKind.GITEA

    def __init__(self, http: httpx2.AsyncClient, url: str, token: str) -> None:
        self._url = address(url)
        self._token = token

        async def authorise() -> Mapping[str, str]:
            return {"authorization": f"token {token}", "accept": "application/json", "user-agent": "handrail"}

        self._api = Api(http, "Gitea", f"{self._url}/api/v1", authorise, size="limit")

    async def check(self, repository: str | None) -> Checked:
        """See `Forge`."""
        login = str((await self._api.call("GET", "/user", "checking the token")).data.get("login"))
        if repository is None:
            return Checked(login)
        data = (await self._api.call("GET", _path(repository), f"looking at {repository}")).data
        return Checked(login, None, bool((data.get("permissions") or {}).get("push")) and not data.get("archived"))

    async def remote(self, repository: str) -> Remote:
        """See `Forge`."""
        basic = base64.b64encode(f"handrail:{self._token}".encode()).decode()
        url = f"{self._url}/{quote(repository)}.git"
        return Remote(url, {f"http.{self._url}/.extraHeader": f"Authorization: Basic {basic}"})

    async def repositories(self, owner: str) -> list[str]:
        """See `Forge`."""
        name, what = quote(owner, safe=""), f"listing the repositories of {owner}"
        try:
            found = [item async for item in self._api.pages(f"/orgs/{name}/repos", what)]
        except faults.NotThere:
            found = [item async for item in self._api.pages(f"/users/{name}/repos", what)]
        return sorted(str(item["full_name"]) for item in found if not item.get("archived"))

    async def news(self, repository: str, seen: Json) -> News:
        """See `Forge`."""
        return await Look(self._api, repository, seen).news()

    async def act(self, effect: e.Effect, key: str) -> Receipt:
        """See `Forge`."""
        return await act(self, "Gitea", effect, key)

    async def comment(self, effect: e.Comment, key: str) -> Receipt:
        """See `acts.Acts`."""
        path = f"{_path(effect.repository)}/issues/{effect.number}/comments"
        said = {"body": e.marked(effect.body, key)}
        return await self._once(effect, key, path, f"commenting on {effect.repository}#{effect.number}", said)

    async def issue(self, effect: e.Issue, key: str) -> Receipt:
        """See `acts.Acts`."""
        path = f"{_path(effect.repository)}/issues"
        said = {"title": effect.title, "body": e.marked(effect.body, key)}
        made = await self._once(effect, key, path, f"opening an issue in {effect.repository}", said)
        if effect.labels:
            await self._add_labels(effect.repository, int(str(made.ids["number"])), effect.labels)
        return made

    async def _once(self, effect: e.Effect, key: str, path: str, what: str, said: Mapping[str, object]) -> Receipt:
        """Post to a list, unless an item of it carries the marker."""
        query: dict[str, str | int] = {"state": "all"} if path.endswith("/issues") else {}
        async for item in self._api.pages(path, what, query):
            if e.marker(key) in str(item.get("body")):
                return _receipt(effect, item, found=True)
        return _receipt(effect, (await self._api.call("POST", path, what, body=said)).data)

    async def pull_request(self, effect: e.PullRequest, key: str) -> Receipt:
        """See `acts.Acts`."""
        what = f"opening the pull request {effect.head} → {effect.base} in {effect.repository}"
        path = f"{_path(effect.repository)}/pulls"
        title = f"WIP: {effect.title}" if effect.draft else effect.title
        said = {"title": title, "body": e.marked(effect.body, key)}
        still = None
        async for item in self._api.pages(path, what, {"state": "all"}):
            sides = [(item.get(side) or {}).get("ref") for side in ("head", "base")]
            if e.marker(key) in str(item.get("body")):
                return _receipt(effect, item, found=True)
            if sides == [effect.head, effect.base] and item.get("state") == "open" and still is None:
                still = item
        if still is not None:
            return _receipt(effect, (await self._api.call("PATCH", f"{path}/{still['number']}", what, body=said)).data)
        body = {**said, "head": effect.head, "base": effect.base}
        return _receipt(effect, (await self._api.call("POST", path, what, body=body)).data)

    async def review(self, effect: e.Review, key: str) -> Receipt:
        """See `acts.Acts`."""
        lines = [{"path": one.path, "new_position": one.line, "body": e.unmarked(one.body)} for one in effect.comments]
        said = {
            "commit_id": effect.commit, "event": _EVENTS[effect.verdict], "body": e.marked(effect.body, key),
            "comments": lines,
        }  # fmt: skip
        path = f"{_path(effect.repository)}/pulls/{effect.number}/reviews"
        return await self._once(effect, key, path, f"reviewing {effect.repository}#{effect.number}", said)

    async def label(self, effect: e.Label) -> Receipt:
        """See `acts.Acts`."""
        what = f"labelling {effect.repository}#{effect.number}"
        path = f"{_path(effect.repository)}/issues/{effect.number}"
        if effect.add:
            await self._add_labels(effect.repository, effect.number, effect.add)
        there = (await self._api.call("GET", path, what)).data
        for item in there.get("labels") or ():
            if item.get("name") in effect.remove:
                await self._api.call("DELETE", f"{path}/labels/{item['id']}", what)
        return _receipt(effect, there)

    async def _add_labels(self, repository: str, number: int, names: tuple[str, ...]) -> None:
        """Labels go by id; one that is not there is made."""
        what = f"labelling {repository}#{number}"
        path = _path(repository)
        ids = {item["name"]: item["id"] async for item in self._api.pages(f"{path}/labels", what)}
        for name in names:
            if name not in ids:
                made = await self._api.call("POST", f"{path}/labels", what, body={"name": name, "color": "#4477aa"})
                ids[name] = made.data["id"]
        labels = [ids[name] for name in names]
        await self._api.call("POST", f"{path}/issues/{number}/labels", what, body={"labels": labels})

    async def status(self, effect: e.Status) -> Receipt:
        """See `acts.Acts`."""
        what = f"setting the status {effect.context} of {effect.commit[:12]} in {effect.repository}"
        path = f"{_path(effect.repository)}/statuses/{effect.commit}"
        async for item in self._api.pages(path, what):
            if item.get("context") == effect.context:  # the newest of this name comes first
                same = (item.get("status"), item.get("description") or "", item.get("target_url") or None)
                if same == (effect.state, effect.description, effect.url):
                    return _receipt(effect, item, found=True)
                break
        body = {
            "state": effect.state, "context": effect.context, "description": effect.description,
            "target_url": effect.url or "",
        }  # fmt: skip
        return _receipt(effect, (await self._api.call("POST", path, what, body=body)).data)

    async def merge(self, effect: e.Merge) -> Receipt:
        """See `acts.Acts`."""
        what = f"merging {effect.repository}#{effect.number}"
        path = f"{_path(effect.repository)}/pulls/{effect.number}"
        pull = (await self._api.call("GET", path, what)).data
        head = str((pull.get("head") or {}).get("sha"))
        if head != effect.head:
            raise faults.StaleHead(f"Gitea: {what} was not done: its head is {head[:12]}, not {effect.head[:12]}")
        if pull.get("merged"):
            return _receipt(effect, pull, found=True)
        try:
            await self._api.call(
                "POST", f"{path}/merge", what, body={"Do": effect.method, "head_commit_id": effect.head}
            )
        except faults.Refused as error:
            if error.answered == 409:
                raise faults.StaleHead(f"Gitea: {what} was not done: somebody moved the branch meanwhile") from error
            if error.answered == 405:
                raise faults.MergeConflict(f"Gitea: {what} was not done: it cannot be merged as it is") from error
            raise
        return _receipt(effect, (await self._api.call("GET", path, what)).data)


def _path(repository: str) -> str:
    return f"/repos/{quote(repository)}"


def _receipt(effect: e.Effect, data: Any, *, found: bool = False) -> Receipt:
    ids = {name: data.get(name) for name in ("id", "number", "merge_commit_sha") if data.get(name) is not None}
    return Receipt(effect.kind, data.get("html_url") or data.get("url"), ids, e.digest(effect), found)
