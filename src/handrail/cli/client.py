"""The HTTP API as the verbs use it: requests that answer JSON or raise one sentence, and a stream that reconnects."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AsyncExitStack
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx2

from handrail.cli.clean import clean
from handrail.cli.finding import connect, connect_or_start
from handrail.errors import HandrailError, Unavailable

Obj = dict[str, Any]
LONG = 900.0
"""seconds for calls that may take minutes: installing an agent, checking one deeply, undoing in a large tree"""
_RECONNECT_LIMIT = 30.0
_RESTART_LIMIT = 10.0


class Failed(HandrailError):
    """The server tried and could not; `detail` of its problem is the message. Exit status 1."""

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.http_status = status


class Refused(Failed):
    """The server does not take the request as it is (4xx). Exit status 2."""

    exit_code = 2


class Client:
    """One server, found or started, for one command. Use it as an async context manager.

    Args:
        data: the data directory.
        say: told in one sentence when a server has to be started.
        start: start a server when none runs; else `Unavailable` is raised.
    """

    def __init__(self, data: Path, *, say: Callable[[str], None], start: bool = True) -> None:
        self.data = data
        self._say = say
        self._start = start
        self._http: httpx2.AsyncClient | None = None
        self._open = AsyncExitStack()

    async def __aenter__(self) -> Self:
        self._keep(await self._connected())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._open.aclose()

    async def get(self, path: str, **params: str | float | None) -> Obj:
        """GET a path below `/api/v1`; parameters that are None are left out."""
        return await self._request(
            "GET", path, params={key: value for key, value in params.items() if value is not None}
        )

    async def post(self, path: str, body: Mapping[str, Any] | None = None, *, timeout: float = 60.0) -> Obj:
        """POST a JSON body; `timeout` is seconds. Keys of the body that are None are left out."""
        given = {key: value for key, value in (body or {}).items() if value is not None}
        return await self._request("POST", path, json=given, timeout=timeout)

    async def put(self, path: str, body: Mapping[str, Any]) -> Obj:
        """PUT a JSON body, without its keys that are None."""
        return await self._request("PUT", path, json={key: value for key, value in body.items() if value is not None})

    async def delete(self, path: str) -> Obj:
        """DELETE a path."""
        return await self._request("DELETE", path)

    async def events(self, session: str, after: int) -> AsyncIterator[Obj]:
        """The events of a session numbered above `after`, for ever; a server that was started again is found again.

        Raises:
            Unavailable: no server answered for 30 s.
        """
        lost: float | None = None
        while True:
            try:
                async with self._living().sse(
                    f"/api/v1/sessions/{session}/stream",
                    params={"after": after},
                    timeout=httpx2.Timeout(45.0, connect=5.0),
                    max_event_size=64 << 20,
                ) as source:
                    if source.response.status_code != httpx2.codes.OK:
                        await source.response.aread()
                        _raise(source.response)
                    lost = None
                    async for message in source:
                        event = _object(message.data)
                        if event and int(event.get("seq", 0)) > after:
                            after = int(event["seq"])
                            yield event
            except (httpx2.TransportError, httpx2.StreamError):
                pass
            lost = lost or time.monotonic()
            if time.monotonic() - lost > _RECONNECT_LIMIT:
                raise Unavailable(f"the server went away and did not come back within {_RECONNECT_LIMIT:.0f} s")
            await asyncio.sleep(0.1)
            await self._reconnect()

    async def _reconnect(self) -> None:
        fresh = await connect(self.data)
        if fresh is not None:
            # the old one is closed with this client only: another task may still wait for an answer on it
            self._keep(fresh)

    def _keep(self, http: httpx2.AsyncClient) -> None:
        self._http = http
        self._open.push_async_callback(http.aclose)

    async def _connected(self) -> httpx2.AsyncClient:
        if self._start:
            return await connect_or_start(self.data, say=self._say)
        client = await connect(self.data)
        if client is None:
            raise Unavailable(f"no server runs on {self.data}: start one with `handrail up`")
        return client

    def _living(self) -> httpx2.AsyncClient:
        if self._http is None:
            raise RuntimeError("the client was not entered")
        return self._http

    async def _sent(self, method: str, path: str, **more: Any) -> httpx2.Response:
        """Send a request; while nobody takes the connection, a server that is being started again is waited for."""
        deadline = time.monotonic() + _RESTART_LIMIT
        while True:
            try:
                return await self._living().request(method, path, **more)
            except httpx2.ConnectError:
                if time.monotonic() > deadline:
                    raise
            await asyncio.sleep(0.1)
            await self._reconnect()

    async def _request(self, method: str, path: str, *, timeout: float = 60.0, **more: Any) -> Obj:
        try:
            answer = await self._sent(method, f"/api/v1{path}", timeout=timeout, **more)
        except httpx2.TimeoutException as error:
            raise Unavailable(f"the server did not answer within {timeout:.0f} s ({method} {path})") from error
        except httpx2.TransportError as error:
            raise Unavailable(f"the server went away in mid-answer ({method} {path}): try again") from error
        if answer.is_error:
            _raise(answer)
        return _object(answer.content)


def _object(text: str | bytes) -> Obj:
    try:
        told = json.loads(text or b"{}")
    except ValueError as error:
        raise Failed("the server answered something that is not JSON: is its version this one?", 500) from error
    return told if isinstance(told, dict) else {}


def _raise(answer: httpx2.Response) -> None:
    status = answer.status_code
    try:
        problem = answer.json()
    except ValueError:
        problem = {}
    detail = problem.get("detail") or problem.get("title") if isinstance(problem, dict) else None
    told = clean(str(detail or f"the server answered {status} {answer.reason_phrase}")).replace("\n", " ")
    raise (Refused if status < 500 else Failed)(told, status)
