from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from handrail.agents import PermissionRequest, Text, ToolUpdate, TurnResult, Update
from handrail.agents.link import AcpLink
from handrail.agents.spec import AgentSpec

PEER = Path(__file__).with_name("peer.py")

Answer = Callable[[PermissionRequest], Awaitable[str | None]]


async def first_option(request: PermissionRequest) -> str | None:
    return request.options[0].id


@dataclass
class Bench:
    """A link to a scripted agent, and all that it told."""

    process: asyncio.subprocess.Process
    link: AcpLink
    updates: list[Update] = field(default_factory=list)
    asked: list[PermissionRequest] = field(default_factory=list)
    raw: list[tuple[str, bytes]] = field(default_factory=list)
    answer: Answer = first_option

    async def ready(self) -> Bench:
        await self.link.initialize()
        await self.link.new_session(Path("/work"))
        return self

    async def play(self, *steps: dict[str, Any]) -> TurnResult:
        return await self.link.prompt(json.dumps(steps))

    async def until_text(self) -> None:
        async with asyncio.timeout(10):
            while not self.text():  # noqa: ASYNC110  # the link calls back synchronously
                await asyncio.sleep(0.01)

    def text(self) -> str:
        return "".join(item.text for item in self.updates if isinstance(item, Text))

    def tools(self) -> list[ToolUpdate]:
        return [item for item in self.updates if isinstance(item, ToolUpdate)]


Bencher = Callable[..., Awaitable[Bench]]


def a_spec(**changes: Any) -> AgentSpec:
    given: dict[str, Any] = {"name": "peer", "title": "Peer", "licence": "MIT", "wire": "openai", "command": ("peer",)}
    return AgentSpec(**(given | changes))


@pytest.fixture
async def bench() -> AsyncIterator[Bencher]:
    benches: list[Bench] = []

    async def open_bench(*, answers: dict[str, Any] | None = None, limit: int = 32 << 20, **changes: Any) -> Bench:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-S",
            str(PEER),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            env={"PEER": json.dumps(answers or {})},
        )
        assert process.stdin is not None
        assert process.stdout is not None

        async def permission(request: PermissionRequest) -> str | None:
            made.asked.append(request)
            return await made.answer(request)

        link = AcpLink(
            a_spec(**changes),
            process.stdout,
            process.stdin,
            on_update=lambda update: made.updates.append(update),  # noqa: PLW0108  # `made` comes later
            on_permission=permission,
            on_raw=lambda way, line: made.raw.append((way, line)),
            limit=limit,
        )
        made = Bench(process, link)
        benches.append(made)
        return made

    yield open_bench
    for made in benches:
        if made.process.returncode is None:
            made.process.kill()
        await asyncio.wait_for(made.process.wait(), 10)
        await made.link.close()
