"""GitHub: the calls that effects need, read leniently (https://docs.github.com/rest).

Every act looks first whether one with its key is there: texts carry the key in a marker that readers do not see, a pull
request is known by its branches, a merge by the head that was merged.
"""

from __future__ import annotations

import base64
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Protocol
from urllib.parse import quote, urlsplit

import httpx2

from handrail.errors import ForgeError
from handrail.forges import Checked, ForgeKind, News, Receipt, Remote, faults
from handrail.forges import effects as e
from handrail.forges.acts import act
from handrail.forges.github_news import Look
from handrail.forges.http import Api
from handrail.forges.setup import address
from handrail.types import Json

_VERSION = "2022-11-28"
_EVENTS = {"comment": "COMMENT", "approve": "APPROVE", "request_changes": "REQUEST_CHANGES"}


class Credential(Protocol):
    """What lets a call in: a token that somebody made, or an App's that is asked for."""

    async def token(self, repository: str | None) -> str:
        """A token that works now, for `repository`.

        Raises:
            ForgeError: none could be got.
        """
        ...

    async def check(self, api: Api) -> Checked:
        """Whose it is, and what it may do."""
        ...


class Token:
    """A personal access token, classic or fine-grained."""

    def __init__(self, token: str) -> None:
        self._token = token

    async def token(self, repository: str | None) -> str:  # noqa: ARG002  # the same for all
        """See `Credential`."""
        return self._token

    async def check(self, api: Api) -> Checked:
        """See `Credential`. Fine-grained tokens do not tell their scopes."""
        answer = await api.call("GET", "/user", "checking the token")
        told = answer.headers.get("x-oauth-scopes")
        scopes = None if told is None else tuple(item.strip() for item in told.split(",") if item.strip())
        ends = answer.headers.get("github-authentication-token-expiration")
        notes = (f"the token ends at {ends}",) if ends else ()
        return Checked(str(answer.data.get("login")), scopes, notes=notes, ends=_moment(ends))


def _moment(ends: str | None) -> datetime | None:
    """`2026-12-24 10:00:00 UTC`, or with an offset (https://github.blog/changelog/2021-07-26-expiration-options-for-personal-access-tokens/)."""
    try:
        moment = datetime.fromisoformat((ends or "").replace(" UTC", "+00:00").replace(" +", "+").replace(" -", "-"))
    except ValueError:
        return None
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)


def api_of(url: str) -> str:
    """The API of the GitHub at `url`: github.com has its own host, a GitHub Enterprise Server a path."""
    if urlsplit(url).hostname in {"github.com", "www.github.com"}:
        return "https://api.github.com"
    return f"{url}/api/v3"


def headers(token: str) -> dict[str, str]:
    """The headers of a call."""
    return {
        "accept": "application/vnd.github+json",
        "authorization": f"Bearer {token}",
        "x-github-api-version": _VERSION,
        "user-agent": "handrail",
    }


class GitHub:
    """A GitHub with one credential.

    Args:
        http: from `http.client`.
        url: where its pages are.
        credential: a token's or an App's.
    """

    kind = ForgeKind.GITHUB

    def __init__(self, http: httpx2.AsyncClient, url: str, credential: Credential) -> None:
        self._http = http
        self._url = address(url)
        self._credential = credential

    def _api(self, repository: str | None) -> Api:
        async def authorise() -> Mapping[str, str]:
            return headers(await self._credential.token(repository))

        return Api(self._http, "GitHub", api_of(self._url), authorise)

    async def check(self, repository: str | None) -> Checked:
        """See `Forge`."""
        api = self._api(repository)
        found = await self._credential.check(api)
        if repository is None:
            return found
        data = (await api.call("GET", _path(repository), f"looking at {repository}")).data
        may = data.get("permissions") or {}
        notes = (*found.notes, *((f"{repository} is archived",) if data.get("archived") else ()))
        writable = bool(may.get("push")) and not data.get("archived")
        return Checked(found.login, found.scopes, writable, notes, found.ends)

    async def remote(self, repository: str) -> Remote:
        """See `Forge`."""
        token = await self._credential.token(repository)
        basic = base64.b64encode(f"x-access-token:{token}".encode()).decode()
        url = f"{self._url}/{quote(repository)}.git"
        return Remote(url, {f"http.{self._url}/.extraHeader": f"Authorization: Basic {basic}"})

    async def repositories(self, owner: str) -> list[str]:
        """See `Forge`."""
        api, what = self._api(None), f"listing the repositories of {owner}"
        name = quote(owner, safe="")
        try:
            found = [item async for item in api.pages(f"/orgs/{name}/repos", what)]
        except faults.NotThere:
            found = [item async for item in api.pages(f"/users/{name}/repos", what)]
        return sorted(str(item["full_name"]) for item in found if not item.get("archived"))

    async def news(self, repository: str, seen: Json) -> News:
        """See `Forge`."""
        return await Look(self._api(repository), repository, seen).news()

    async def act(self, effect: e.Effect, key: str) -> Receipt:
        """See `Forge`."""
        repository = getattr(effect, "repository", "")  # an act without one is none of a forge
        return await act(Acts(self._api(repository), _path(repository), repository), "GitHub", effect, key)


class Acts:
    """The effects in one repository.

    Args:
        api: with a credential for it.
        path: of the repository in the API.
        repository: its name.
    """

    def __init__(self, api: Api, path: str, repository: str) -> None:
        self._api = api
        self._path = path
        self._repository = repository

    async def pull_request(self, effect: e.PullRequest, key: str) -> Receipt:
        """See `acts.Acts`."""
        what = f"opening the pull request {effect.head} → {effect.base} in {self._repository}"
        body = {"title": effect.title, "body": e.marked(effect.body, key)}
        opened = await self._opened(effect, key, what)
        if opened is None:
            new = {**body, "head": effect.head, "base": effect.base, "draft": effect.draft}
            try:
                made = (await self._api.call("POST", f"{self._path}/pulls", what, body=new)).data
                return _receipt(effect, made, number=made["number"])
            except faults.AlreadyThere:
                opened = await self._opened(effect, key, what)
                if opened is None:
                    raise
        if e.marker(key) in str(opened.get("body")):
            return _receipt(effect, opened, found=True, number=opened["number"])
        path = f"{self._path}/pulls/{opened['number']}"
        changed = (await self._api.call("PATCH", path, f"updating pull request {opened['number']}", body=body)).data
        return _receipt(effect, changed, number=changed["number"])

    async def _opened(self, effect: e.PullRequest, key: str, what: str) -> Any | None:
        """The pull request of this very act, whatever became of it, else the open one of the same branches."""
        owner = self._repository.partition("/")[0]
        head = effect.head if ":" in effect.head else f"{owner}:{effect.head}"
        query = {"head": head, "base": effect.base, "state": "all", "sort": "created", "direction": "desc"}
        still = None
        async for item in self._api.pages(f"{self._path}/pulls", what, query):
            # a fork's branch of the same name is somebody else's, and some servers ignore `head`
            if (item.get("head") or {}).get("ref") != effect.head.rpartition(":")[2]:
                continue
            if e.marker(key) in str(item.get("body")):
                return item
            if item.get("state") == "open" and still is None:
                still = item
        return still

    async def comment(self, effect: e.Comment, key: str) -> Receipt:
        """See `acts.Acts`."""
        what = f"commenting on {self._repository}#{effect.number}"
        path = f"{self._path}/issues/{effect.number}/comments"
        if (there := await self._marked(path, key, what)) is not None:
            return _receipt(effect, there, found=True, number=effect.number)
        made = await self._api.call("POST", path, what, body={"body": e.marked(effect.body, key)})
        return _receipt(effect, made.data, number=effect.number)

    async def review(self, effect: e.Review, key: str) -> Receipt:
        """See `acts.Acts`."""
        what = f"reviewing {self._repository}#{effect.number}"
        path = f"{self._path}/pulls/{effect.number}/reviews"
        if (there := await self._marked(path, key, what)) is not None:
            return _receipt(effect, there, found=True, number=effect.number)
        lines = [
            {"path": one.path, "line": one.line, "side": "RIGHT", "body": e.unmarked(one.body)}
            for one in effect.comments
        ]
        body = {"commit_id": effect.commit, "body": e.marked(effect.body, key), "event": _EVENTS[effect.verdict]}
        made = await self._api.call("POST", path, what, body={**body, "comments": lines})
        return _receipt(effect, made.data, number=effect.number)

    async def label(self, effect: e.Label) -> Receipt:
        """See `acts.Acts`."""
        what = f"labelling {self._repository}#{effect.number}"
        path = f"{self._path}/issues/{effect.number}/labels"
        if effect.add:
            await self._api.call("POST", path, what, body={"labels": list(effect.add)})
        for name in effect.remove:
            try:
                await self._api.call("DELETE", f"{path}/{quote(name, safe='')}", what)
            except faults.NotThere:
                # gone already, or the issue is not there: the next call tells
                await self._api.call("GET", path, what)
        issue = (await self._api.call("GET", f"{self._path}/issues/{effect.number}", what)).data
        return _receipt(effect, issue, number=effect.number)

    async def status(self, effect: e.Status) -> Receipt:
        """See `acts.Acts`."""
        what = f"setting the status {effect.context} of {effect.commit[:12]} in {self._repository}"
        async for item in self._api.pages(f"{self._path}/commits/{effect.commit}/statuses", what):
            if item.get("context") == effect.context:  # the newest of this name comes first
                same = (item.get("state"), item.get("description") or "", item.get("target_url") or None)
                if same == (effect.state, effect.description, effect.url):
                    return _receipt(effect, item, found=True, commit=effect.commit)
                break
        body: dict[str, object] = {"state": effect.state, "context": effect.context, "description": effect.description}
        if effect.url is not None:
            body["target_url"] = effect.url
        made = await self._api.call("POST", f"{self._path}/statuses/{effect.commit}", what, body=body)
        return _receipt(effect, made.data, commit=effect.commit)

    async def merge(self, effect: e.Merge) -> Receipt:
        """See `acts.Acts`."""
        what = f"merging {self._repository}#{effect.number}"
        path = f"{self._path}/pulls/{effect.number}"
        pull = (await self._api.call("GET", path, what)).data
        head = str((pull.get("head") or {}).get("sha"))
        if head != effect.head:
            raise faults.StaleHead(f"GitHub: {what} was not done: its head is {head[:12]}, not {effect.head[:12]}")
        if pull.get("merged"):
            return _receipt(effect, pull, found=True, number=effect.number, commit=pull.get("merge_commit_sha"))
        body = {"sha": effect.head, "merge_method": effect.method}
        try:
            made = (await self._api.call("PUT", f"{path}/merge", what, body=body)).data
        except faults.Refused as error:
            raise _of_merge(error, what) from error
        return _receipt(effect, pull, number=effect.number, commit=made.get("sha"))

    async def issue(self, effect: e.Issue, key: str) -> Receipt:
        """See `acts.Acts`."""
        what = f"opening an issue in {self._repository}"
        query = {"state": "all", "sort": "created", "direction": "desc"}
        if (there := await self._marked(f"{self._path}/issues", key, what, query, most=500)) is not None:
            return _receipt(effect, there, found=True, number=there["number"])
        body = {"title": effect.title, "body": e.marked(effect.body, key), "labels": list(effect.labels)}
        made = (await self._api.call("POST", f"{self._path}/issues", what, body=body)).data
        return _receipt(effect, made, number=made["number"])

    async def _marked(
        self, path: str, key: str, what: str, query: Mapping[str, str | int] | None = None, most: int = 5000
    ) -> Any | None:
        """The item of a list whose text carries the marker."""
        seen = 0
        async for item in self._api.pages(path, what, query):
            seen += 1
            if e.marker(key) in str(item.get("body")):
                return item
            if seen >= most:
                break
        return None


def _path(repository: str) -> str:
    return f"/repos/{quote(repository)}"


def _of_merge(error: faults.Refused, what: str) -> ForgeError:
    """GitHub says by 405 that it cannot be merged and by 409 that the head moved."""
    if error.answered == 405:
        return faults.MergeConflict(f"GitHub: {what} was not done: it cannot be merged as it is (conflict)")
    if error.answered == 409:
        return faults.StaleHead(f"GitHub: {what} was not done: somebody moved the branch meanwhile")
    return error


def _receipt(effect: e.Effect, data: Any, *, found: bool = False, **ids: object) -> Receipt:
    url = data.get("html_url") or data.get("url")
    return Receipt(effect.kind, url, {"id": data.get("id"), **ids}, e.digest(effect), found)
