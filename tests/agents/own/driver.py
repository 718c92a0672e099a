"""Drives the agent as a client does: a real process, its lines, and every message checked against ACP's own models."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from acp import schema
from pydantic import BaseModel

Json = dict[str, Any]

RESULTS: dict[str, type[BaseModel]] = {
    "initialize": schema.InitializeResponse,
    "session/new": schema.NewSessionResponse,
    "session/load": schema.LoadSessionResponse,
    "session/resume": schema.ResumeSessionResponse,
    "session/prompt": schema.PromptResponse,
    "session/set_mode": schema.SetSessionModeResponse,
}
PARAMS: dict[str, type[BaseModel]] = {
    "session/update": schema.SessionNotification,
    "session/request_permission": schema.RequestPermissionRequest,
}


def conforms(model: type[BaseModel], value: Json) -> None:
    """The models drop what they do not understand: so nothing may be missing when they give it back."""
    back = model.model_validate(value).model_dump(mode="json", by_alias=True, exclude_unset=True)
    assert back == value


class Refused(Exception):
    def __init__(self, error: Json) -> None:
        super().__init__(error["message"])
        self.code: int = error["code"]
        self.data: Any = error.get("data")


class Shown:
    """What an agent told."""

    def __init__(self) -> None:
        self.updates: list[Json] = []
        self.asked: list[Json] = []

    def of(self, *kinds: str) -> list[Json]:
        return [update for update in self.updates if update["sessionUpdate"] in kinds]

    def text(self, kind: str = "agent_message_chunk") -> str:
        return "".join(update["content"]["text"] for update in self.of(kind))

    def tools(self) -> dict[str, Json]:
        """The tool calls by id, updates folded in."""
        folded: dict[str, Json] = {}
        for update in self.of("tool_call", "tool_call_update"):
            folded.setdefault(update["toolCallId"], {}).update(update)
        return folded

    def outputs(self) -> list[str]:
        """The text of each tool call's content, in order."""
        return [
            "".join(item["content"]["text"] for item in tool.get("content", ()) if item["type"] == "content")
            for tool in self.tools().values()
        ]


class Own(Shown):
    """One agent process."""

    def __init__(self, home: Path, cwd: Path, env: Mapping[str, str]) -> None:
        super().__init__()
        self.servers: list[Json] = []
        self.home = home
        self.cwd = cwd
        self.env = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(home), **env}
        self.session = ""
        self.choose: Callable[[Json], str | None] = lambda _: "allow"
        self.capabilities: Json = {}
        self._process: asyncio.subprocess.Process | None = None
        self._pending: dict[int, tuple[str, asyncio.Future[Json]]] = {}
        self._next = 0
        self._reader: asyncio.Task[None] | None = None
        self._changed = asyncio.Condition()

    @property
    def process(self) -> asyncio.subprocess.Process:
        assert self._process is not None
        return self._process

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        self._process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "handrail.agents.own",
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=self.env,
            cwd=self.cwd,
            limit=64 << 20,
        )
        self._reader = asyncio.create_task(self._read())
        await self.call("initialize", protocolVersion=1, clientCapabilities=self.capabilities)

    async def stop(self) -> int:
        """Close its stdin; it must end by itself."""
        if self.process.stdin:
            self.process.stdin.close()
        code = await asyncio.wait_for(self.process.wait(), 5)
        if self._reader:
            await self._reader
        return code

    async def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)
        await self.process.wait()
        if self._reader:
            await self._reader

    async def new(self, mode: str | None = None) -> str:
        self.session = (await self.call("session/new", cwd=str(self.cwd), mcpServers=self.servers))["sessionId"]
        if mode:
            await self.call("session/set_mode", sessionId=self.session, modeId=mode)
        return self.session

    async def back(self, session: str, how: str = "load") -> Json:
        self.session = session
        return await self.call(f"session/{how}", sessionId=session, cwd=str(self.cwd), mcpServers=self.servers)

    async def prompt(self, text: str) -> Json:
        return await self.call("session/prompt", sessionId=self.session, prompt=[{"type": "text", "text": text}])

    def cancel(self) -> None:
        self.send({"jsonrpc": "2.0", "method": "session/cancel", "params": {"sessionId": self.session}})

    async def call(self, method: str, **params: Any) -> Json:
        return await self.begin(method, **params)

    def begin(self, method: str, **params: Any) -> asyncio.Future[Json]:
        future = asyncio.get_running_loop().create_future()
        self._next += 1
        self._pending[self._next] = method, future
        self.send({"jsonrpc": "2.0", "id": self._next, "method": method, "params": params})
        return future

    def send(self, message: Any) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(json.dumps(message).encode() + b"\n")

    async def until(self, wanted: Callable[[], bool], seconds: float = 10) -> None:
        """Wait until something that came makes `wanted` true."""
        async with self._changed:
            await asyncio.wait_for(self._changed.wait_for(wanted), seconds)

    async def _read(self) -> None:
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            message = json.loads(line)
            assert message["jsonrpc"] == "2.0"
            if "method" in message:
                self._told(message)
            else:
                self._answered(message)
            async with self._changed:
                self._changed.notify_all()
        for _, future in self._pending.values():
            if not future.done():
                future.cancel()

    def _told(self, message: Json) -> None:
        params = message["params"]
        conforms(PARAMS[message["method"]], params)
        if message["method"] == "session/update":
            self.updates.append(params["update"])
            return
        self.asked.append(params)
        chosen = self.choose(params)
        if chosen == "wait":
            return
        outcome = {"outcome": "selected", "optionId": chosen} if chosen else {"outcome": "cancelled"}
        self.send({"jsonrpc": "2.0", "id": message["id"], "result": {"outcome": outcome}})

    def _answered(self, message: Json) -> None:
        method, future = self._pending.pop(message["id"]) if message["id"] else ("", None)
        if future is None or future.done():
            return
        if "error" in message:
            conforms(schema.Error, message["error"])
            future.set_exception(Refused(message["error"]))
            return
        if method in RESULTS:
            conforms(RESULTS[method], message["result"])
        future.set_result(message["result"])
