"""The agent's side of ACP: https://agentclientprotocol.com/protocol/schema. One thread reads, one a turn works."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from functools import partial

from handrail import __version__
from handrail.agents.own.messages import Json
from handrail.agents.own.model import ModelError
from handrail.agents.own.rpc import Peer
from handrail.agents.own.session import MODES, Session, Turn
from handrail.agents.own.settings import Settings
from handrail.errors import Conflict, HandrailError, InvalidInput, NotFound
from handrail.text import whole

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
Work = Callable[[], Json]


class Server:
    """Answers one client: `handle` each message, `close` when its input has ended."""

    def __init__(self, settings: Settings, peer: Peer) -> None:
        self._settings, self._peer = settings, peer
        self._sessions: dict[str, Session] = {}
        self._methods: dict[str, Callable[[Json], Json | Work | None]] = {
            "initialize": lambda _: _HELLO,
            "authenticate": lambda _: None,
            "session/new": lambda params: (made := self._open(None, params)).modes() | {"sessionId": made.id},
            "session/load": lambda params: self._open(_string(params, "sessionId"), params).replay(),
            "session/resume": lambda params: self._open(_string(params, "sessionId"), params).modes(),
            "session/set_mode": self._set_mode,
            "session/prompt": self._prompt,
            "session/cancel": lambda params: self._session(params).cancel.set(),
            "session/close": lambda params: self._sessions.pop(self._session(params).id).close(),
        }

    def handle(self, message: Json) -> None:
        """Take one request or notification of the client."""
        self._answer(message.get("id"), partial(self._begin, message["method"], message.get("params") or {}))

    def close(self) -> None:
        """End every turn and all that was started."""
        for session in self._sessions.values():
            session.stop()

    def _begin(self, method: str, params: Json) -> Json | Work | None:
        if not isinstance(params, dict):
            raise InvalidInput("params", params, "give an object")
        if method not in self._methods:
            raise NoMethod(f"there is no method {method}")
        return self._methods[method](params)

    def _answer(self, identity: object, work: Callable[[], Json | Work | None]) -> None:
        """Answer with what `work` gives; where that is work again, it is done in a thread of its own."""
        try:
            result = work()
            if callable(result):
                threading.Thread(target=self._answer, args=(identity, result), daemon=True).start()
                return
            answer: Json = {"result": result or {}}
        except Exception as problem:  # noqa: BLE001  # the edge: no message of a client may end the process
            answer = {"error": _error(problem)}
        if identity is not None:
            self._peer.send(id=identity, **answer)

    def _open(self, identity: str | None, params: Json) -> Session:
        if known := self._sessions.get(identity or ""):
            known.begin().release()
            self._sessions.pop(known.id).close()
        cwd, servers = _string(params, "cwd"), params.get("mcpServers")
        session = Session(identity, cwd, servers, self._settings, self._peer)
        self._sessions[session.id] = session
        return session

    def _session(self, params: Json) -> Session:
        identity = _string(params, "sessionId")
        if identity not in self._sessions:
            raise NotFound(f"session {identity} is not open here: load it first")
        return self._sessions[identity]

    def _set_mode(self, params: Json) -> Json:
        session, mode = self._session(params), _string(params, "modeId")
        if mode not in MODES:
            raise InvalidInput("modeId", mode, f"give one of {', '.join(MODES)}")
        session.keep("state", mode=mode)
        return {}

    def _prompt(self, params: Json) -> Work:
        session, text = self._session(params), _prompt_text(params)
        session.begin()
        return partial(Turn(session).run, text)


def _string(params: Json, name: str) -> str:
    value = params.get(name)
    if not isinstance(value, str) or not value:
        raise InvalidInput(name, value, "give a text")
    return value


def _prompt_text(params: Json) -> str:
    """The text of a prompt's content blocks; what is no text is named, so that the model can read it itself."""
    parts, blocks = [], params.get("prompt")
    for block in blocks if isinstance(blocks, list) else ():
        match block:
            case {"type": "text", "text": str(text)}:
                parts.append(text)
            case {"type": "resource_link", "uri": uri}:
                parts.append(f"[see {uri}]")
            case {"type": "resource", "resource": {"uri": uri, **resource}}:
                parts.append(f'<resource uri="{uri}">\n{resource.get("text", "(no text)")}\n</resource>')
            case _:
                raise InvalidInput("prompt", block, "give blocks of text, resource or resource_link")
    if not (text := whole("\n".join(parts))).strip():
        raise InvalidInput("prompt", blocks, "give a list of content blocks with some text")
    return text


def _error(problem: Exception) -> Json:
    """An exception as JSON-RPC tells it."""
    code = _CODES.get(type(problem), -32603)
    if isinstance(problem, ModelError) and problem.refused in {401, 403}:
        code = -32000  # ACP's "authentication required"
    if not isinstance(problem, HandrailError | OSError):
        traceback.print_exception(problem)
    return {"code": code, "message": str(problem) or repr(problem)}
