"""Small doubles of GitLab and Gitea: what our clients call.

Gitea's is held to what Gitea publishes. GitLab's is written after the public documentation: no package holds
its schema.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket
from collections.abc import AsyncIterator, Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

from tests.fake_github import Repository, smart_http
from tests.forges import gitea_contract

TOKEN = "small-token"


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Small:
    """What both keep: one repository, its pull requests, issues, notes and statuses."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.port = 0
        self.repository = Repository("acme/shop", root / "acme/shop.git")
        self.pulls: list[dict[str, Any]] = []
        self.issues: list[dict[str, Any]] = []
        self.notes: dict[str, list[dict[str, Any]]] = {}
        self.statuses: list[dict[str, Any]] = []
        self.labels: list[dict[str, Any]] = []
        self.events: list[dict[str, Any]] = []
        self.pipelines: list[dict[str, Any]] | None = []
        self.comments: list[dict[str, Any]] = []
        self.calls: list[str] = []
        self.violations: list[str] = []
        self.lose: str | None = None
        """the answer to this call is lost once, after the act"""

    def happened(self, action: str, target: str | None, number: int | None, **more: Any) -> None:
        """A line of GitLab's events (https://docs.gitlab.com/api/events/)."""
        self.events.append({
            "id": len(self.events) + 1, "action_name": action, "target_type": target, "target_iid": number,
            "created_at": stamp(), "author": {"id": 7, "name": "Alice", "username": "alice"}, **more,
        })  # fmt: skip

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def allowed(self, request: Request) -> bool:
        told = request.headers
        return TOKEN in (told.get("private-token", ""), told.get("authorization", "").partition(" ")[2])

    async def api(self, request: Request) -> Response:
        path = request.scope["raw_path"].decode().partition("?")[0]
        call = f"{request.method} {path.split('/', 3)[3]}"
        self.calls.append(call)
        if not self.allowed(request):
            return JSONResponse({"message": "401 Unauthorized"}, 401)
        body = await request.json() if await request.body() else {}
        data, status = await self.answer(call, request.query_params, body)
        self.violations += self.wrong(call, request.query_params, body, data, status)
        if self.lose and call.startswith(self.lose):
            self.lose = None
            return JSONResponse({"message": "bad gateway"}, 502)
        return Response(None, 204) if status == 204 else JSONResponse(data, status)

    def wrong(self, call: str, query: Any, body: Any, answer: Any, status: int) -> list[str]:  # noqa: ARG002
        """What the forge's published schema says against an exchange, where it publishes one."""
        return []

    async def answer(self, call: str, query: Any, body: Any) -> tuple[Any, int]:
        raise NotImplementedError

    async def git(self, request: Request) -> Response:
        if "authorization" not in request.headers:
            return Response("", 401)
        return await smart_http.serve(request, self.root, request.url.path, "bot")

    async def head(self, pull: dict[str, Any], branch: str) -> dict[str, Any]:
        """The pull request with its head as it is now."""
        return {**pull, "sha": pull.get("kept") or await self.repository.head(branch)}

    @contextlib.asynccontextmanager
    async def serving(self) -> AsyncIterator[None]:
        await self.repository.create({"README.md": "shop\n"})
        listening = socket.create_server(("127.0.0.1", 0))
        self.port = listening.getsockname()[1]
        methods = ["GET", "POST", "PUT", "PATCH", "DELETE"]
        routes = [
            Route("/api/{rest:path}", self.api, methods=methods),
            Route("/{rest:path}", self.git, methods=methods),
        ]
        server = _Server(uvicorn.Config(Starlette(routes=routes), lifespan="off", log_config=None))
        task = asyncio.create_task(server.serve(sockets=[listening]))
        while not server.started:  # noqa: ASYNC110  # uvicorn has no event for it
            await asyncio.sleep(0.01)
        yield
        server.should_exit = True
        await task


PROJECT = {
    "id": 15, "path_with_namespace": "acme/shop", "default_branch": "main", "http_url_to_repo": "http://x/acme/shop.git",
    "permissions": {"project_access": {"access_level": 40}, "group_access": None},
}  # fmt: skip


def stamp() -> str:
    """Now, as GitLab writes it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


class SmallGitLab(Small):
    """A GitLab with the project acme/shop."""

    async def answer(self, call: str, query: Any, body: Any) -> tuple[Any, int]:  # noqa: C901, PLR0912
        project = "projects/acme%2Fshop"
        method, _, path = call.partition(" ")
        parts = path.removeprefix(f"{project}/").split("/")
        match method, parts:
            case "GET", ["user"]:
                return {"username": "bot"}, 200
            case "GET", ["personal_access_tokens", "self"]:
                return {"scopes": ["api"], "expires_at": "2027-01-01"}, 200
            case "GET", ["groups", "acme", "projects"]:
                return [{"path_with_namespace": "acme/shop"}], 200
            case "GET", ["projects", _]:
                return PROJECT | {"web_url": f"{self.url}/acme/shop"}, 200
            case "GET", ["events"]:
                return self.events[::-1], 200
            case "GET", ["pipelines"]:
                return ([], 403) if self.pipelines is None else (self.pipelines, 200)
            case "GET", ["merge_requests"]:
                branch = query.get("source_branch")
                found = [one for one in self.pulls if branch in (None, one["source_branch"])]
                return [await self._whole(one) for one in found], 200
            case "POST", ["merge_requests"]:
                self.pulls.append({**body, "iid": len(self.pulls) + 1, "state": "opened", "labels": []})
                return await self._whole(self.pulls[-1]), 201
            case _, ["merge_requests", number, *rest] if int(number) <= len(self.pulls):
                return await self._of_request(method, self.pulls[int(number) - 1], rest, body)
            case "GET", ["issues"]:
                return self.issues[::-1], 200
            case "POST", ["issues"]:
                self.issues.append({**body, "iid": len(self.issues) + 1, "web_url": f"{self.url}/i/{len(self.issues)}"})
                return self.issues[-1], 201
            case _, ["issues", number, *rest] if int(number) <= len(self.issues):
                return self._notes(method, f"i{number}", self.issues[int(number) - 1], rest, body), 200
            case "GET", ["repository", "commits", _, "statuses"]:
                return self.statuses[::-1], 200
            case "POST", ["statuses", _]:
                self.statuses.append({**body, "status": body["state"], "id": len(self.statuses)})
                return self.statuses[-1], 201
        return {"message": "404 Not Found"}, 404

    async def _whole(self, one: dict[str, Any]) -> dict[str, Any]:
        whole = await self.head(one, one["source_branch"])
        refs = {"base_sha": "b", "head_sha": whole["sha"], "start_sha": "s"}
        return {**whole, "web_url": f"{self.url}/mr/{one['iid']}", "diff_refs": refs}

    def _notes(self, method: str, key: str, one: dict[str, Any], rest: list[str], body: Any) -> Any:
        kept = self.notes.setdefault(key, [])
        if method == "PUT":
            one |= body
        if rest and method == "POST":
            kept.append({**body, "id": len(kept) + 1})
            return kept[-1]
        if rest == ["discussions"]:
            return [{"notes": [note]} for note in kept]
        return kept if rest else one

    async def _of_request(self, method: str, one: dict[str, Any], rest: list[str], body: Any) -> tuple[Any, int]:
        whole = await self._whole(one)
        if rest == ["merge"]:
            if body["sha"] != whole["sha"]:
                return {"message": "SHA does not match HEAD of source branch"}, 409
            if one.get("conflict"):
                return {"message": "405 Method Not Allowed"}, 405
            one |= {"state": "merged", "kept": whole["sha"], "merge_commit_sha": "c" * 40}
            return await self._whole(one), 200
        told = self._notes(method, f"m{one['iid']}", one, rest, body)
        return (await self._whole(one) if not rest else told), 200


_COMMENT = {"id", "body", "html_url"}
_REVIEW = {*_COMMENT, "commit_id"}
_STATUS = {"id", "context", "description", "status", "target_url", "url"}
_LABEL = {"id", "name", "color"}
_ISSUE = {*_COMMENT, "number", "title", "state", "labels", "user", "created_at", "updated_at", "closed_at"}


def _shown(one: dict[str, Any], names: set[str]) -> dict[str, Any]:
    return {key: value for key, value in one.items() if key in names}


class SmallGitea(Small):
    """A Gitea with the repository acme/shop, held to what Gitea publishes."""

    def wrong(self, call: str, query: Any, body: Any, answer: Any, status: int) -> list[str]:
        return gitea_contract.wrong(call, query, body, answer, status)

    async def answer(self, call: str, query: Any, body: Any) -> tuple[Any, int]:  # noqa: ARG002, C901, PLR0912
        method, _, path = call.partition(" ")
        parts = path.removeprefix("repos/acme/shop/").split("/")
        match method, parts:
            case "GET", ["user"]:
                return {"login": "bot"}, 200
            case "GET", ["orgs", "acme", "repos"]:
                return [{"full_name": "acme/shop"}, {"full_name": "acme/old", "archived": True}], 200
            case "GET", ["repos", "acme", "shop"]:
                return {"permissions": {"push": True}, "full_name": "acme/shop", "default_branch": "main"}, 200
            case "GET", ["branches"]:
                heads = await self.repository.heads()
                return [{"name": name, "commit": {"id": head}} for name, head in heads.items()], 200
            case "GET", ["issues", "comments"]:
                return self.comments, 200
            case "GET", ["pulls"]:
                return [await self._pull(one) for one in self.pulls[::-1]], 200
            case "POST", ["pulls"]:
                if any(one["head"] == body["head"] and one["state"] == "open" for one in self.pulls):
                    return {"message": "pull request already exists for these targets"}, 409
                self.pulls.append({**body, "number": len(self.pulls) + 1, "state": "open"})
                return await self._pull(self.pulls[-1]), 201
            case "PATCH", ["pulls", number]:
                self.pulls[int(number) - 1] |= body
                return await self._pull(self.pulls[int(number) - 1]), 201
            case "GET", ["pulls", number] if int(number) <= len(self.pulls):
                return await self._pull(self.pulls[int(number) - 1]), 200
            case "POST", ["pulls", number, "merge"]:
                return await self._merge(self.pulls[int(number) - 1], body)
            case _, ["pulls" | "issues", number, "reviews" | "comments"] if int(number) <= max(
                len(self.pulls), len(self.issues)
            ):
                kept = self.notes.setdefault(parts[2] + number, [])
                answered, code = self._kept(method, kept, body, _REVIEW if parts[2] == "reviews" else _COMMENT)
                return answered, 200 if parts[2] == "reviews" else code
            case _, ["issues"]:
                return self._kept(method, self.issues, {**body, "state": "open"}, _ISSUE)
            case _, ["statuses", _]:
                return self._kept(method, self.statuses, {**body, "status": body.get("state")}, _STATUS)
            case _, ["labels"]:
                return self._kept(method, self.labels, body, _LABEL)
            case "POST", ["issues", number, "labels"]:
                put = [_shown(one, _LABEL) for one in self.labels if one["id"] in body["labels"]]
                self.issues[int(number) - 1]["labels"] = put
                return put, 200
            case "DELETE", ["issues", number, "labels", label]:
                issue = self.issues[int(number) - 1]
                issue["labels"] = [one for one in issue["labels"] if one["id"] != int(label)]
                return None, 204
            case "GET", ["issues", number] if int(number) <= len(self.issues):
                return _shown(self.issues[int(number) - 1], _ISSUE), 200
        return {"message": "not found"}, 404

    def _kept(self, method: str, kept: list[dict[str, Any]], body: Any, names: set[str]) -> tuple[Any, int]:
        """A list, the newest first, or what is put into it; of each what Gitea shows."""
        if method == "GET":
            return [_shown(one, names) for one in kept[::-1]], 200
        number, place = len(kept) + 1, f"{self.url}/{len(kept)}"
        kept.append({**body, "id": number, "number": number, "html_url": place, "url": place})
        return _shown(kept[-1], names), 201

    async def _pull(self, one: dict[str, Any]) -> dict[str, Any]:
        head = (await self.head(one, one["head"]))["sha"]
        sides = {"head": {"ref": one["head"], "sha": head}, "base": {"ref": one["base"]}}
        return {
            **{key: value for key, value in one.items() if key not in {"kept", "conflict"}},
            **sides,
            "html_url": f"{self.url}/acme/shop/pulls/{one['number']}",
        }

    async def _merge(self, one: dict[str, Any], body: Any) -> tuple[Any, int]:
        whole = await self._pull(one)
        if body["head_commit_id"] != whole["head"]["sha"]:
            return {"message": "head out of date"}, 409
        if one.get("conflict"):
            return {"message": "Please try again later"}, 405
        one |= {"merged": True, "state": "closed", "kept": whole["head"]["sha"], "merge_commit_sha": "c" * 40}
        return {}, 200
