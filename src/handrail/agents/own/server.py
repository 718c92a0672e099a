"""The agent's side of ACP: https://agentclientprotocol.com/protocol/schema. One thread reads, one a turn works."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from functools import partial

from handrail import __version__
from handrail.agents.own.cancel import Cancel, Cancelled
from handrail.agents.own.messages import Json, clean
from handrail.agents.own.model import ModelError
from handrail.agents.own.rpc import AUTH_REQUIRED, INTERNAL, INVALID_PARAMS, NO_METHOD, NOT_FOUND, Id, Peer, RpcError
from handrail.agents.own.session import MODES, Session
from handrail.agents.own.settings import Settings
from handrail.agents.own.turn import Turn
from handrail.agents.own.wires import Wire
from handrail.errors import Conflict, HandrailError, InvalidInput, NotFound

_CAPABILITIES = {
    "loadSession": True,
    "promptCapabilities": {"image": False, "audio": False, "embeddedContext": True},
    "mcpCapabilities": {"http": True, "sse": False},
    "sessionCapabilities": {"resume": {}, "close": {}},
}


class Server:
    """Answers one client: `handle` each message, `close` when its input has ended."""

    def __init__(self, settings: Settings, wire: Wire, peer: Peer) -> None:
        self._peer, self._open_session = peer, partial(Session, settings=settings, wire=wire, peer=peer)
        self._sessions: dict[str, Session] = {}
        self._prompts: dict[Id, Session] = {}
        self._failures = False  # whether the client takes failures as such
        self._methods: dict[str, Callable[[Json], Json]] = {
            "initialize": self._initialize,
            "authenticate": lambda _: {},
            "session/new": lambda params: (made := self._open(None, params)).modes() | {"sessionId": made.id},
            "session/load": self._load,
            "session/resume": lambda params: self._open(_string(params, "sessionId"), params).modes(),
            "session/set_mode": self._set_mode,
            "session/close": self._close,
            "session/cancel": lambda params: _cancel(self._session(params)),
            "$/cancel_request": lambda params: _cancel(self._prompts.get(params.get("requestId"))),
        }

    def handle(self, method: str, params: Json, identity: Id, wants: bool) -> None:
        """Take one message of the client; `wants`: it waits for an answer."""
        try:
            if method == "session/prompt":
                self._prompt(params, identity)
                return
            answer: Json = {"result": self._methods.get(method, partial(_unknown, method))(params)}
        except Exception as problem:  # noqa: BLE001  # the edge: no message of a client may end the process
            answer = {"error": _error(problem, INVALID_PARAMS)}
        if wants:
            self._peer.send(id=identity, **answer)

    def close(self) -> None:
        """End every turn and all that was started."""
        for session in self._sessions.values():
            session.stop()

    def _initialize(self, params: Json) -> Json:
        air = params.get("clientCapabilities") or {}
        for key in ("_meta", "jetbrains", "air"):
            air = air.get(key) if isinstance(air, dict) else None
        self._failures = isinstance(air, dict) and "sessionFailure" in (air.get("capabilities") or ())
        agent = {"name": "handrail", "title": "Handrail", "version": __version__}
        return {"protocolVersion": 1, "agentCapabilities": _CAPABILITIES, "agentInfo": agent, "authMethods": []}

    def _open(self, identity: str | None, params: Json) -> Session:
        if known := self._sessions.get(identity or ""):
            if known.cancel:
                raise Conflict(f"session {identity} has a turn under way")
            self._sessions.pop(known.id).close()
        session = self._open_session(identity, _string(params, "cwd"), servers=params.get("mcpServers"))
        self._sessions[session.id] = session
        return session

    def _load(self, params: Json) -> Json:
        session = self._open(_string(params, "sessionId"), params)
        session.replay()
        return session.modes()

    def _session(self, params: Json) -> Session:
        identity = _string(params, "sessionId")
        if identity not in self._sessions:
            raise NotFound(f"session {identity} is not open here: load it first")
        return self._sessions[identity]

    def _set_mode(self, params: Json) -> Json:
        session, mode = self._session(params), _string(params, "modeId")
        if mode not in MODES:
            raise InvalidInput("modeId", mode, f"give one of {', '.join(MODES)}")
        session.set(mode=mode)
        return {}

    def _close(self, params: Json) -> Json:
        self._sessions.pop(self._session(params).id).close()
        return {}

    # --- turns --------------------------------------------------------------------------------------------------------

    def _prompt(self, params: Json, identity: Id) -> None:
        session, text = self._session(params), _prompt_text(params)
        if session.cancel:
            raise Conflict(f"session {session.id} has a turn under way: wait for its end, or cancel it")
        session.cancel = Cancel()
        self._prompts[identity] = session
        args = (session, session.cancel, text, identity)
        session.worker = threading.Thread(target=self._turn, args=args, daemon=True)
        session.worker.start()

    def _turn(self, session: Session, cancel: Cancel, text: str, identity: Id) -> None:
        turn, reason, error = Turn(session, cancel, failures=self._failures), "cancelled", None
        try:
            if not session.history.messages:
                session.show("session_info_update", title=" ".join(text.split())[:80])
            reason = turn.run(text)
        except Cancelled:
            pass
        except Exception as problem:  # noqa: BLE001  # the edge of the thread: the client must get an answer
            error = _error(problem, INTERNAL)
        session.cancel = None
        self._prompts.pop(identity, None)
        # What could be cancelled was, and what was shown stands: an error after that is only the noise of stopping.
        if error and not cancel.wanted:
            self._peer.send(id=identity, error=error)
            return
        told, cached, output = turn.usage
        usage = {"inputTokens": told, "cachedReadTokens": cached, "outputTokens": output, "totalTokens": told + output}
        session.show_usage()
        self._peer.send(id=identity, result={"stopReason": "cancelled" if cancel.wanted else reason, "usage": usage})


def _unknown(method: str, _params: Json) -> Json:
    raise RpcError(NO_METHOD, f"there is no method {method}")


def _cancel(session: Session | None) -> Json:
    if session and session.cancel:
        session.cancel.set()
    return {}


def _string(params: Json, name: str) -> str:
    value = params.get(name)
    if not isinstance(value, str) or not value:
        raise RpcError(INVALID_PARAMS, f"{name} must be a text")
    return value


def _prompt_text(params: Json) -> str:
    """The text of a prompt's content blocks; what is no text is named, so that the model can read it itself."""
    parts, blocks = [], params.get("prompt")
    if not isinstance(blocks, list):
        raise RpcError(INVALID_PARAMS, "prompt must be a list of content blocks")
    for block in blocks:
        match block:
            case {"type": "text", "text": str(text)}:
                parts.append(text)
            case {"type": "resource_link", "uri": uri}:
                parts.append(f"[see {uri}]")
            case {"type": "resource", "resource": {"uri": uri, **resource}}:
                parts.append(f'<resource uri="{uri}">\n{resource.get("text", "(no text)")}\n</resource>')
            case _:
                kind = block.get("type") if isinstance(block, dict) else "none"
                raise RpcError(INVALID_PARAMS, f"prompt: content of type {kind} cannot be taken")
    text = clean("\n".join(parts))
    if not text.strip():
        raise RpcError(INVALID_PARAMS, "prompt is empty: give it some text")
    return text


def _error(problem: Exception, otherwise: int) -> Json:
    """An exception as JSON-RPC tells it; `otherwise` is the code of one that nobody expected."""
    match problem:
        case RpcError():
            return problem.told
        case ModelError():
            code = AUTH_REQUIRED if problem.kind == "authentication_failed" else INTERNAL
            return RpcError(code, problem.message, {"errorKind": problem.kind}).told
        case NotFound():
            return RpcError(NOT_FOUND, problem.message).told
        case InvalidInput() | Conflict():
            return RpcError(INVALID_PARAMS, problem.message).told
        case HandrailError() | OSError():
            return RpcError(INTERNAL, str(problem)).told
    traceback.print_exception(problem)
    return RpcError(otherwise, f"the agent failed: {problem!r}").told
