"""The agent's side of ACP: https://agentclientprotocol.com/protocol/schema. One thread reads, one a turn works."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable

from handrail import __version__
from handrail.agents.own.cancel import Cancel, Cancelled
from handrail.agents.own.messages import Json
from handrail.agents.own.model import ModelError
from handrail.agents.own.rpc import Peer
from handrail.agents.own.session import MODES, Session
from handrail.agents.own.settings import Settings
from handrail.agents.own.turn import Turn
from handrail.errors import Conflict, HandrailError, InvalidInput, NotFound
from handrail.text import whole

_CAPABILITIES = {
    "loadSession": True,
    "promptCapabilities": {"image": False, "audio": False, "embeddedContext": True},
    "mcpCapabilities": {"http": True, "sse": False},
    "sessionCapabilities": {"resume": {}, "close": {}},
}


class NoMethod(NotFound):
    """There is no such method."""


_INVALID, _INTERNAL, _AUTH_REQUIRED = -32602, -32603, -32000
_CODES = {NoMethod: -32601, NotFound: -32002, InvalidInput: _INVALID, Conflict: _INVALID}


class Server:
    """Answers one client: `handle` each message, `close` when its input has ended."""

    def __init__(self, settings: Settings, peer: Peer) -> None:
        self._settings, self._peer = settings, peer
        self._sessions: dict[str, Session] = {}
        self._prompts: dict[object, Session] = {}
        self._failures = False  # whether the client takes failures as such
        self._methods: dict[str, Callable[[Json], Json]] = {
            "initialize": self._initialize,
            "authenticate": lambda _: {},
            "session/new": lambda params: (made := self._open(None, params)).modes() | {"sessionId": made.id},
            "session/load": lambda params: self._open(_string(params, "sessionId"), params).replay(),
            "session/resume": lambda params: self._open(_string(params, "sessionId"), params).modes(),
            "session/set_mode": self._set_mode,
            "session/close": self._close,
            "session/cancel": lambda params: _cancel(self._session(params)),
            "$/cancel_request": lambda params: _cancel(self._prompts.get(params.get("requestId"))),
        }

    def handle(self, message: Json) -> None:
        """Take one request or notification of the client."""
        method, params = message["method"], message.get("params") or {}
        try:
            if not isinstance(params, dict):
                raise InvalidInput("params", params, "give an object")  # noqa: TRY301  # told like every other
            if method == "session/prompt":
                self._prompt(params, message.get("id"))
                return
            if method not in self._methods:
                raise NoMethod(f"there is no method {method}")  # noqa: TRY301
            answer: Json = {"result": self._methods[method](params)}
        except Exception as problem:  # noqa: BLE001  # the edge: no message of a client may end the process
            answer = {"error": _error(problem, _INVALID)}
        if "id" in message:
            self._peer.send(id=message["id"], **answer)

    def close(self) -> None:
        """End every turn and all that was started."""
        for session in self._sessions.values():
            session.stop()

    def _initialize(self, params: Json) -> Json:
        match params:
            case {"clientCapabilities": {"_meta": {"jetbrains": {"air": {"capabilities": [*known]}}}}}:
                self._failures = "sessionFailure" in known
        agent = {"name": "handrail", "title": "Handrail", "version": __version__}
        return {"protocolVersion": 1, "agentCapabilities": _CAPABILITIES, "agentInfo": agent, "authMethods": []}

    def _open(self, identity: str | None, params: Json) -> Session:
        if known := self._sessions.get(identity or ""):
            if known.cancel:
                raise Conflict(f"session {identity} has a turn under way")
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

    def _close(self, params: Json) -> Json:
        self._sessions.pop(self._session(params).id).close()
        return {}

    # --- turns --------------------------------------------------------------------------------------------------------

    def _prompt(self, params: Json, identity: object) -> None:
        session, text = self._session(params), _prompt_text(params)
        if session.cancel:
            raise Conflict(f"session {session.id} has a turn under way: wait for its end, or cancel it")
        session.cancel = Cancel()
        self._prompts[identity] = session
        args = (session, session.cancel, text, identity)
        session.worker = threading.Thread(target=self._turn, args=args, daemon=True)
        session.worker.start()

    def _turn(self, session: Session, cancel: Cancel, text: str, identity: object) -> None:
        turn, reason, error = Turn(session, cancel, failures=self._failures), "cancelled", None
        try:
            if not session.memory.live:
                session.show("session_info_update", title=" ".join(text.split())[:80])
            reason = turn.run(text)
        except Cancelled:
            pass
        except Exception as problem:  # noqa: BLE001  # the edge of the thread: the client must get an answer
            error = _error(problem, _INTERNAL)
        session.cancel = None
        self._prompts.pop(identity, None)
        # What could be cancelled was, and what was shown stands: an error after that is only the noise of stopping.
        if error and not cancel.is_set():
            self._peer.send(id=identity, error=error)
            return
        told, cached, output = turn.usage
        usage = {"inputTokens": told, "cachedReadTokens": cached, "outputTokens": output, "totalTokens": told + output}
        session.show_usage()
        self._peer.send(id=identity, result={"stopReason": "cancelled" if cancel.is_set() else reason, "usage": usage})


def _cancel(session: Session | None) -> Json:
    if session and session.cancel:
        session.cancel.set()
    return {}


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


def _error(problem: Exception, otherwise: int) -> Json:
    """An exception as JSON-RPC tells it; `otherwise` is the code of one that nobody expected."""
    if isinstance(problem, ModelError):
        code = _AUTH_REQUIRED if problem.kind == "authentication_failed" else _INTERNAL
        return {"code": code, "message": problem.message, "data": {"errorKind": problem.kind}}
    if isinstance(problem, HandrailError | OSError):
        return {"code": _CODES.get(type(problem), _INTERNAL), "message": str(problem)}
    traceback.print_exception(problem)
    return {"code": otherwise, "message": f"the agent failed: {problem!r}"}
