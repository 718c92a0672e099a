"""One session in this process: what it remembers, and what it shows to and asks of the person. A turn works on it."""

from __future__ import annotations

import os
import re
import secrets
import threading
from dataclasses import replace
from pathlib import Path
from typing import Annotated

from handrail.agents.own import guide, mcp
from handrail.agents.own.cancel import Cancel, Cancelled
from handrail.agents.own.history import History
from handrail.agents.own.journal import Journal
from handrail.agents.own.messages import Call, Json, Message
from handrail.agents.own.model import Model
from handrail.agents.own.rpc import Peer
from handrail.agents.own.settings import Settings
from handrail.agents.own.tools import Act, Outcome, ToolFault, Workbench, table
from handrail.errors import InvalidInput

MODES = {"ask": "Asks before it edits, writes or runs a command", "auto": "Asks nothing"}
_KINDS = {"read": "read", "write": "edit", "edit": "edit", "search": "search", "shell": "execute"}
_ALONE = "Nobody is there to choose. Take the most sensible answer yourself, and say so at the end."
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_STATUS = ["pending", "in_progress", "completed"]
_STEP = {"text": {"type": "string"}, "status": {"type": "string", "enum": _STATUS}}
_Entries = Annotated[list[Json], {"items": {"type": "object", "properties": _STEP, "required": ["text", "status"]}}]
_Options = Annotated[list[str], {"items": {"type": "string"}}]


class Session:
    """A conversation in a working directory; without an identity a new one.

    Raises NotFound or Conflict as its journal does, InvalidInput where `cwd` is no absolute folder or the id no id.
    """

    def __init__(self, identity: str | None, cwd: str, servers: object, settings: Settings, peer: Peer) -> None:
        if not (cwd.startswith("/") and Path(cwd).is_dir()):
            raise InvalidInput("cwd", cwd, "give the absolute path of a folder")
        if identity is not None and not _ID.fullmatch(identity):
            raise InvalidInput("sessionId", identity, "give an id as `session/new` returned it")
        self.id, self.settings, self._peer = identity or f"own-{secrets.token_hex(8)}", settings, peer
        self.cancel: Cancel | None = None  # of the turn under way
        self.worker: threading.Thread | None = None
        self._journal = Journal(Path.home() / ".handrail-agent", self.id, create=identity is None)
        self.memory = self._journal.read()
        if identity is None:
            self.keep("state", cwd=cwd)
        root = Path(os.path.normpath(cwd))
        self._bench = Workbench(root, os.environ, min(32_000, settings.context // 2))
        own = self._bench.tools | table(self.plan, self.ask)
        self.tools = own | mcp.offered(servers, own, self._bench.limit)
        told = [tool.told for tool in self.tools.values()]
        head = settings.wire.begin(settings.model, guide.system_prompt(root), told, settings.max_output)
        self.history = History(settings.wire, head, settings.context, self.memory.live)
        self.model = Model(settings)
        self._shown_used, self._shown_call = 0, ""

    def keep(self, kind: str, **record: object) -> None:
        """Remember something, on disk first."""
        self._journal.write(kind, **record)
        self.memory.take(kind, **record)

    def forget(self, messages: list[Message]) -> None:
        """From now on the model knows only `messages`, which no provider has counted yet."""
        self.keep("compacted", messages=[replace(message, usage=[0, 0, 0]) for message in messages])
        self.history.forget(self.memory.live)

    def modes(self) -> Json:
        """ACP's `modes`."""
        modes = [{"id": name, "name": name.capitalize(), "description": text} for name, text in MODES.items()]
        return {"modes": {"currentModeId": self.memory.mode, "availableModes": modes}}

    def stop(self) -> None:
        """End the turn under way and all that was started, at once."""
        if self.cancel:
            self.cancel.set()
        self._bench.bash.kill()

    def close(self) -> None:
        """Let another process have it, once the turn under way has ended."""
        self.stop()
        if self.worker:
            self.worker.join()
        self._bench.bash.close()
        self._journal.close()

    # --- what the person is shown -------------------------------------------------------------------------------------

    def show(self, update_kind: str, /, **update: object) -> None:
        """Send one `session/update`."""
        params = {"sessionId": self.id, "update": {"sessionUpdate": update_kind, **update}}
        self._peer.send(method="session/update", params=params)

    def say(self, kind: str, text: str, message_id: str | None = None) -> None:
        """Send a chunk of text, if there is any: `agent_message_chunk`, `agent_thought_chunk`, `user_message_chunk`."""
        if text:
            more = {"messageId": message_id} if message_id else {}
            self.show(kind, content={"type": "text", "text": text}, **more)

    def show_usage(self) -> None:
        """Send how full the window is, where that has changed by a hundredth of it."""
        used = self.history.used
        if abs(used - self._shown_used) * 100 >= self.settings.context or not self.cancel:
            self._shown_used = used
            self.show("usage_update", used=used, size=self.settings.context)

    def show_call(self, update_kind: str, call: Call, text: str | None = None, **update: object) -> None:
        """Send a `tool_call` or `tool_call_update`, with `text` as its content. A plan is shown as what it is."""
        if text is not None:
            update["content"] = [{"type": "content", "content": {"type": "text", "text": text}}]
        if call.name != "plan":
            self._shown_call = f"call-{call.number}"
            self.show(update_kind, toolCallId=self._shown_call, **update)

    def replay(self) -> Json:
        """Send the whole history as updates, for `session/load`; ACP's `modes`."""
        for number, message in enumerate(self.memory.said):
            if message.role == "user":
                self.say("user_message_chunk", message.text)
                continue
            self.say("agent_thought_chunk", message.thought, f"old-{number}")
            self.say("agent_message_chunk", message.text, f"old-{number}")
            for call in message.calls:
                about = next((str(call.args[key]) for key in ("command", "path", "pattern") if key in call.args), "")
                title = f"{call.name.capitalize()} {about[:120]}".strip()
                more: Json = {"status": "completed" if call.ok else "failed", "kind": _KINDS.get(call.name, "other")}
                self.show_call("tool_call", call, call.result, title=title, rawInput=call.args, **more)
        if self.memory.plan:
            self.show("plan", entries=self.memory.plan)
        self.show_usage()
        return self.modes()

    # --- what the person is asked -------------------------------------------------------------------------------------

    def choose(self, cancel: Cancel, shown: Json, options: list[tuple[str, str, str]]) -> str:
        """`session/request_permission`: the id of the chosen one of (id, name, kind). None chosen ends the turn."""
        offered = [{"optionId": identity, "name": name, "kind": kind} for identity, name, kind in options]
        params = {"sessionId": self.id, "toolCall": {**shown, "status": "pending"}, "options": offered}
        match self._peer.request("session/request_permission", params, cancel).get("outcome"):
            case {"outcome": "selected", "optionId": chosen}:
                return str(chosen)
        raise Cancelled

    def plan(self, entries: _Entries) -> Act:
        """Show the person your plan, whole, each time it changes."""
        if not all(isinstance(entry, dict) and isinstance(entry.get("text"), str) for entry in entries):
            raise ToolFault("each entry is an object with `text` and `status`")

        def run(*_: object) -> Outcome:
            known = ((entry["text"], entry.get("status")) for entry in entries)
            plan = [{"content": t, "priority": "medium", "status": s if s in _STATUS else "pending"} for t, s in known]
            self.keep("state", plan=plan)
            self.show("plan", entries=plan)
            return Outcome("The person sees the plan.")

        return Act("Plan", "think", run)

    def ask(self, question: str, options: _Options = []) -> Act:  # noqa: B006  # a default is told to the model
        """Ask the person a question. With options they choose one; without, the turn ends and they answer in words."""

        def run(cancel: Cancel, *_: object) -> Outcome:
            if not options:
                self.say("agent_message_chunk", f"{question}\n", f"m-{secrets.token_hex(4)}")
                return Outcome("The person was asked; their answer comes next.", ends=True)
            if self.memory.mode == "auto":
                return Outcome(_ALONE)
            offered = {f"answer-{at}": str(answer) for at, answer in enumerate(options)}
            choices = [(identity, name, "allow_once") for identity, name in offered.items()]
            shown = {"toolCallId": self._shown_call, "title": question}
            chosen = self.choose(cancel, shown, [*choices, ("reject", "None of these", "reject_once")])
            said = offered.get(chosen)
            return Outcome(f"The person chose: {said}" if said else "The person chose none of the answers.")

        return Act(question, "other", run)
