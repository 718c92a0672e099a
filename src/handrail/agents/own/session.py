"""One session in this process: what it shows to and asks of the person; and its turns."""

from __future__ import annotations

import os
import re
import secrets
import threading
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from handrail.agents.own import guide, mcp
from handrail.agents.own.cancel import Cancel, Cancelled
from handrail.agents.own.memory import NOT_RUN, UNKNOWN, History, Journal
from handrail.agents.own.messages import Call, Json, Message
from handrail.agents.own.model import Grown, Model, ModelError
from handrail.agents.own.rpc import ClientError, Peer
from handrail.agents.own.settings import Settings
from handrail.agents.own.tools import Step, ToolFault, Workbench, perform, table
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
_EDITS = {"edit", "write"}
_STOPS = {"end": "end_turn", "length": "max_tokens", "refusal": "refusal"}


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
        self.cancel, self.busy = Cancel(), threading.Lock()  # of the turn under way, and whether there is one
        self._journal = Journal(Path.home() / ".handrail-agent", self.id, create=identity is None)
        self.keep, self.memory = self._journal.keep, self._journal.memory
        root = Path(os.path.normpath(cwd))
        self._bench = Workbench(root, os.environ, min(32_000, settings.context // 2))
        own = self._bench.tools | table(self.plan, self.ask)
        self.tools = own | mcp.offered(servers, own, self._bench.limit)
        told = [tool.told for tool in self.tools.values()]
        head = settings.wire.head(settings.model, guide.system_prompt(root), told, settings.max_output)
        self.history = History(settings.wire, head, settings.context, self.memory)
        self.model = Model(settings)
        self.shown_call, self._shown_used = "", 0

    def forget(self, messages: list[Message]) -> None:
        """From now on the model knows only `messages`, which no provider has counted yet."""
        self.keep("compacted", messages=[replace(message, used={}) for message in messages])
        self.history.forget()

    def modes(self) -> Json:
        """ACP's `modes`."""
        modes = [{"id": name, "name": name.capitalize(), "description": text} for name, text in MODES.items()]
        return {"modes": {"currentModeId": self.memory.mode, "availableModes": modes}}

    def begin(self) -> threading.Lock:
        """Begin a turn: `busy` until it is released. Conflict where one is under way."""
        if not self.busy.acquire(blocking=False):
            raise Conflict(f"session {self.id} has a turn under way: wait for its end, or cancel it")
        self.cancel = Cancel()
        return self.busy

    def stop(self) -> None:
        """End the turn under way and all that was started, at once."""
        self.cancel.set()
        self._bench.bash.kill()

    def close(self) -> None:
        """Let another process have it, once the turn under way has ended."""
        self.stop()
        with self.busy:
            self._bench.bash.close()
            self._journal.close()

    # --- what the person is shown -------------------------------------------------------------------------------------

    def show(self, update_kind: str, /, **update: object) -> None:
        """Send one `session/update`."""
        params = {"sessionId": self.id, "update": {"sessionUpdate": update_kind, **update}}
        self._peer.send(method="session/update", params=params)

    def say(self, who: str, text: str, **more: object) -> None:
        """Send a chunk of text, if there is any: of an `agent_message`, an `agent_thought` or a `user_message`."""
        if text:
            self.show(f"{who}_chunk", content={"type": "text", "text": text}, **more)

    def show_usage(self) -> None:
        """Send how full the window is, within a turn only where that has changed by a hundredth of it."""
        used = self.history.used
        if abs(used - self._shown_used) * 100 >= self.settings.context or not self.busy.locked():
            self._shown_used = used
            self.show("usage_update", used=used, size=self.settings.context)

    def show_call(self, call: Call, text: str | None = None, **update: object) -> None:
        """Send what is new of a call, at first all of it; `text` is its content. A plan is shown as what it is."""
        if text is not None:
            update["content"] = [{"type": "content", "content": {"type": "text", "text": text}}]
        if call.name == "plan":
            return
        how, identity = "tool_call_update", f"call-{call.number}"
        if identity != self.shown_call:
            how, self.shown_call = "tool_call", identity
            title = f"{call.name} {clip(', '.join(map(str, call.args.values())), 100)}".strip()
            update = {"title": title, "kind": _KINDS.get(call.name, "other"), "rawInput": call.args} | update
        self.show(how, toolCallId=identity, **update)

    def replay(self) -> Json:
        """Send the whole history as updates, for `session/load`; ACP's `modes`."""
        for number, message in enumerate(self.memory.said):
            if message.role == "user":
                self.say("user_message", message.text)
                continue
            self.say("agent_thought", message.thought, messageId=f"old-{number}")
            self.say("agent_message", message.text, messageId=f"old-{number}")
            for call in message.calls:
                self.show_call(call, call.result, status="completed" if call.ok else "failed")
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

    def plan(self, step: Step, entries: list[Json]) -> str:
        """Show the person the plan."""
        step.begin("Plan", "think")
        plan = [{"content": entry["text"], "priority": "medium", "status": entry["status"]} for entry in entries]
        self.keep("state", plan=plan)
        self.show("plan", entries=plan)
        return "The person sees the plan."

    def ask(self, step: Step, question: str, options: Sequence[str] = ()) -> str:
        """Ask the person. Without options the turn ends with it."""
        step.begin(question, "other")
        if not options:
            self.say("agent_message", f"{question}\n", messageId=self.shown_call)
            step.ends = True
            return "The person was asked; their answer comes next."
        if self.memory.mode == "auto":
            return _ALONE
        offered = {f"answer-{at}": answer for at, answer in enumerate(options)}
        choices = [(identity, name, "allow_once") for identity, name in offered.items()]
        shown = {"toolCallId": self.shown_call, "title": question}
        said = offered.get(self.choose(step.cancel, shown, [*choices, ("reject", "None of these", "reject_once")]))
        return f"The person chose: {said}" if said else "The person chose none of the answers."


class Stuck(AgentError):
    """The model goes round in circles; the turn must not count as work done."""


class Turn:
    """The turn of one prompt; the session's `cancel` ends it at once. To its tools it is the step under way."""

    def __init__(self, session: Session) -> None:
        self._session, self.cancel, self.ends = session, session.cancel, False
        self._seen, self._used = Counter[int](), Counter[str]()

    def run(self, text: str) -> Json:
        """Work on `text` until the end; ACP's answer to the prompt.

        Raises ModelError where no answer can be had, Stuck where the same comes again and again, or nothing at all.
        """
        session, reason = self._session, "cancelled"
        try:
            if not session.memory.live:
                session.show("session_info_update", title=" ".join(text.split())[:80])
            session.keep("message", message=Message("user", text))
            reason = self._steps()
        except Cancelled:
            pass
        except Exception:
            # What could be cancelled was, and what was shown stands: an error after that is the noise of stopping.
            if not self.cancel.is_set():
                raise
        finally:
            session.memory.settle()
            session.busy.release()
        session.show_usage()
        told, cached, output = (self._used[name] for name in ("input", "cached", "output"))
        usage = {"inputTokens": told, "cachedReadTokens": cached, "outputTokens": output, "totalTokens": told + output}
        return {"stopReason": "cancelled" if self.cancel.is_set() else reason, "usage": usage}

    def _steps(self) -> str:
        session, empty = self._session, False
        for _ in range(session.settings.max_steps):
            answer = self._ask()
            if answer.empty and answer.stop == "end":
                if empty:
                    raise Stuck("stuck: two empty answers one after the other")
                session.keep("message", message=Message("user", _EMPTY))
            elif not answer.calls:
                return _STOPS[answer.stop]
            for call in answer.calls:
                self._do(call)
            if self.ends:
                return "end_turn"
            empty = answer.empty
            session.show_usage()
        return "max_turn_requests"

    # --- the model ----------------------------------------------------------------------------------------------------

    def _ask(self) -> Message:
        """The next answer, shown as it streams; remembered unless it is empty."""
        session = self._session
        if session.history.full:
            self._make_room()
        try:
            answer = self._answer(session.history.request(), self._shown)
        except ModelError as error:
            if not error.too_long:
                raise
            self._make_room()
            answer = self._answer(session.history.request(), self._shown)
        if not answer.empty:
            session.keep("message", message=answer)
        return answer

    def _answer(self, request: bytes, begin: Callable[[], Grown]) -> Message:
        answer = self._session.model.ask(request, self.cancel, begin, self._failed)
        self._used.update(answer.used)
        return answer

    def _shown(self) -> Grown:
        """Shows an answer as it grows."""
        session, identity, known = self._session, secrets.token_hex(4), Counter[str]()

        def grown(answer: Message) -> None:
            for who, text in (("agent_thought", answer.thought), ("agent_message", answer.text)):
                at, known[who] = known[who], len(text)
                if len(text) > at:
                    piece = whole(text[at:])
                    if who == "agent_message":
                        session.keep("chunk", at=at, text=piece)
                    session.say(who, piece, messageId=f"{who}-{identity}")

        return grown

    def _failed(self, reason: str) -> None:
        """Tell of an attempt that failed: as a thought, and as what it is in JetBrains' words, which drivers know."""
        failure: Json = {"id": secrets.token_hex(4), "category": "service", "severity": "warning", "title": reason}
        meta = {"jetbrains": {"air": {"sessionFailure": {**failure, "actions": []}}}}
        self._session.say("agent_thought", f"[{reason}]\n", _meta=meta)

    def _make_room(self) -> None:
        """Make the history smaller: old results first, then notes of the model in place of the older steps."""
        session, past, told = self._session, self._session.history, self._session.settings
        before, how, notes, messages = past.used, "old tool results were shortened", "", past.shortened()
        if messages is None:
            old, kept = past.halves()
            head = told.wire.head(told.model, "You write precise notes.", [], told.max_output)
            asked = told.wire.request(head, [told.wire.told(past.question(old))])
            notes = self._answer(asked, lambda: lambda _: None).text
            how, messages = "older steps were summarised", past.summarised(notes or "(no notes)", old, kept)
        session.forget(messages)
        session.say("agent_thought", f"[Context: {how}, {before} → {past.used} tokens]\n{notes}")

    # --- the tools ----------------------------------------------------------------------------------------------------

    def _do(self, call: Call) -> None:
        """Make one call, show and remember what came of it."""
        self.cancel.check()
        session, self._call = self._session, call
        try:
            try:
                ok, text = True, perform(session.tools, call, self)
            except (ToolFault, ClientError, OSError, ValueError) as fault:  # ValueError: a NUL in a path
                ok, text = False, str(fault)
            times = self._times(call, ok, text)
            told = text + (_SAME.format(times) if times == _TOLD_STUCK else "")
            session.keep("call", number=call.number, result=told, ok=ok)
        except BaseException:
            session.show_call(call, call.result or NOT_RUN, status="failed")
            raise
        # What an edit shows as its content is the difference.
        shown = None if ok and call.name in _EDITS else text
        session.show_call(call, shown, status="completed" if ok else "failed")
        if times >= _STUCK:
            raise Stuck(f"stuck: the same call of `{call.name}` gave the same result {_STUCK} times")

    def _times(self, call: Call, ok: bool, text: str) -> int:
        """How often this call has given this result since something was changed."""
        if ok and call.name in _EDITS:
            self._seen.clear()  # the world has changed, so the same command is not the same
        key = hash((call.name, repr(call.args), text))
        self._seen[key] += 1
        return self._seen[key]

    def begin(self, title: str, kind: str, *, asks: bool = False, **card: Any) -> None:
        """Show what a tool is about to do, and ask the person first where `asks`; ToolFault where they refuse."""
        session, call = self._session, self._call
        card |= {"title": title, "kind": kind, "rawInput": call.args}
        asks = asks and session.memory.mode == "ask" and kind not in session.memory.always
        session.show_call(call, status="pending" if asks else "in_progress", **card)
        if asks:
            always = ("always", f"Allow all {_ALWAYS[kind]} in this session", "allow_always")
            options = [("allow", "Allow", "allow_once"), always, ("reject", "Reject", "reject_once")]
            chosen = session.choose(self.cancel, {"toolCallId": session.shown_call, **card}, options)
            if chosen not in {"allow", "always"}:
                raise ToolFault("the person refused this; it was not done")
            if chosen == "always":
                session.keep("state", always=[*session.memory.always, kind])
            session.show_call(call, status="in_progress")
        session.keep("call", number=call.number, result=UNKNOWN, ok=False)

    def progress(self, output: str) -> None:
        """Show the output of a call so far."""
        self._session.show_call(self._call, output)
