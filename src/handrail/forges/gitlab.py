"""GitLab: merge requests, notes, discussions, read leniently (https://docs.gitlab.com/api/rest/).

Checked against a small double of ours only: GitLab publishes its document under a licence that keeps it out of here.
"""

from __future__ import annotations

import base64
import contextlib
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any
from urllib.parse import quote

import httpx2

from handrail.errors import ForgeError
from handrail.forges import Checked, ForgeKind, News, Receipt, Remote, faults
from handrail.forges import effects as e
from handrail.forges.acts import act
from handrail.forges.gitlab_news import Look
from handrail.forges.http import Api
from handrail.forges.setup import address
from handrail.types import Json

_DEVELOPER = 30
"""access level from which one may push (https://docs.gitlab.com/api/access_requests/#valid-access-levels)"""
_STATES = {"pending": "pending", "success": "success", "failure": "failed", "error": "failed"}


class GitLab:
    """A GitLab with a personal, project or group access token.

    Args:
        http: from `http.client`.
        url: where its pages are.
        token: with the scope `api`.
    """

    kind = ForgeKind.GITLAB

    def __init__(self, http: httpx2.AsyncClient, url: str, token: str) -> None:
        self._url = address(url)
        self._token = token

        async def authorise() -> Mapping[str, str]:
            return {"private-token": token, "accept": "application/json", "user-agent": "handrail"}

        self._api = Api(http, "GitLab", f"{self._url}/api/v4", authorise)

    async def check(self, repository: str | None) -> Checked:
        """See `Forge`."""
        user = (await self._api.call("GET", "/user", "checking the token")).data
        scopes: tuple[str, ...] | None = None
        notes: tuple[str, ...] = ()
        ends: datetime | None = None
        with contextlib.suppress(ForgeError):  # a token of another kind does not tell
            told = (await self._api.call("GET", "/personal_access_tokens/self", "checking the token")).data
            scopes = tuple(str(item) for item in told.get("scopes") or ())
            notes = (f"the token ends at {told['expires_at']}",) if told.get("expires_at") else ()
            with contextlib.suppress(ValueError):  # a day, at whose beginning in UTC it ends
                ends = datetime.fromisoformat(str(told.get("expires_at"))).replace(tzinfo=UTC)
        if repository is None:
            return Checked(str(user.get("username")), scopes, notes=notes, ends=ends)
        project = (await self._api.call("GET", _path(repository), f"looking at {repository}")).data
        access = [item or {} for item in (project.get("permissions") or {}).values()]
        level = max((int(item.get("access_level") or 0) for item in access), default=0)
        writable = level >= _DEVELOPER and not project.get("archived")
        return Checked(str(user.get("username")), scopes, writable, notes, ends)

    async def remote(self, repository: str) -> Remote:
        """See `Forge`."""
        basic = base64.b64encode(f"oauth2:{self._token}".encode()).decode()
        url = f"{self._url}/{quote(repository)}.git"
        return Remote(url, {f"http.{self._url}/.extraHeader": f"Authorization: Basic {basic}"})

    async def repositories(self, owner: str) -> list[str]:
        """See `Forge`: a group with its subgroups, or a person."""
        name, what = quote(owner, safe=""), f"listing the repositories of {owner}"
        query: dict[str, str | int] = {"archived": "false", "include_subgroups": "true"}
        try:
            found = [item async for item in self._api.pages(f"/groups/{name}/projects", what, query)]
        except faults.NotThere:
            found = [item async for item in self._api.pages(f"/users/{name}/projects", what, {"archived": "false"})]
        return sorted(str(item["path_with_namespace"]) for item in found)

    async def news(self, repository: str, seen: Json) -> News:
        """See `Forge`."""
        return await Look(self._api, repository, seen).news()

    async def act(self, effect: e.Effect, key: str) -> Receipt:
        """See `Forge`."""
        return await act(self, "GitLab", effect, key)

    async def pull_request(self, effect: e.PullRequest, key: str) -> Receipt:
        """See `acts.Acts`."""
        what = f"opening the merge request {effect.head} → {effect.base} in {effect.repository}"
        path = f"{_path(effect.repository)}/merge_requests"
        title = f"Draft: {effect.title}" if effect.draft else effect.title
        said = {"title": title, "description": e.marked(effect.body, key)}
        query: dict[str, str | int] = {"source_branch": effect.head, "target_branch": effect.base, "state": "all"}
        still = None
        async for item in self._api.pages(path, what, query):
            if e.marker(key) in str(item.get("description")):
                return _receipt(effect, item, found=True)
            if item.get("state") == "opened" and still is None:
                still = item
        if still is not None:
            changed = await self._api.call("PUT", f"{path}/{still['iid']}", what, body=said)
            return _receipt(effect, changed.data)
        body = {**said, "source_branch": effect.head, "target_branch": effect.base}
        return _receipt(effect, (await self._api.call("POST", path, what, body=body)).data)

    async def comment(self, effect: e.Comment, key: str) -> Receipt:
        """See `acts.Acts`."""
        what = f"commenting on {effect.repository}#{effect.number}"
        kind = "merge_requests" if effect.on_pull_request else "issues"
        return await self._note(effect, key, f"{_path(effect.repository)}/{kind}/{effect.number}", what, effect.body)

    async def _note(self, effect: e.Effect, key: str, path: str, what: str, body: str) -> Receipt:
        web = (await self._api.call("GET", path, what)).data
        async for item in self._api.pages(f"{path}/notes", what):
            if e.marker(key) in str(item.get("body")):
                return _receipt(effect, {**web, "id": item.get("id")}, found=True)
        made = await self._api.call("POST", f"{path}/notes", what, body={"body": e.marked(body, key)})
        return _receipt(effect, {**web, "id": made.data.get("id")})

    async def review(self, effect: e.Review, key: str) -> Receipt:
        """The comments on lines first, each known by a key of its own, then the verdict."""
        what = f"reviewing {effect.repository}!{effect.number}"
        path = f"{_path(effect.repository)}/merge_requests/{effect.number}"
        request = (await self._api.call("GET", path, what)).data
        if request.get("sha") and request["sha"] != effect.commit:
            raise faults.StaleHead(f"GitLab: {what} was not done: its head is {str(request['sha'])[:12]}")
        there = {
            str(note.get("body"))
            async for item in self._api.pages(f"{path}/discussions", what)
            for note in item.get("notes") or ()
        }
        refs = request.get("diff_refs") or {}
        for number, one in enumerate(effect.comments):
            mark = f"{key}.{number}"
            if any(e.marker(mark) in body for body in there):
                continue
            position = {
                "position_type": "text", "new_path": one.path, "old_path": one.path, "new_line": one.line,
                "base_sha": refs.get("base_sha"), "head_sha": refs.get("head_sha"), "start_sha": refs.get("start_sha"),
            }  # fmt: skip
            body = {"body": e.marked(one.body, mark), "position": position}
            await self._api.call("POST", f"{path}/discussions", what, body=body)
        if effect.verdict == "approve":
            with contextlib.suppress(faults.TokenRefused):  # GitLab says 401 to whoever has approved already
                await self._api.call("POST", f"{path}/approve", what, body={"sha": effect.commit})
        return await self._note(effect, key, path, what, effect.body)

    async def label(self, effect: e.Label) -> Receipt:
        """See `acts.Acts`."""
        what = f"labelling {effect.repository}#{effect.number}"
        kind = "merge_requests" if effect.on_pull_request else "issues"
        body = {"add_labels": ",".join(effect.add), "remove_labels": ",".join(effect.remove)}
        path = f"{_path(effect.repository)}/{kind}/{effect.number}"
        return _receipt(effect, (await self._api.call("PUT", path, what, body=body)).data)

    async def status(self, effect: e.Status) -> Receipt:
        """See `acts.Acts`."""
        what = f"setting the status {effect.context} of {effect.commit[:12]} in {effect.repository}"
        path = _path(effect.repository)
        async for item in self._api.pages(f"{path}/repository/commits/{effect.commit}/statuses", what):
            if item.get("name") == effect.context:
                same = (item.get("status"), item.get("description") or "", item.get("target_url") or None)
                if same == (_STATES[effect.state], effect.description, effect.url):
                    return _receipt(effect, item, found=True)
                break
        body: dict[str, object] = {
            "state": _STATES[effect.state], "name": effect.context, "description": effect.description
        }  # fmt: skip
        if effect.url is not None:
            body["target_url"] = effect.url
        return _receipt(
            effect, (await self._api.call("POST", f"{path}/statuses/{effect.commit}", what, body=body)).data
        )

    async def merge(self, effect: e.Merge) -> Receipt:
        """See `acts.Acts`."""
        what = f"merging {effect.repository}!{effect.number}"
        path = f"{_path(effect.repository)}/merge_requests/{effect.number}"
        request = (await self._api.call("GET", path, what)).data
        if request.get("sha") != effect.head:
            raise faults.StaleHead(f"GitLab: {what} was not done: its head is {str(request.get('sha'))[:12]}")
        if request.get("state") == "merged":
            return _receipt(effect, request, found=True)
        body = {"sha": effect.head, "squash": effect.method == "squash"}
        try:
            return _receipt(effect, (await self._api.call("PUT", f"{path}/merge", what, body=body)).data)
        except faults.Refused as error:
            if error.answered == 409:
                raise faults.StaleHead(f"GitLab: {what} was not done: somebody moved the branch meanwhile") from error
            if error.answered in {405, 406, 422}:
                raise faults.MergeConflict(f"GitLab: {what} was not done: it cannot be merged as it is") from error
            raise

    async def issue(self, effect: e.Issue, key: str) -> Receipt:
        """See `acts.Acts`."""
        what = f"opening an issue in {effect.repository}"
        path = f"{_path(effect.repository)}/issues"
        async for item in self._api.pages(path, what, {"scope": "created_by_me", "order_by": "created_at"}):
            if e.marker(key) in str(item.get("description")):
                return _receipt(effect, item, found=True)
        body = {"title": effect.title, "description": e.marked(effect.body, key), "labels": ",".join(effect.labels)}
        return _receipt(effect, (await self._api.call("POST", path, what, body=body)).data)


def _path(repository: str) -> str:
    return f"/projects/{quote(repository, safe='')}"


def _receipt(effect: e.Effect, data: Any, *, found: bool = False) -> Receipt:
    ids = {name: data.get(name) for name in ("id", "iid", "sha", "merge_commit_sha") if data.get(name) is not None}
    if "iid" in ids:
        ids["number"] = ids.pop("iid")
    return Receipt(effect.kind, data.get("web_url") or data.get("target_url"), ids, e.digest(effect), found)
