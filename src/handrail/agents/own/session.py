"""One session in this process: what it remembers, and what it shows the client. A turn works on it."""

from __future__ import annotations

import importlib
import os
import re
import secrets
import threading
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from handrail.agents.own import guide, history
from handrail.agents.own.cancel import Cancel
from handrail.agents.own.journal import Journal, Memory
from handrail.agents.own.messages import Answer, Call, Json, Message, Result, Results, User, to_json
from handrail.agents.own.rpc import Peer
from handrail.agents.own.settings import Settings
from handrail.agents.own.tools import Act, Workbench
from handrail.agents.own.wires import Wire
from handrail.errors import InvalidInput

if TYPE_CHECKING:
    from handrail.agents.own.model import Model

MODES = {"ask": "Asks before it edits, writes or runs a command", "auto": "Asks nothing"}
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")


class Session:
    """A conversation in a working directory.

    Args:
        identity: its id; None makes a new session.
        cwd: the working directory.
        settings: of the process.
        wire: how the model is spoken to.
        peer: the client.

    Raises:
        NotFound: no session of that id is known here.
        Conflict: another process has it open.
        InvalidInput: `cwd` is no absolute folder, or the id is no id.
    """

    def __init__(self, identity: str | None, cwd: str, settings: Settings, wire: Wire, peer: Peer) -> None:
        if not (cwd.startswith("/") and Path(cwd).is_dir()):
            raise InvalidInput("cwd", cwd, "give the absolute path of a folder")
        if identity is not None and not _ID.fullmatch(identity):
            raise InvalidInput("sessionId", identity, "give an id as `session/new` returned it")
        self.id = identity or f"own-{secrets.token_hex(8)}"
        self.settings = settings
        self.peer = peer
        self.client_takes_failures = False
        self.cancel: Cancel | None = None
        """of the turn under way"""
        self.worker: threading.Thread | None = None
        self.journal = Journal(settings.journals, self.id, create=identity is None)
        if identity is None:
            self.journal.write("session", cwd=cwd)
        self.memory = self.journal.read() if identity else Memory(cwd=cwd)
        root = Path(os.path.normpath(cwd))
        self.bench = Workbench(root, os.environ, min(32_000, settings.window // 2))
        self.wire = wire
        head = history.head(wire, settings.model, guide.system_prompt(root), settings.max_output)
        self.history = history.History(wire, head, settings.window)
        self.history.replace(self.memory.live)
        self._shown_used = 0

    @cached_property
    def model(self) -> Model:
        """How the model is reached."""
        return connect(self.settings, self.wire)

    def remember(self, message: Message) -> None:
        """Keep a message, on disk first. Results are there already, one by one."""
        if not isinstance(message, Results):
            self.journal.append(to_json(message))
        self.history.add(message)

    def forget(self, messages: list[Message]) -> None:
        """From now on the model knows only `messages`."""
        self.journal.write("compacted", messages=[to_json(message) for message in messages])
        self.history.replace(messages)

    def set_mode(self, mode: str) -> None:
        """Change the mode; it lasts."""
        self.memory.mode = mode
        self.journal.write("mode", mode=mode)

    def modes(self) -> Json:
        """ACP's `modes`."""
        modes = [{"id": name, "name": name.capitalize(), "description": text} for name, text in MODES.items()]
        return {"currentModeId": self.memory.mode, "availableModes": modes}

    def stop(self) -> None:
        """End the turn under way and all that was started, at once."""
        if self.cancel:
            self.cancel.set()
        self.bench.shell.kill()

    def close(self) -> None:
        """Let another process have it; no turn may be under way."""
        self.bench.shell.close()
        self.journal.close()

    # --- what the client is shown -------------------------------------------------------------------------------------

    def show(self, update_kind: str, /, **update: object) -> None:
        """Send one `session/update`."""
        params = {"sessionId": self.id, "update": {"sessionUpdate": update_kind, **update}}
        self.peer.notify("session/update", params)

    def say(self, kind: str, text: str, message_id: str | None = None) -> None:
        """Send a chunk of text: `agent_message_chunk`, `agent_thought_chunk` or `user_message_chunk`."""
        more = {"messageId": message_id} if message_id else {}
        self.show(kind, content={"type": "text", "text": text}, **more)

    def show_usage(self, *, now: bool = False) -> None:
        """Send how full the window is, where that has changed by a hundredth of it, or `now`."""
        used = self.history.used
        if now or abs(used - self._shown_used) * 100 >= self.settings.window:
            self._shown_used = used
            self.show("usage_update", used=used, size=self.settings.window)

    def replay(self) -> None:
        """Send the whole history as updates, for `session/load`."""
        for number, message in enumerate(self.memory.said):
            match message:
                case User():
                    self.say("user_message_chunk", message.text)
                case Answer():
                    if message.thought:
                        self.say("agent_thought_chunk", message.thought, f"old-{number}")
                    if message.text:
                        self.say("agent_message_chunk", message.text, f"old-{number}")
                case Results(items):
                    answer = self.memory.said[number - 1]
                    calls = answer.calls if isinstance(answer, Answer) else ()
                    for call, item in zip(calls, items, strict=True):
                        self._replay_call(call, item)
        if self.memory.plan:
            self.show("plan", entries=self.memory.plan)
        self.show_usage(now=True)

    def _replay_call(self, call: Call, result: Result) -> None:
        if call.name == "plan":
            return
        kind = {"read": "read", "write": "edit", "edit": "edit", "search": "search", "shell": "execute"}
        title = str(call.args.get("command") or call.args.get("path") or call.args.get("pattern") or "")[:120]
        status = "completed" if result.ok else "failed"
        self.show(
            "tool_call",
            toolCallId=call_id(call),
            title=f"{call.name.capitalize()} {title}".strip(),
            kind=kind.get(call.name, "other"),
            status=status,
            rawInput=call.args,
            content=[text_content(result.text)],
        )


def connect(settings: Settings, wire: Wire) -> Model:
    """The model of `settings`; waits until the HTTP client is loaded.

    That is half of what the process costs to start, so it goes on beside the client's first messages.
    """
    model: Model = importlib.import_module("handrail.agents.own.model").Model(settings, wire)
    return model


def call_id(call: Call) -> str:
    """The id of a tool call in ACP, unique within the session."""
    return f"call-{call.number}"


def text_content(text: str) -> Json:
    """ACP's content of a tool call: text."""
    return {"type": "content", "content": {"type": "text", "text": text}}


def card(call: Call, act: Act) -> Json:
    """What `tool_call` and a permission request tell of a call before it runs."""
    location: Json = {} if act.line is None else {"line": act.line}
    told: Json = {
        "toolCallId": call_id(call),
        "title": act.title,
        "kind": act.kind,
        "rawInput": call.args,
        "locations": [{"path": str(path), **location} for path in act.paths],
    }
    if act.diff:
        old = {} if act.diff.old is None else {"oldText": act.diff.old}
        told["content"] = [{"type": "diff", "path": act.diff.path, **old, "newText": act.diff.new}]
    return told
