"""The agent's side of ACP: https://agentclientprotocol.com/protocol/schema. One thread reads, one a turn works."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from functools import partial

from msgspec import Struct, ValidationError, convert, field

from handrail import __version__
from handrail.agents.own.model import ModelError
from handrail.agents.own.session import MODES, Session
from handrail.agents.own.settings import Settings
from handrail.agents.own.wires import Json
from handrail.agents.rpc import Peer
from handrail.errors import Conflict, HandrailError, InvalidInput, NotFound

_CAPABILITIES = {
    "loadSession": True,
    "promptCapabilities": {"embeddedContext": True},
    "mcpCapabilities": {"http": True},
    "sessionCapabilities": {"resume": {}, "close": {}},
}
_AGENT = {"name": "handrail", "title": "Handrail", "version": __version__}
_HELLO = {"protocolVersion": 1, "agentCapabilities": _CAPABILITIES, "agentInfo": _AGENT, "authMethods": []}


class NoMethod(NotFound):
    """There is no such method."""


_CODES = {NoMethod: -32601, NotFound: -32002, InvalidInput: -32602, Conflict: -32602}


class Params(Struct, rename="camel"):
    """What the methods are told; each looks at what is its own."""

    session_id: str = ""
    cwd: str = ""
    mcp_servers: list[Json] = field(default_factory=list)
    mode_id: str = ""
    prompt: list[Json] = field(default_factory=list)


class Server:
    """Answers one client: `handle` each message, `close` when its input has ended."""

    def __init__(self, settings: Settings, peer: Peer) -> None:
        self._settings, self._peer, self._sessions = settings, peer, dict[str, Session]()
        self._methods: dict[str, Callable[[Params], object]] = {
            "initialize": lambda _: _HELLO,
            "authenticate": lambda _: None,
            "session/new": lambda params: (made := self._open(None, params)).modes() | {"sessionId": made.id},
            "session/load": lambda params: self._open(params.session_id, params).replay(),
            "session/resume": lambda params: self._open(params.session_id, params).modes(),
            "session/set_mode": self._set_mode,
            "session/prompt": self._prompt,
            "session/cancel": lambda params: self._session(params).cancel.set(),
            "session/close": lambda params: self._sessions.pop(self._session(params).id).close(),
        }

    def handle(self, message: Json) -> object:
        """The result of one request or notification of the client, or what is to be done for it."""
        method, given = message["method"], message.get("params") or {}
        if method not in self._methods:
            raise NoMethod(f"there is no method {method}")
        try:
            params = convert(given, Params)
        except ValidationError as error:
            raise InvalidInput("params", given, f"{error}: see ACP's schema") from error
        return self._methods[method](params)

    def close(self) -> None:
        """End every turn and all that was started."""
        for session in self._sessions.values():
            session.stop()

    def _open(self, identity: str | None, params: Params) -> Session:
        if known := self._sessions.get(identity or ""):
            known.claim().release()
            self._sessions.pop(known.id).close()
        session = Session(identity, params.cwd, params.mcp_servers, self._settings, self._peer)
        self._sessions[session.id] = session
        return session

    def _session(self, params: Params) -> Session:
        if params.session_id not in self._sessions:
            raise NotFound(f"session {params.session_id} is not open here: load it first")
        return self._sessions[params.session_id]

    def _set_mode(self, params: Params) -> None:
        session, mode = self._session(params), params.mode_id
        if mode not in MODES:
            raise InvalidInput("modeId", mode, f"give one of {', '.join(MODES)}")
        session.keep("state", mode=mode)

    def _prompt(self, params: Params) -> Callable[[], Json]:
        session, text = self._session(params), _told(params.prompt)
        session.claim()
        return partial(session.run, text)


def _told(blocks: list[Json]) -> str:
    """The text of a prompt's content blocks; what is no text is named, so that the model can read it itself."""
    parts = []
    for block in blocks:
        match block:
            case {"type": "text", "text": str(text)}:
                parts.append(text)
            case {"type": "resource_link", "uri": uri}:
                parts.append(f"[see {uri}]")
            case {"type": "resource", "resource": {"uri": uri, **resource}}:
                parts.append(f'<resource uri="{uri}">\n{resource.get("text", "(no text)")}\n</resource>')
            case _:
                raise InvalidInput("prompt", block, "give blocks of text, resource or resource_link")
    if not (text := "\n".join(parts)).strip():
        raise InvalidInput("prompt", blocks, "give a list of content blocks with some text")
    return text


def failed(problem: Exception) -> Json:
    """An exception as JSON-RPC tells it."""
    code = _CODES.get(type(problem), -32603)
    if isinstance(problem, ModelError) and problem.refused in {401, 403}:
        code = -32000  # ACP's "authentication required"
    if not isinstance(problem, HandrailError | OSError):
        traceback.print_exception(problem)
    return {"code": code, "message": str(problem) or repr(problem)}
