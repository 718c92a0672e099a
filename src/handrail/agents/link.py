"""One ACP connection to one agent process: https://agentclientprotocol.com/protocol/overview, version 1."""

from __future__ import annotations

import asyncio
from pathlib import Path

from handrail import __version__
from handrail.agents import (
    Capabilities,
    OnPermission,
    OnRaw,
    OnUpdate,
    Plan,
    Text,
    ToolUpdate,
    TurnResult,
    _sdk,
    faults,
)
from handrail.agents.decode import Decoder, capabilities, mode_of, obj, sentence, text
from handrail.agents.lines import MESSAGE_LIMIT, Asked, Lines
from handrail.agents.spec import AgentSpec, AskHow, Load
from handrail.agents.turn import Turn
from handrail.errors import AgentError, Conflict
from handrail.types import Json, StopReason

PROTOCOL_VERSION = 1
MODE_PATIENCE = 2.0
"""seconds that an agent has to say that it changed its mode"""
CANCEL_PATIENCE = 5.0
"""seconds to hand `session/cancel` to an agent that does not read"""

_CANCELLED: Json = {"outcome": {"outcome": "cancelled"}}


class _LostError(AgentError):
    """The process or its output is gone."""


class AcpLink:
    """`agents.Link` over the agent's standard streams.

    Args:
        spec: what the catalogue knows of the agent.
        reader: the agent's standard output.
        writer: the agent's standard input.
        on_update: told every update of a turn, in the order of the wire.
        on_permission: asked before the agent acts.
        on_raw: told every line of the protocol.
        limit: bytes of one message; the connection ends at a longer one.
    """

    def __init__(
        self,
        spec: AgentSpec,
        reader: asyncio.StreamReader,
        writer: asyncio.StreamWriter,
        *,
        on_update: OnUpdate,
        on_permission: OnPermission,
        on_raw: OnRaw | None = None,
        limit: int = MESSAGE_LIMIT,
    ) -> None:
        self.asks = True
        self.servers: list[Json] = []
        self.meta: Json = {}
        self._spec = spec
        self._lines = Lines(reader, writer, on_notification=self._notified, on_raw=on_raw, limit=limit)
        self._on_update = on_update
        self._on_permission = on_permission
        self._connection: _sdk.Connection | None = None
        self._decoder = Decoder()
        self._open: dict[object, asyncio.Task[str | None]] = {}
        self._session: str | None = None
        self._mode: str | None = None
        self._mode_told = asyncio.Event()
        self._turn: Turn | None = None
        self._turns = 0
        self._loading = False
        self._replayed = False
        self._closed = False

    @property
    def skipped(self) -> int:
        """Lines from the agent that were no message and were passed over."""
        return self._lines.skipped

    @property
    def mode(self) -> str | None:
        """The mode that the agent said it is in."""
        return self._mode

    async def initialize(self) -> Capabilities:
        """See `Link.initialize`."""
        self._connection = _sdk.Connection(self._asked, self._lines)
        result = obj(
            await self.request(
                "initialize",
                {
                    "protocolVersion": PROTOCOL_VERSION,
                    "clientCapabilities": {
                        "fs": {"readTextFile": False, "writeTextFile": False},
                        "terminal": False,
                        "_meta": {
                            "jetbrains": {"air": {"version": 1, "capabilities": ["sessionFailure"]}},
                            "terminal_output_delta": True,
                        },
                    },
                    "clientInfo": {"name": "handrail", "title": "Handrail", "version": __version__},
                },
            )
        )
        if (version := result.get("protocolVersion")) != PROTOCOL_VERSION:
            raise AgentError(
                f"{self._spec.title} speaks version {sentence(version, 20)} of the Agent Client Protocol, not version 1"
            )
        return capabilities(result, self._spec.name)

    async def new_session(self, cwd: Path) -> str:
        """See `Link.new_session`.

        Raises:
            AgentError: the agent refused, or did not take the mode that asks for everything.
        """
        result = obj(await self.request("session/new", opening(self, cwd)))
        session = text(result.get("sessionId"))
        if not session:
            raise AgentError(f"{self._spec.title} opened a session without an id")
        self._session = session
        self._note_mode(result)
        await self._take_mode()
        return session

    async def load_session(self, agent_session: str, cwd: Path) -> bool:
        """See `Link.load_session`.

        Raises:
            AgentError: the process ended, or the loaded session did not take the mode that asks for everything.
        """
        if self._spec.resume.how is Load.NONE:
            return False
        connection = self._connected()
        self._session, self._loading, self._replayed = agent_session, True, False
        try:
            result = await connection.send_request(
                f"session/{self._spec.resume.how.value}",
                {"sessionId": agent_session, **opening(self, cwd)},
            )
        except _sdk.RequestError:
            self._session = None
            return False
        except ConnectionError as error:
            raise _LostError(self._gone()) from error
        finally:
            self._loading = False
        if not (self._spec.resume.trusted or self._replayed):
            # Some agents answer with success for any id, and start from nothing: without a replay nothing is proved.
            self._session = None
            return False
        self._note_mode(obj(result))
        await self._take_mode()
        return True

    async def prompt(self, text: str) -> TurnResult:
        """See `Link.prompt`.

        Raises:
            Conflict: a prompt is under way already, or no session is open.
        """
        if self._turn is not None:
            raise Conflict("a prompt is under way already: wait for its end or cancel it")
        if self._session is None:
            raise Conflict("no session is open: call new_session first")
        connection = self._connected()
        turn = self._turn = Turn(self._spec)
        self._turns += 1
        self._decoder.begin()
        try:
            # An agent can leave its mode by itself, or at a slash command: no prompt without the mode that asks.
            await self._take_mode()
            result = obj(
                await connection.send_request(
                    "session/prompt", {"sessionId": self._session, "prompt": [{"type": "text", "text": text}]}
                )
            )
        except _sdk.RequestError as error:
            ended = turn.failed(faults.of_rpc(error.code, str(error), error.data))
        except (ConnectionError, _LostError):
            ended = TurnResult(StopReason.INTERRUPTED, self._gone(), "protocol" if self._lines.failure else "agent")
        except AgentError as error:
            ended = turn.failed(faults.Fault(error.message, "agent"))
        else:
            ended = turn.ended(result)
        finally:
            self._turn = None
            self._answer_cancelled()
        if turn.broken is not None:
            raise turn.broken
        return ended

    async def cancel(self) -> None:
        """See `Link.cancel`. Without a turn under way it does nothing."""
        turn = self._turn
        if turn is None or self._connection is None:
            return
        turn.cancelled = True
        try:
            async with asyncio.timeout(CANCEL_PATIENCE):
                await self._connection.send_notification("session/cancel", {"sessionId": self._session})
        except (ConnectionError, TimeoutError):
            pass  # it is gone or deaf: the driver's watchdog ends the process
        self._answer_cancelled()

    async def close(self) -> None:
        """See `Link.close`."""
        if self._closed:
            return
        self._closed = True
        self._answer_cancelled()
        if self._connection is not None:
            await self._connection.close()

    async def request(self, method: str, params: Json) -> object:
        """Send any request of the protocol, also one that the SDK has no method for.

        Raises:
            AgentError: the agent answered with an error, or is gone.
        """
        connection = self._connected()
        try:
            return await connection.send_request(method, params)
        except _sdk.RequestError as error:
            fault = faults.of_rpc(error.code, str(error), error.data)
            raise AgentError(f"{self._spec.title} refused {method}: {fault.text}") from error
        except ConnectionError as error:
            raise _LostError(self._gone()) from error

    # --- from the agent ------------------------------------------------------------------------------------------

    def _notified(self, method: str, params: Json) -> None:
        if method == "$/cancel_request":
            ident = params.get("requestId")
            if isinstance(ident, str | int) and (task := self._open.get(ident)):
                task.cancel()
        elif method == "session/update" and params.get("sessionId") in (self._session, None):
            self._updated(obj(params.get("update")))

    def _updated(self, raw: Json) -> None:
        kind = text(raw.get("sessionUpdate"))
        if kind in {"current_mode_update", "config_option_update"}:
            self._note_mode(raw)
        if self._loading:
            self._replayed = self._replayed or kind in {"user_message_chunk", "agent_message_chunk"}
            return
        update = self._decoder.update(raw)
        if update is None:
            return
        turn = self._turn
        if isinstance(update, Text | ToolUpdate | Plan):
            if turn is None and self._turns == 0:
                return  # the late end of a replay
            opening = turn is not None and self._turns == 1 and not turn.spoke
            if opening and self._spec.opens_with_prompt and isinstance(update, Text) and update.thought:
                return  # the agent's own system prompt
        if turn is not None:
            turn.note(update)
        self._on_update(update)

    async def _asked(self, method: str, asked: object, is_notification: bool) -> Json:
        """Answer a request of the agent: permissions, and nothing else (no `fs`, no `terminal` was offered)."""
        self._connected()
        if method != "session/request_permission" or not isinstance(asked, Asked) or is_notification:
            raise _sdk.RequestError.method_not_found(method)
        turn = self._turn
        if turn is None or turn.cancelled or asked.params.get("sessionId") != self._session:
            return _CANCELLED
        request = self._decoder.permission(asked.params)
        turn.spoke = True
        task = asyncio.ensure_future(self._on_permission(request))
        self._open[asked.id] = task
        try:
            await asyncio.wait({task})
        finally:
            task.cancel()
            self._open.pop(asked.id, None)
        if task.cancelled():
            return _CANCELLED
        if (broken := task.exception()) is not None:
            turn.broken = broken
            return _CANCELLED
        chosen = task.result()
        if chosen not in {option.id for option in request.options}:
            return _CANCELLED
        return {"outcome": {"outcome": "selected", "optionId": chosen}}

    def _answer_cancelled(self) -> None:
        for task in list(self._open.values()):
            task.cancel()

    # --- modes ---------------------------------------------------------------------------------------------------

    def _note_mode(self, result: Json) -> None:
        mode = mode_of(result, self._spec.ask.option)
        if mode is not None:
            self._mode = mode
            self._mode_told.set()

    @property
    def _wanted_mode(self) -> str | None:
        ask = self._spec.ask
        return ask.value if self.asks or ask.free is None else ask.free

    async def _take_mode(self) -> None:
        ask, wanted = self._spec.ask, self._wanted_mode
        if wanted is None or self._mode == wanted:
            return
        if ask.how is AskHow.ENVIRONMENT:
            raise self._wrong_mode()
        self._mode_told.clear()
        if ask.how is AskHow.MODE:
            params: Json = {"sessionId": self._session, "modeId": wanted}
            result = obj(await self.request("session/set_mode", params))
        else:
            params = {"sessionId": self._session, "configId": ask.option, "value": wanted}
            result = obj(await self.request("session/set_config_option", params))
        self._note_mode(result)
        try:
            async with asyncio.timeout(MODE_PATIENCE):
                while self._mode != wanted:
                    await self._mode_told.wait()
                    self._mode_told.clear()
        except TimeoutError:
            raise self._wrong_mode() from None

    def _wrong_mode(self) -> AgentError:
        why = ", which asks before it acts" if self.asks else ""
        return AgentError(
            f"{self._spec.title} did not take its mode {self._wanted_mode!r}{why}: it is in {self._mode!r}"
        )

    def _connected(self) -> _sdk.Connection:
        if self._connection is None or self._closed:
            raise AgentError(f"the connection to {self._spec.title} is not open")
        return self._connection

    def _gone(self) -> str:
        why = self._lines.failure or "its process ended or closed its output"
        return f"{self._spec.title} was lost: {why}"


def opening(link: AcpLink, cwd: Path) -> Json:
    """What a session is opened with, or opened again."""
    return {"cwd": str(cwd), "mcpServers": link.servers, **({"_meta": link.meta} if link.meta else {})}
