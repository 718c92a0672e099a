"""One session in this process: what the person is shown and asked, and the loop of model and tools."""

from __future__ import annotations

import os
import re
import secrets
import threading
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, Literal

from msgspec import Struct

from handrail.agents.own import guide, mcp
from handrail.agents.own.cancel import Cancel, Cancelled
from handrail.agents.own.memory import NOT_RUN, UNKNOWN, History, Journal
from handrail.agents.own.model import Model, ModelError
from handrail.agents.own.settings import Settings
from handrail.agents.own.tools import Step, ToolFault, Workbench, perform, table
from handrail.agents.own.wires import WIRES, Call, Json, Message
from handrail.agents.rpc import Peer
from handrail.errors import AgentError, Conflict, InvalidInput
from handrail.text import clip, whole

MODES = {"ask": "Asks before it edits, writes or runs a command", "auto": "Asks nothing"}
_KINDS = {"read": "read", "write": "edit", "edit": "edit", "search": "search", "shell": "execute"}
_ALONE = "Nobody is there to choose. Take the most sensible answer yourself, and say so at the end."
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_TOLD_STUCK, _STUCK = 3, 6
"""how often the same call may give the same result before the model is told, and before the turn fails"""
_SAME = "\n[You have made this very call {} times with this very result. Do something else, or say what stops you.]"
_EMPTY = "Your last answer was empty. Go on with the work, or say that it is done and how you checked it."
_ALWAYS = {"edit": "edits", "execute": "commands", "read": "reads outside the workspace", "search": "outside searches"}
_ALWAYS |= {"other": "calls of other tools"}
_NONE = ("reject", "None of these", "reject_once")
_STOPS = {"end": "end_turn", "length": "max_tokens", "refusal": "refusal"}


class Stuck(AgentError):
    """The model goes round in circles; the turn must not count as work done."""


class Entry(Struct):
    """One line of a plan."""

    text: str
    status: Literal["pending", "in_progress", "completed"]


class Screen:
    """What the person sees of one session, in the client behind `peer`."""

    def __init__(self, peer: Peer, session: str) -> None:
        self._peer, self._session, self.call = peer, session, ""  # the call that was shown last

    def show(self, update_kind: str, /, **update: object) -> None:
        """Send one `session/update`."""
        params = {"sessionId": self._session, "update": {"sessionUpdate": update_kind, **update}}
        self._peer.send(method="session/update", params=params)

    def say(self, who: str, text: str, **more: object) -> None:
        """Send a chunk of text, if there is any: of an `agent_message`, an `agent_thought` or a `user_message`."""
        if text:
            self.show(f"{who}_chunk", content={"type": "text", "text": text}, **more)

    def show_call(self, call: Call, text: str | None = None, **update: object) -> None:
        """Send what is new of a call, at first all of it; `text` is its content. A plan is shown as what it is."""
        if text is not None:
            update["content"] = [{"type": "content", "content": {"type": "text", "text": text}}]
        if call.name == "plan":
            return
        how, identity = "tool_call_update", f"call-{call.number}"
        if identity != self.call:
            how, self.call = "tool_call", identity
            title = f"{call.name} {clip(', '.join(map(str, call.args.values())), 100)}".strip()
            update = {"title": title, "kind": _KINDS.get(call.name, "other"), "rawInput": call.args} | update
        self.show(how, toolCallId=identity, **update)

    def show_message(self, message: Message, identity: str) -> None:
        """Send a whole message of the past."""
        self.say("agent_thought", message.thought, messageId=f"thought-{identity}")
        self.say(f"{message.role}_message", message.text, messageId=identity)
        for call in message.calls:
            self.show_call(call, call.result, status="completed" if call.ok else "failed")

    def failed(self, reason: str) -> None:
        """Tell of an attempt that failed: as a thought, and as what it is in JetBrains' words, which drivers know."""
        failure: Json = {"id": secrets.token_hex(4), "category": "service", "severity": "warning", "title": reason}
        meta = {"jetbrains": {"air": {"sessionFailure": {**failure, "actions": []}}}}
        self.say("agent_thought", f"[{reason}]\n", _meta=meta)

    def choose(self, cancel: Cancel, card: Json, options: list[tuple[str, str, str]]) -> str:
        """`session/request_permission`: the id of the chosen one of (id, name, kind). None chosen ends the turn."""
        offered = [{"optionId": identity, "name": name, "kind": kind} for identity, name, kind in options]
        shown = {"toolCallId": self.call, "status": "pending", **card}
        params = {"sessionId": self._session, "toolCall": shown, "options": offered}
        box = self._peer.ask("session/request_permission", params)
        with cancel.stopping(lambda: box.put({})):
            answer = box.get()
        match answer:
            case {"result": {"outcome": {"outcome": "selected", "optionId": chosen}}}:
                return str(chosen)
            case {"error": error}:
                raise ToolFault(f"the person could not be asked: {error}")
        cancel.set()
        raise Cancelled


class Session:
    """A conversation in a working directory; without an identity a new one. To its tools it is the step under way.

    Raises NotFound or Conflict as its journal does, InvalidInput where `cwd` is no absolute folder or the id no id.
    """

    def __init__(self, identity: str | None, cwd: str, servers: list[Json], settings: Settings, peer: Peer) -> None:
        if not (cwd.startswith("/") and Path(cwd).is_dir()):
            raise InvalidInput("cwd", cwd, "give the absolute path of a folder")
        if identity is not None and not _ID.fullmatch(identity):
            raise InvalidInput("sessionId", identity, "give an id as `session/new` returned it")
        self.id, self._settings, wire = identity or f"own-{secrets.token_hex(8)}", settings, WIRES[settings.wire]
        self.cancel, self._busy = Cancel(), threading.Lock()  # of the turn under way, and whether there is one
        self._journal = Journal(Path.home() / ".handrail-agent", self.id, create=identity is None)
        self.keep, self._memory, self._screen = self._journal.keep, self._journal.memory, Screen(peer, self.id)
        root = Path(os.path.normpath(cwd))
        self._bench = Workbench(root, os.environ, min(32_000, settings.context // 2))
        own = self._bench.tools | table(self.plan, self.ask)
        self._tools = own | mcp.offered(servers, own, self._bench.limit)
        told, most = [tool.told for tool in self._tools.values()], min(settings.max_output, settings.context // 4)
        head = wire.head(settings.model, guide.system_prompt(root), told, most)
        self._history = History(wire, head, settings.context, self._memory)
        self._model, self._shown_used = Model(settings), 0

    def modes(self) -> Json:
        """ACP's `modes`."""
        modes = [{"id": name, "name": name.capitalize(), "description": text} for name, text in MODES.items()]
        return {"modes": {"currentModeId": self._memory.mode, "availableModes": modes}}

    def replay(self) -> Json:
        """Send the whole history as updates, for `session/load`; ACP's `modes`."""
        for number, message in enumerate(self._memory.said):
            self._screen.show_message(message, f"old-{number}")
        if self._memory.plan:
            self._screen.show("plan", entries=self._memory.plan)
        self._show_usage()
        return self.modes()

    def stop(self) -> None:
        """End the turn under way and all that was started, at once."""
        self.cancel.set()
        self._bench.bash.kill()

    def close(self) -> None:
        """Let another process have it, once the turn under way has ended."""
        self.stop()
        with self._busy:
            self._bench.bash.close()
            self._model.door.close()
            self._journal.close()

    # --- a turn -------------------------------------------------------------------------------------------------------

    def claim(self) -> threading.Lock:
        """Begin a turn, which `run` ends; or none, where the lock is released. Conflict where one is under way."""
        if not self._busy.acquire(blocking=False):
            raise Conflict(f"session {self.id} has a turn under way: wait for its end, or cancel it")
        self.cancel, self.ends = Cancel(), False
        self._seen, self._used, self._shown = Counter[int](), Counter[str](), Counter[str]()
        return self._busy

    def run(self, text: str) -> Json:
        """Work on `text` until the end; ACP's answer to the prompt.

        Raises ModelError where no answer can be had, Stuck where the same comes again and again, or nothing at all.
        """
        reason = "cancelled"
        try:
            if not self._memory.live:
                self._screen.show("session_info_update", title=" ".join(text.split())[:80])
            self.keep("message", message=Message("user", text))
            reason = self._steps()
        except Exception:
            # What could be cancelled was, and what was shown stands: an error after that is the noise of stopping.
            if not self.cancel.is_set():
                raise
        finally:
            self._memory.settle()
            self._busy.release()
        self._show_usage()
        told, cached, output = (self._used[name] for name in ("input", "cached", "output"))
        usage = {"inputTokens": told, "cachedReadTokens": cached, "outputTokens": output, "totalTokens": told + output}
        return {"stopReason": "cancelled" if self.cancel.is_set() else reason, "usage": usage}

    def _steps(self) -> str:
        empty = False
        for _ in range(self._settings.max_steps):
            answer = self._next_answer()
            if answer.empty and answer.stop == "end":
                if empty:
                    raise Stuck("stuck: two empty answers one after the other")
                self.keep("message", message=Message("user", _EMPTY))
            elif not answer.calls:
                return _STOPS[answer.stop]
            for call in answer.calls:
                self._do(call)
            if self.ends:
                return "end_turn"
            empty = answer.empty
            self._show_usage()
        return "max_turn_requests"

    def _show_usage(self) -> None:
        """Send how full the window is, within a turn only where that has changed by a hundredth of it."""
        used, size = self._history.used, self._settings.context
        if abs(used - self._shown_used) * 100 >= size or not self._busy.locked():
            self._shown_used = used
            self._screen.show("usage_update", used=used, size=size)

    # --- the model ----------------------------------------------------------------------------------------------------

    def _next_answer(self) -> Message:
        """The next answer, shown as it streams; remembered unless it is empty."""
        if self._history.full:
            self._make_room()
        try:
            answer = self._answer(self._history.request(), self._show)
        except ModelError as error:
            if not error.too_long:
                raise
            self._make_room()
            answer = self._answer(self._history.request(), self._show)
        if not answer.empty:
            self.keep("message", message=answer)
        return answer

    def _answer(self, request: bytes, show: Callable[[Message], object] = bool) -> Message:
        for answer in self._model.ask(request, self.cancel, self._screen.failed):
            show(answer)
        self._used.update(answer.used)
        return answer

    def _show(self, answer: Message) -> None:
        """Show what is new of an answer that grows."""
        for who, text in (("agent_thought", answer.thought), ("agent_message", answer.text)):
            identity = f"{who}-{answer.key}"
            at, self._shown[identity] = self._shown[identity], len(text)
            if piece := whole(text[at:]):
                if who == "agent_message":
                    self.keep("chunk", at=at, text=piece)
                self._screen.say(who, piece, messageId=identity)

    def _make_room(self) -> None:
        """Make the history smaller."""
        before = self._history.used
        how, messages = self._history.smaller(lambda request: self._answer(request).text)
        self.keep("compacted", messages=messages)
        self._history.forget()
        self._screen.say("agent_thought", f"[Context: {before} → {self._history.used} tokens, {how}]\n")

    # --- the tools ----------------------------------------------------------------------------------------------------

    def _do(self, call: Call) -> None:
        """Make one call, show and remember what came of it."""
        self.cancel.check()
        self._call = call
        try:
            try:
                ok, text = True, perform(self._tools, call, self)
            except (ToolFault, OSError, ValueError) as fault:  # ValueError: a NUL in a path
                ok, text = False, str(fault)
            if edited := ok and _KINDS.get(call.name) == "edit":
                self._seen.clear()  # the world has changed, so the same command is not the same
            key = hash((call.name, repr(call.args), text))
            times = self._seen[key] = self._seen[key] + 1
            told = text + (_SAME.format(times) if times == _TOLD_STUCK else "")
            self.keep("call", number=call.number, result=told, ok=ok)
        except BaseException:
            self._screen.show_call(call, call.result or NOT_RUN, status="failed")
            raise
        shown = None if edited else text  # what an edit shows as its content is the difference
        self._screen.show_call(call, shown, status="completed" if ok else "failed")
        if times >= _STUCK:
            raise Stuck(f"stuck: the same call of `{call.name}` gave the same result {_STUCK} times")

    def begin(self, title: str, kind: str, *, asks: bool = False, **card: Any) -> None:
        """Show what a tool is about to do, and ask the person first where `asks`; ToolFault where they refuse."""
        call, card = self._call, {"title": title, "kind": kind, "rawInput": self._call.args, **card}
        asks = asks and self._memory.mode == "ask" and kind not in self._memory.always
        self._screen.show_call(call, status="pending" if asks else "in_progress", **card)
        if asks:
            always = ("always", f"Allow all {_ALWAYS[kind]} in this session", "allow_always")
            options = [("allow", "Allow", "allow_once"), always, ("reject", "Reject", "reject_once")]
            chosen = self._screen.choose(self.cancel, card, options)
            if chosen not in {"allow", "always"}:
                raise ToolFault("the person refused this; it was not done")
            if chosen == "always":
                self.keep("state", always=[*self._memory.always, kind])
            self._screen.show_call(call, status="in_progress")
        self.keep("call", number=call.number, result=UNKNOWN, ok=False)

    def progress(self, output: str) -> None:
        """Show the output of a call so far."""
        self._screen.show_call(self._call, output)

    def plan(self, step: Step, entries: list[Entry]) -> str:
        """Show the person the plan."""
        step.begin("Plan", "think")
        plan = [{"content": entry.text, "priority": "medium", "status": entry.status} for entry in entries]
        self.keep("state", plan=plan)
        self._screen.show("plan", entries=plan)
        return "The person sees the plan."

    def ask(self, step: Step, question: str, options: list[str] | None = None) -> str:
        """Ask the person. Without options the turn ends with it."""
        step.begin(question, "other")
        if not options:
            self._screen.say("agent_message", f"{question}\n", messageId=self._screen.call)
            step.ends = True
            return "The person was asked; their answer comes next."
        if self._memory.mode == "auto":
            return _ALONE
        offered = {f"answer-{at}": answer for at, answer in enumerate(options)}
        choices = [*((identity, name, "allow_once") for identity, name in offered.items()), _NONE]
        said = offered.get(self._screen.choose(step.cancel, {"title": question}, choices))
        return f"The person chose: {said}" if said else "The person chose none of the answers."
