"""One real agent inside the real walls, with the scripted provider behind its only door."""

from __future__ import annotations

import asyncio
import os
import shutil
import socket
import tempfile
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from handrail.agents import Endpoint, PermissionRequest, Text, ToolUpdate, TurnResult, Update, install
from handrail.agents.catalogue import get, launch
from handrail.agents.install import Installed
from handrail.agents.link import AcpLink
from handrail.agents.spec import AgentSpec
from handrail.sandbox import Box, Closer, Process, Walls
from handrail.sandbox.backends import open_backend
from handrail.types import SandboxKind
from tests.fake_provider import FakeProvider, prompt
from tests.real_agents.fetch import CACHE

PLACE = CACHE.parent / "try"
"""not under /tmp: Codex refuses a home there"""
TOKEN = "session-token"


def door_to(port: int) -> Callable[[socket.socket], Awaitable[Closer]]:
    """A door that leads to a port of the host's loopback."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(1 << 16):
                writer.write(data)
                await writer.drain()
        except OSError:
            pass
        finally:
            writer.close()

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        there, back = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(pump(reader, back), pump(there, writer))

    async def door(listener: socket.socket) -> Closer:
        server = await asyncio.start_server(serve, sock=listener)

        async def close() -> None:
            server.close()

        return close

    return door


@dataclass
class Run:
    """One process of the agent and what it told."""

    stage: Stage
    process: Process
    link: AcpLink
    updates: list[Update] = field(default_factory=list)
    asked: list[PermissionRequest] = field(default_factory=list)
    raw: list[tuple[str, bytes]] = field(default_factory=list)
    answer: Callable[[PermissionRequest], Awaitable[str | None]] | None = None
    session: str = ""

    async def ready(self) -> Run:
        await self.link.initialize()
        self.session = await self.link.new_session(self.stage.workspace)
        return self

    async def play(self, *steps: dict[str, Any], text: str = "") -> TurnResult:
        return await self.link.prompt(prompt(list(steps), text))

    def text(self) -> str:
        return "".join(item.text for item in self.updates if isinstance(item, Text) and not item.thought)

    def tools(self) -> list[ToolUpdate]:
        return [item for item in self.updates if isinstance(item, ToolUpdate)]

    def allow(self) -> Run:
        self.answer = self._choose(allow=True)
        return self

    def deny(self) -> Run:
        self.answer = self._choose(allow=False)
        return self

    def _choose(self, *, allow: bool) -> Callable[[PermissionRequest], Awaitable[str | None]]:
        async def answer(request: PermissionRequest) -> str | None:
            return self.stage.spec.choose(request.options, allow=allow)

        return answer


@dataclass
class Stage:
    """An agent's workspace, home and box; starts as many processes one after the other as a test wants."""

    spec: AgentSpec
    installed: Installed
    fake: FakeProvider
    box: Box
    workspace: Path
    home: Path
    model: str | None = None
    runs: list[Run] = field(default_factory=list)

    async def start(self) -> Run:
        order = launch(self.spec, Endpoint(self.box.door_url(), TOKEN, self.model), self.home, self.installed)
        for name, content in order.files.items():
            file = self.home / name
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(content, "utf-8")
        own(self.home)
        process = await self.box.start(
            order.argv, env=order.env, door=door_to(self.fake.port), stderr_file=self.home.parent / "stderr.log"
        )
        made: Run

        async def permission(request: PermissionRequest) -> str | None:
            made.asked.append(request)
            return await made.answer(request) if made.answer else None

        link = AcpLink(
            self.spec,
            process.stdout,
            process.stdin,
            on_update=lambda update: made.updates.append(update),  # noqa: PLW0108  # `made` comes later
            on_permission=permission,
            on_raw=lambda way, line: made.raw.append((way, line)),
        )
        made = Run(self, process, link)
        self.runs.append(made)
        return made

    def file(self, name: str) -> str | None:
        path = self.workspace / name
        return path.read_text("utf-8") if path.is_file() else None


def own(folder: Path) -> None:
    """Give what this test wrote to the uid that the box gave the folder to."""
    owner = folder.stat()
    for path in [folder, *folder.rglob("*")]:
        if path.lstat().st_uid != owner.st_uid:
            os.chown(path, owner.st_uid, owner.st_gid, follow_symlinks=False)


@asynccontextmanager
async def on_stage(name: str, *, model: str | None = None, keep: bool = False) -> AsyncIterator[Stage]:
    """Raise the walls round a fresh workspace for the agent `name`; nothing is left afterwards."""
    spec = get(name)
    installed = install.find(spec, CACHE)
    assert installed is not None, f"run: python -m tests.real_agents.fetch {name}"
    PLACE.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{name}-", dir=PLACE))
    folder.chmod(0o755)
    workspace, home = folder / "work", folder / "home"
    workspace.mkdir()
    home.mkdir()
    (workspace / "hello.txt").write_text("hello\n")
    backend = open_backend(SandboxKind.BUBBLEWRAP)
    try:
        async with FakeProvider() as fake:
            box = await backend.open(Walls(workspace=workspace, home=home, read_only=installed.read_only))
            stage = Stage(spec, installed, fake, box, workspace, home, model)
            try:
                yield stage
            finally:
                await box.close()
                for run in stage.runs:
                    await run.link.close()
    finally:
        await backend.close()
        if not keep:
            shutil.rmtree(folder, ignore_errors=True)
