"""The agent's side of ACP: https://agentclientprotocol.com/protocol/schema. One thread reads, one a turn works."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Callable
from functools import partial

from handrail import __version__
from handrail.agents.own.cancel import Cancel, Cancelled
from handrail.agents.own.messages import Json, clean
from handrail.agents.own.rpc import AUTH_REQUIRED, INTERNAL, INVALID_PARAMS, NO_METHOD, NOT_FOUND, Id, Peer, RpcError
from handrail.agents.own.session import MODES, Session
from handrail.agents.own.settings import Settings
from handrail.agents.own.turn import Turn
from handrail.agents.own.wires import ModelError, Wire
from handrail.errors import HandrailError, InvalidInput, NotFound

_TITLE = 80


class Server:
    """Answers one client. `serve` it, and `close` when its input has ended."""

    def __init__(self, settings: Settings, wire: Wire, peer: Peer) -> None:
        self._settings = settings
        self._wire = wire
        self._peer = peer
        self._sessions: dict[str, Session] = {}
        self._prompts: dict[Id, Session] = {}
        self._takes_failures = False
        self._methods: dict[str, Callable[[Json], Json]] = {
            "initialize": self._initialize,
            "authenticate": lambda _: {},
            "session/new": self._new,
            "session/load": self._load,
            "session/resume": self._resume,
            "session/set_mode": self._set_mode,
            "session/close": self._close,
            "session/cancel": self._cancel,
            "$/cancel_request": self._cancel_request,
        }

    def handle(self, method: str, params: Json, identity: Id, wants: bool) -> None:
        """Take one message of the client."""
        try:
            if method == "session/prompt":
                self._prompt(params, identity)
                return
            result = self._methods.get(method, partial(_unknown, method))(params)
        except (RpcError, HandrailError, OSError) as error:
            if wants:
                self._peer.fail(identity, _error(error))
            return
        except Exception as problem:  # noqa: BLE001  # the edge: no message of a client may end the process
            traceback.print_exc()
            if wants:
                self._peer.fail(identity, RpcError(INVALID_PARAMS, f"{method}: {problem!r}"))
            return
        if wants:
            self._peer.answer(identity, result)

    def close(self) -> None:
        """End every turn and all that was started."""
        for session in self._sessions.values():
            session.stop()

    # --- methods ------------------------------------------------------------------------------------------------------

    def _initialize(self, params: Json) -> Json:
        air = params.get("clientCapabilities") or {}
        for key in ("_meta", "jetbrains", "air"):
            air = air.get(key) if isinstance(air, dict) else None
        self._takes_failures = isinstance(air, dict) and "sessionFailure" in (air.get("capabilities") or ())
        return {
            "protocolVersion": 1,
            "agentCapabilities": {
                "loadSession": True,
                "promptCapabilities": {"image": False, "audio": False, "embeddedContext": True},
                "mcpCapabilities": {"http": False, "sse": False},
                "sessionCapabilities": {"resume": {}, "close": {}},
            },
            "agentInfo": {"name": "handrail", "title": "Handrail", "version": __version__},
            "authMethods": [],
        }

    def _new(self, params: Json) -> Json:
        session = self._open(None, params)
        return {"sessionId": session.id, "modes": session.modes()}

    def _resume(self, params: Json) -> Json:
        return {"modes": self._open(_string(params, "sessionId"), params).modes()}

    def _load(self, params: Json) -> Json:
        session = self._open(_string(params, "sessionId"), params)
        session.replay()
        return {"modes": session.modes()}

    def _open(self, identity: str | None, params: Json) -> Session:
        if (known := self._sessions.get(identity or "")) is not None:
            if known.cancel:
                raise RpcError(INVALID_PARAMS, f"session {identity} has a turn under way")
            self._sessions.pop(known.id).close()
        session = Session(identity, _string(params, "cwd"), self._settings, self._wire, self._peer)
        session.client_takes_failures = self._takes_failures
        self._sessions[session.id] = session
        return session

    def _session(self, params: Json) -> Session:
        identity = _string(params, "sessionId")
        if identity not in self._sessions:
            raise RpcError(NOT_FOUND, f"session {identity} is not open here: load it first")
        return self._sessions[identity]

    def _set_mode(self, params: Json) -> Json:
        session, mode = self._session(params), _string(params, "modeId")
        if mode not in MODES:
            raise InvalidInput("modeId", mode, f"give one of {', '.join(MODES)}")
        session.set_mode(mode)
        return {}

    def _close(self, params: Json) -> Json:
        session = self._session(params)
        del self._sessions[session.id]
        session.stop()
        if session.worker:
            session.worker.join()
        session.close()
        return {}

    def _cancel(self, params: Json) -> Json:
        if cancel := self._session(params).cancel:
            cancel.set()
        return {}

    def _cancel_request(self, params: Json) -> Json:
        session = self._prompts.get(params.get("requestId"))
        if session and session.cancel:
            session.cancel.set()
        return {}

    # --- turns --------------------------------------------------------------------------------------------------------

    def _prompt(self, params: Json, identity: Id) -> None:
        session, text = self._session(params), _prompt_text(params)
        if session.cancel:
            raise RpcError(INVALID_PARAMS, f"session {session.id} has a turn under way: wait for its end, or cancel it")
        session.cancel = Cancel()
        self._prompts[identity] = session
        args = (session, session.cancel, text, identity)
        session.worker = threading.Thread(target=self._turn, args=args, daemon=True)
        session.worker.start()

    def _turn(self, session: Session, cancel: Cancel, text: str, identity: Id) -> None:
        error: RpcError | None = None
        turn, reason = Turn(session, cancel), "cancelled"
        try:
            if not session.history.messages:
                session.show("session_info_update", title=" ".join(text.split())[:_TITLE] or "Untitled")
            reason = turn.run(text)
        except Cancelled:
            pass
        except (HandrailError, OSError) as problem:
            error = _error(problem)
        except Exception as problem:  # noqa: BLE001  # the edge of the thread: the client must get an answer
            traceback.print_exc()
            error = RpcError(INTERNAL, f"the agent failed: {problem!r}")
        session.cancel = None
        self._prompts.pop(identity, None)
        # What could be cancelled was, and what was shown stands: an error after that is only the noise of stopping.
        if error and not cancel.wanted:
            self._peer.fail(identity, error)
            return
        sums = dict(zip(("inputTokens", "cachedReadTokens", "outputTokens"), turn.usage, strict=True))
        sums["totalTokens"] = sums["inputTokens"] + sums["outputTokens"]
        session.show_usage(now=True)
        self._peer.answer(identity, {"stopReason": "cancelled" if cancel.wanted else reason, "usage": sums})


def _unknown(method: str, _params: Json) -> Json:
    raise RpcError(NO_METHOD, f"there is no method {method}")


def _string(params: Json, name: str) -> str:
    value = params.get(name)
    if not isinstance(value, str) or not value:
        raise RpcError(INVALID_PARAMS, f"{name} must be a text")
    return value


def _prompt_text(params: Json) -> str:
    """The text of a prompt's content blocks; what is no text is named, so that the model can read it itself."""
    blocks = params.get("prompt")
    if not isinstance(blocks, list) or not all(isinstance(block, dict) for block in blocks):
        raise RpcError(INVALID_PARAMS, "prompt must be a list of content blocks")
    parts = []
    for block in blocks:
        match block.get("type"):
            case "text":
                parts.append(str(block.get("text", "")))
            case "resource_link":
                parts.append(f"[see {block.get('uri')}]")
            case "resource":
                resource = block.get("resource") or {}
                parts.append(
                    f'<resource uri="{resource.get("uri")}">\n{resource.get("text", "(no text)")}\n</resource>'
                )
            case kind:
                raise RpcError(INVALID_PARAMS, f"prompt: content of type {kind} cannot be taken")
    text = clean("\n".join(parts))
    if not text.strip():
        raise RpcError(INVALID_PARAMS, "prompt is empty: give it some text")
    return text


def _error(problem: RpcError | HandrailError | OSError) -> RpcError:
    match problem:
        case RpcError():
            return problem
        case ModelError(kind="authentication_failed"):
            return RpcError(AUTH_REQUIRED, problem.message, {"errorKind": problem.kind})
        case ModelError():
            return RpcError(INTERNAL, problem.message, {"errorKind": problem.kind})
        case NotFound():
            return RpcError(NOT_FOUND, problem.message)
        case InvalidInput():
            return RpcError(INVALID_PARAMS, problem.message)
    return RpcError(INTERNAL, str(problem))
