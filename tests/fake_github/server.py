"""The double's HTTP side: who may call, what goes wrong on purpose, the check of each exchange, signed webhooks."""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import hmac
import json
import re
import secrets
import socket
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2
import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from tests.fake_github import api, contract, pulls, smart_http
from tests.fake_github.api import Asked, Refusal
from tests.fake_github.apps import Apps
from tests.fake_github.repository import Repository

_BASE = "/api/v3"
_ROUTES = [*api.ROUTES, *pulls.ROUTES]


@dataclass
class Fault:
    """What goes wrong: calls whose `METHOD /path` matches are answered with `status`.

    Args:
        match: a regular expression, from the beginning.
        status: of the answer; 0 cuts the connection.
        times: how often; None for ever.
        headers: of the answer.
        message: of the answer.
        after: the act is carried out all the same, and only its answer is lost; with status 200 it is but late.
        delay: seconds before the answer.
    """

    match: str
    status: int = 500
    times: int | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    message: str = "Server Error"
    after: bool = False
    delay: float = 0.0
    seen: int = 0

    @property
    def late(self) -> bool:
        """The true answer is given, after `delay`."""
        return self.after and self.status == 200

    def hits(self, call: str) -> bool:
        """Whether it happens to this call; counts."""
        if not re.match(self.match, call) or (self.times is not None and self.seen >= self.times):
            return False
        self.seen += 1
        return True


class _Server(uvicorn.Server):
    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class FakeGitHub:
    """The double. Use it as an async context manager.

    Args:
        root: a directory for its repositories.
        port: on 127.0.0.1; 0 takes a free one.
        login: whose the token is.
    """

    def __init__(self, root: Path, *, port: int = 0, login: str = "handrail-bot") -> None:
        self.root = root
        self.port = port
        self.token = f"ghp_{secrets.token_hex(18)}"
        self.tokens = {self.token: login}
        self.scopes = "repo, read:org"
        self.apps = Apps()
        self.repositories: dict[str, Repository] = {}
        self.faults: list[Fault] = []
        self.calls: list[str] = []
        """`METHOD /path` of each, those of git as well"""
        self.headers: dict[str, str] = {}
        """of every answer, such as those that tell of limits"""
        self.unchanged = 0
        """answers that said that nothing had changed"""
        self.violations: list[str] = []
        self.webhooks: list[tuple[str, str]] = []
        """where deliveries go, and the secret that signs them"""
        self.sent: list[tuple[str, dict[str, Any]]] = []
        """event and payload of each thing that webhooks were told, or would have been"""
        self.deliveries: list[tuple[str, str, int]] = []
        """event, delivery id, status of the receiver"""
        self._server: _Server | None = None
        self._serving: asyncio.Task[None] | None = None
        self._sending: set[asyncio.Task[None]] = set()

    @property
    def url(self) -> str:
        """Base URL of pages and git."""
        return f"http://127.0.0.1:{self.port}"

    async def create(self, name: str, files: Mapping[str, str] | None = None) -> Repository:
        """A new repository with one commit on main."""
        repository = Repository(name, self.root / f"{name}.git")
        await repository.create(files or {"README.md": f"# {name}\n"})
        self.repositories[name] = repository
        return repository

    def fail(self, match: str, status: int = 500, **more: Any) -> Fault:
        """Misbehave from now on; the fault counts what it hit."""
        fault = Fault(match, status, **more)
        self.faults.append(fault)
        return fault

    # --- life ---

    async def __aenter__(self) -> Self:
        listening = socket.create_server(("127.0.0.1", self.port))
        self.port = listening.getsockname()[1]
        routes = [
            Route(_BASE + "/{path:path}", self._rest, methods=["GET", "POST", "PATCH", "PUT", "DELETE"]),
            Route("/{owner}/{repo}.git/{path:path}", self._git, methods=["GET", "POST"]),
        ]
        config = uvicorn.Config(Starlette(routes=routes), lifespan="off", log_config=None, timeout_graceful_shutdown=1)
        self._server = _Server(config)
        self._serving = asyncio.create_task(self._server.serve(sockets=[listening]))
        while not self._server.started:  # noqa: ASYNC110  # uvicorn has no event for it
            await asyncio.sleep(0.01)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.settled()
        if self._server and self._serving:
            self._server.should_exit = True
            await self._serving

    async def settled(self) -> None:
        """Wait until every webhook was sent."""
        while self._sending:
            await asyncio.wait(self._sending)

    # --- requests ---

    async def _rest(self, request: Request) -> Response:
        path, method = "/" + request.path_params["path"], request.method.lower()
        raw = request.scope["raw_path"].decode("ascii").partition("?")[0].removeprefix(_BASE)
        call = f"{request.method} {raw}"
        self.calls.append(call)
        body = await request.body()
        fault = next((item for item in self.faults if item.hits(call)), None)
        if fault and not fault.after:
            await asyncio.sleep(fault.delay)
            return _broken(fault)
        answer = await self._answered(request, method, path, body)
        if fault:
            await asyncio.sleep(fault.delay)
        return _broken(fault) if fault and not fault.late else answer

    async def _answered(self, request: Request, method: str, path: str, body: bytes) -> Response:
        served = next(((route, found) for route in _ROUTES if (found := route.match(method, path)) is not None), None)
        if served is None:
            self.violations.append(f"{method.upper()} {path} is no call of GitHub's that the double serves")
            return _json({"message": "Not Found", "documentation_url": "https://docs.github.com/rest"}, 404)
        route, found = served
        exchange = contract.Exchange(method, path, request.url.query, body)
        wrong = exchange.wrong_request()
        self.violations += [f"request {method.upper()} {path}: {item}" for item in wrong]
        try:
            login = self._login(request.headers.get("authorization", ""), route.path)
            _must_be_right(wrong)
            asked = Asked(self, login, found, dict(request.query_params), json.loads(body) if body.strip() else {})
            data, status, headers = await route.answer(asked)
        except Refusal as refusal:
            data, status, headers = refusal.body(), refusal.status, dict(refusal.headers)
        answer = _json(data, status, headers)
        if contract.documented(route.path, method, status):
            wrong = exchange.wrong_answer(status, bytes(answer.body))
            self.violations += [f"answer {status} of {method.upper()} {path}: {item}" for item in wrong]
        answer.headers.update(self.headers)
        if method == "get" and status == 200:
            return self._unless_known(request, answer)
        return answer

    def _unless_known(self, request: Request, answer: Response) -> Response:
        """The answer, or none where the caller has it already (https://docs.github.com/rest: conditional requests)."""
        tag = f'"{hashlib.sha256(bytes(answer.body)).hexdigest()}"'
        answer.headers["etag"] = tag
        if request.headers.get("if-none-match") != tag:
            return answer
        self.unchanged += 1
        return Response(None, 304, {"etag": tag, **self.headers})

    def _login(self, authorization: str, path: str) -> str:
        scheme, _, given = authorization.partition(" ")
        given = given.strip()
        if scheme.lower() == "basic":
            given = base64.b64decode(given).decode().partition(":")[2]
        if login := self.tokens.get(given) or self.apps.login_of(given):
            return login
        if path.startswith("/app") or path.endswith("/installation"):
            return self.apps.signed_by(given)
        raise Refusal(401, "Bad credentials")

    async def _git(self, request: Request) -> Response:
        path = f"/{request.path_params['owner']}/{request.path_params['repo']}.git/{request.path_params['path']}"
        call = f"{request.method} {path}"
        self.calls.append(call)
        fault = next((item for item in self.faults if item.hits(call)), None)
        if fault and not fault.after:
            return _broken(fault)
        try:
            login = self._login(request.headers.get("authorization", ""), "")
        except Refusal:
            return Response("Bad credentials", 401, {"www-authenticate": 'Basic realm="GitHub"'})
        repository = self.repositories.get(f"{request.path_params['owner']}/{request.path_params['repo']}")
        if repository is None:
            return Response("Not Found", 404)
        before = await repository.heads()
        answer = await smart_http.serve(request, self.root, path, login)
        if request.method == "POST" and path.endswith("git-receive-pack"):
            await self._pushed(repository, before, login)
        if fault:
            await asyncio.sleep(fault.delay)
        return _broken(fault) if fault else answer

    # --- what follows from an act ---

    async def _pushed(self, repository: Repository, before: Mapping[str, str], login: str) -> None:
        after = await repository.heads()
        for branch in sorted({*before, *after}):
            if before.get(branch) == after.get(branch):
                continue
            data = {
                "ref": f"refs/heads/{branch}",
                "before": before.get(branch, "0" * 40),
                "after": after.get(branch, "0" * 40),
            }
            self.send("push", repository, login, {**data, "commits": [], "pusher": {"name": login}})
            for pull in repository.pulls:
                if pull.head == branch and pull.state == "open" and branch in after:
                    pull.head_sha = after[branch]
                    repository.touch(pull)
                    head = {"ref": branch, "sha": pull.head_sha}
                    request = {"number": pull.number, "head": head}
                    told = {"action": "synchronize", "number": pull.number, "pull_request": request}
                    self.send("pull_request", repository, login, told)

    def send(self, event: str, repository: Repository, login: str, payload: Mapping[str, Any]) -> None:
        """Deliver a webhook, signed (https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries)."""
        told = {
            **payload,
            "repository": {"full_name": repository.name, "default_branch": repository.default_branch},
            "sender": {"login": login, "type": "Bot" if login.endswith("[bot]") else "User"},
        }
        self.sent.append((event, told))
        for url, secret in self.webhooks:
            task = asyncio.create_task(self._deliver(event, url, secret, json.dumps(told).encode()))
            self._sending.add(task)
            task.add_done_callback(self._sending.discard)

    async def _deliver(self, event: str, url: str, secret: str, body: bytes) -> None:
        delivery = str(uuid.uuid4())
        headers = {
            "content-type": "application/json",
            "user-agent": "GitHub-Hookshot/double",
            "x-github-event": event,
            "x-github-delivery": delivery,
            "x-hub-signature-256": "sha256=" + hmac.digest(secret.encode(), body, hashlib.sha256).hex(),
        }
        status = 0
        with contextlib.suppress(httpx2.TransportError):
            async with httpx2.AsyncClient(timeout=10) as client:
                status = (await client.post(url, content=body, headers=headers)).status_code
        self.deliveries.append((event, delivery, status))


def _json(data: Any, status: int, headers: Mapping[str, str] | None = None) -> Response:
    body = b"" if status == 204 else json.dumps(data).encode()
    return Response(body, status, headers, media_type="application/json")


def _must_be_right(wrong: list[str]) -> None:
    if wrong:
        raise Refusal(422, "Validation Failed")


def _broken(fault: Fault) -> Response:
    return _json({"message": fault.message}, fault.status, fault.headers)
