"""The one WebSocket: the terminal of a session, for its page and for `handrail shell`.

Without `shell` it shows what the agent's shell says, as it comes; with `shell=new` it is a shell of the person's own
inside the same walls, with the id of one it is the shell whose line was lost. Bytes are what a terminal shows; the
rest is JSON: `{"mode", "control", "shell", "at"}` from here, `{"typed": text}` and `{"size": [columns, rows]}` from
there.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Coroutine
from typing import Any

from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from handrail.commands import sessions, terminals
from handrail.commands.actor import Actor
from handrail.commands.desk import Desk
from handrail.errors import HandrailError, InvalidInput
from handrail.kinds import Kind
from handrail.sessions.shells import Shell
from handrail.types import Json
from handrail.web.pages.playback import Playback
from handrail.web.table import PREFIX

PATH = "/sessions/{id}/terminal/socket"
API_PATH = f"{PREFIX}/sessions/{{id}}/terminal"
"""the same for programs"""
TAIL = 1500
"""events that whoever begins to watch is shown the shell's part of"""
REFUSED = 4000
"""close code: what was asked for cannot be, and asking again does not help"""
_LONGEST = 1 << 19
_DIGITS = 12


def routes(desk: Desk) -> list[WebSocketRoute]:
    """The routes; the guard has seen to cookie and origin, or to the token."""

    async def opened(socket: WebSocket) -> None:
        await socket.accept()
        line = Line(desk, socket)
        try:
            await line.carry()
        except WebSocketDisconnect:
            return
        except HandrailError as error:
            await line.refuse(error.message)

    return [WebSocketRoute(path, opened) for path in (PATH, API_PATH)]


class Line:
    """One terminal that is open in a browser.

    Args:
        desk: the rooms.
        socket: accepted.
    """

    def __init__(self, desk: Desk, socket: WebSocket) -> None:
        self._desk = desk
        self._socket = socket
        self._actor: Actor = socket.scope["handrail.actor"]
        self._session = str(socket.path_params["id"])

    async def carry(self) -> None:
        """Carry both ways until one side ends.

        Raises:
            WebSocketDisconnect: the browser went away.
            HandrailError: what it wants cannot be.
        """
        wanted = self._socket.query_params.get("shell", "")
        if not wanted:
            await self._both(self._watch(), None)
            return
        if wanted == "new":
            columns, rows = self._number("columns", 80), self._number("rows", 24)
            shell = await terminals.open_shell(self._desk, self._actor, self._session, columns, rows)
        else:
            shell = await terminals.find_shell(self._desk, self._actor, self._session, wanted)
        shell.viewers += 1
        try:
            await self._both(self._show(shell), shell)
        finally:
            shell.viewers -= 1

    async def refuse(self, sentence: str) -> None:
        """Say why it ends."""
        try:
            await self._tell({"refused": sentence})
            await self._socket.close(REFUSED)
        except (WebSocketDisconnect, RuntimeError):  # it is gone already
            return

    async def _both(self, showing: Coroutine[Any, Any, None], shell: Shell | None) -> None:
        """Show and listen at once; what ends first ends both, and tells why."""
        tasks = [asyncio.create_task(showing), asyncio.create_task(self._listen(shell))]
        try:
            done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
            for task in done:
                task.result()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

    async def _watch(self) -> None:
        seen = await sessions.show(self._desk, self._actor, self._session)
        await self._tell({"mode": "watch", "control": seen.row.control, "state": seen.row.state})
        playback = Playback()
        after = max(0, seen.last_seq - TAIL)
        async with await sessions.follow(self._desk, self._actor, self._session, after=after) as events:
            while batch := await events.batch():
                if said := playback.take(batch):
                    await self._socket.send_bytes(said.encode("utf-8", "replace"))
                for event in batch:
                    if event.kind == Kind.CONTROL_CHANGED:
                        await self._tell({"control": event.data.get("control")})

    async def _show(self, shell: Shell) -> None:
        at = max(self._number("at", 0), shell.first)
        await self._tell({"mode": "shell", "shell": shell.id, "at": at})
        while True:
            said, at = await shell.said(at)
            if not said:
                break
            await self._socket.send_bytes(said)
        await self._tell({"ended": shell.why})
        await self._socket.close()

    async def _listen(self, shell: Shell | None) -> None:
        while True:
            given = _understood(await self._socket.receive_text())
            if shell is None:
                continue
            typed, size = given.get("typed"), given.get("size")
            if isinstance(typed, str) and len(typed) <= _LONGEST:
                await shell.type(typed)
            elif isinstance(size, list) and [type(one) for one in size] == [int, int]:
                await shell.resize(size[0], size[1])
            else:
                raise InvalidInput("message", str(given)[:80], 'send {"typed": text} or {"size": [columns, rows]}')

    async def _tell(self, told: Json) -> None:
        await self._socket.send_text(json.dumps(told))

    def _number(self, name: str, default: int) -> int:
        given = self._socket.query_params.get(name, "")
        if not given:
            return default
        if not (given.isascii() and given.isdigit() and len(given) <= _DIGITS):
            raise InvalidInput(name, given, "give a whole number")
        return int(given)


def _understood(text: str) -> Json:
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidInput("message", text[:80], "send one JSON object") from error
    if not isinstance(given, dict):
        raise InvalidInput("message", text[:80], "send one JSON object")
    return given
