"""Tries what an installed agent can do: a real handshake, a session, its mode, and bringing the session back."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Protocol

from msgspec import Struct

from handrail.agents import Capabilities, PermissionRequest, Update
from handrail.agents.link import AcpLink
from handrail.agents.spec import AgentSpec, AskHow, Load
from handrail.errors import AgentError

PATIENCE = 60.0
"""seconds for each step"""
STRANGE = "00000000-0000-4000-8000-000000000000"
"""the id of no session"""


class Running(Protocol):
    """A started process of the agent; the caller owns it and its walls."""

    stdin: asyncio.StreamWriter
    stdout: asyncio.StreamReader


Start = Callable[[], Awaitable[Running]]
"""Starts one process of the agent; asked for a second one after `end` of the first."""
End = Callable[[Running], Awaitable[object]]


class Tried(Struct, frozen=True):
    """One capability: what the agent says of it, and what came of trying it. None: nothing said, or not tried."""

    name: str
    advertised: bool | None
    tried: bool | None
    detail: str


class CheckReport(Struct, frozen=True):
    """What the check of one agent found. `ok`: it can be used; `seconds` until its session was open."""

    name: str
    version: str
    ok: bool
    capabilities: tuple[Tried, ...]
    seconds: float


async def check(spec: AgentSpec, start: Start, end: End, cwd: Path, *, deep: bool = False) -> CheckReport:
    """Try the agent. Makes no model call, so it costs nothing and needs no key.

    Args:
        spec: what the catalogue knows of the agent.
        start: starts a process of it, inside the walls.
        end: ends a process and all that it started.
        cwd: the working directory of its session.
        deep: also start a second process and bring the first one's session back.
    """
    found: list[Tried] = []
    began = time.monotonic()
    version, session = "", None
    try:
        process = await start()
        try:
            link = _link(spec, process)
            async with asyncio.timeout(PATIENCE):
                advertised = await link.initialize()
            version = advertised.version
            found.append(Tried("handshake", None, True, f"{advertised.name} {advertised.version}".strip()))
            async with asyncio.timeout(PATIENCE):
                session = await link.new_session(cwd)
            seconds = time.monotonic() - began
            found.append(Tried("session", None, True, f"open after {seconds:.1f} s"))
            found.append(_mode(spec, link.mode))
            found.extend(_advertised(advertised))
            if deep and spec.resume.how is not Load.NONE:
                found.append(await _strange(spec, link, cwd))
            await link.close()
        finally:
            await end(process)
        if deep:
            name, given = "bring a session back", advertised.load or advertised.resume
            if spec.resume.how is Load.NONE:
                found.append(Tried(name, given, None, "known not to work: never asked for"))
            else:
                loaded, detail = await _load(spec, start, end, cwd, session)
                found.append(Tried(name, given, loaded, detail))
    except (AgentError, TimeoutError) as error:
        said = str(error) or f"no answer within {PATIENCE:.0f} s"
        found.append(Tried("session" if version else "handshake", None, False, said))
        return CheckReport(spec.name, version, False, tuple(found), round(time.monotonic() - began, 3))
    return CheckReport(spec.name, version, True, tuple(found), round(seconds, 3))


def _link(spec: AgentSpec, process: Running) -> AcpLink:
    def ignore(_: Update) -> None:
        return

    async def refuse(_: PermissionRequest) -> str | None:
        return None

    return AcpLink(spec, process.stdout, process.stdin, on_update=ignore, on_permission=refuse)


def _mode(spec: AgentSpec, mode: str | None) -> Tried:
    if spec.ask.how is AskHow.ENVIRONMENT and spec.ask.value is None:
        detail = "set by its settings; the agent reports no mode that would prove it"
        return Tried("asks before it acts", None, None, detail)
    return Tried("asks before it acts", None, mode == spec.ask.value, f"its mode is {mode!r}")


def _advertised(agent: Capabilities) -> list[Tried]:
    known = (("images", agent.images), ("MCP over HTTP", agent.mcp_http), ("close a session", agent.close))
    return [Tried(name, given, None, "") for name, given in known]


async def _strange(spec: AgentSpec, link: AcpLink, cwd: Path) -> Tried:
    """Whether the agent refuses to load a session that never was: one that does not cannot be believed."""
    params: dict[str, object] = {"sessionId": STRANGE, "cwd": str(cwd), "mcpServers": []}
    try:
        async with asyncio.timeout(PATIENCE):
            await link.request(f"session/{spec.resume.how.value}", params)
    except AgentError as error:
        return Tried("refuses unknown sessions", None, True, error.message)
    detail = "it says yes to a session that never was, so only a replayed history proves a load"
    return Tried("refuses unknown sessions", None, False, detail)


async def _load(spec: AgentSpec, start: Start, end: End, cwd: Path, session: str) -> tuple[bool, str]:
    process = await start()
    try:
        link = _link(spec, process)
        async with asyncio.timeout(PATIENCE):
            await link.initialize()
        async with asyncio.timeout(PATIENCE):
            loaded = await link.load_session(session, cwd)
        await link.close()
    finally:
        await end(process)
    method = f"session/{spec.resume.how.value}"
    detail = f"{method} in a new process" if loaded else f"{method} of a session without a turn was refused"
    return loaded, detail
