"""One turn: ask the model, do what it calls for, and so on until it has nothing more to do."""

from __future__ import annotations

import secrets
from collections import Counter
from collections.abc import Callable

from handrail.agents.own.cancel import Cancel
from handrail.agents.own.history import History
from handrail.agents.own.journal import NOT_RUN, UNKNOWN
from handrail.agents.own.messages import Call, Json, Message
from handrail.agents.own.model import ModelError
from handrail.agents.own.rpc import ClientError
from handrail.agents.own.session import Session
from handrail.agents.own.tools import Act, Outcome, ToolFault, prepare
from handrail.agents.own.wires import Draft
from handrail.errors import AgentError, MissingPart
from handrail.text import clip, whole

_TOLD_STUCK, _STUCK = 3, 6
"""how often the same call may give the same result before the model is told, and before the turn fails"""
_SAME = "\n[You have made this very call {} times with this very result. Do something else, or say what stops you.]"
_EMPTY = "Your last answer was empty. Go on with the work, or say that it is done and how you checked it."
_ALWAYS = {"edit": "edits", "execute": "commands", "read": "reads outside the workspace", "search": "outside searches"}
_ALWAYS |= {"other": "calls of other tools"}
_STOPS = {"end": "end_turn", "length": "max_tokens", "refusal": "refusal"}


class Stuck(AgentError):
    """The model goes round in circles; the turn must not count as work done."""


class Turn:
    """The turn of one prompt. `cancel` ends it at once; `failures`: the client takes them as such."""

    def __init__(self, session: Session, cancel: Cancel, *, failures: bool) -> None:
        self._session, self._cancel, self._failures = session, cancel, failures
        self._seen: Counter[int] = Counter()
        self.usage = [0, 0, 0]
        """tokens: input, of it cached, output"""

    def run(self, text: str) -> str:
        """Work on `text` until the end; ACP's stop reason.

        Raises Cancelled by `cancel` (the history is whole), ModelError where no answer can be had, Stuck where the
        same comes again and again, or nothing at all.
        """
        session, empty = self._session, False
        session.keep("message", message=Message("user", text))
        try:
            for _ in range(session.settings.max_steps):
                answer = self._ask()
                if answer.empty and answer.stop == "end":
                    if empty:
                        raise Stuck("stuck: two empty answers one after the other")
                    empty = True
                    session.keep("message", message=Message("user", _EMPTY))
                    continue
                empty = False
                ends = [self._do(call) for call in answer.calls]
                session.show_usage()
                if not ends or any(ends):
                    return "end_turn" if ends else _STOPS[answer.stop]
            return "max_turn_requests"
        finally:
            session.memory.settle()

    # --- the model ----------------------------------------------------------------------------------------------------

    def _ask(self) -> Message:
        """The next answer, shown as it streams; remembered unless it is empty."""
        session = self._session
        if session.history.full:
            self._make_room()
        try:
            answer = self._answer(session.history, self._shown)
        except ModelError as error:
            if not error.too_long:
                raise
            self._make_room()
            answer = self._answer(session.history, self._shown)
        if answer.empty:
            session.keep("again")
        else:
            session.keep("message", message=answer)
        return answer

    def _answer(self, history: History, begin: Callable[[], Draft]) -> Message:
        answer = self._session.model.ask(history.request(), self._cancel, begin, self._failed)
        self.usage = [total + part for total, part in zip(self.usage, answer.usage, strict=True)]
        return answer

    def _shown(self) -> Draft:
        """An answer that is shown as it grows."""
        session, identity = self._session, secrets.token_hex(4)

        def told(kind: str, text: str) -> None:
            if kind == "agent_message_chunk":
                session.keep("chunk", text=whole(text))
            session.say(kind, whole(text), f"{kind}-{identity}")

        return Draft(session.memory.calls + 1, told)

    def _failed(self, reason: str) -> None:
        session = self._session
        session.keep("again")
        if not self._failures:
            session.say("agent_thought_chunk", f"[{reason}]\n")
            return
        failure: Json = {"id": secrets.token_hex(4), "category": "service", "severity": "warning", "title": reason}
        meta = {"jetbrains": {"air": {"sessionFailure": {**failure, "actions": []}}}}
        session.show("session_info_update", _meta=meta)

    def _make_room(self) -> None:
        """Make the history smaller: old results first, then notes of the model in place of the older steps."""
        session, past, told = self._session, self._session.history, self._session.settings
        before, how, notes, messages = past.used, "old tool results were shortened", "", past.shortened()
        if messages is None:
            old, kept = past.halves()
            head = told.wire.begin(told.model, "You write precise notes.", [], told.max_output)
            notes = self._answer(History(told.wire, head, told.context, [past.question(old)]), Draft).text
            how, messages = "older steps were summarised", past.summarised(notes or "(no notes)", old, kept)
        session.forget(messages)
        session.say("agent_thought_chunk", f"[Context: {how}, {before} → {past.used} tokens]\n{notes}")

    # --- the tools ----------------------------------------------------------------------------------------------------

    def _do(self, call: Call) -> bool:
        """Make one call, show and remember what came of it; whether the turn ends with it."""
        self._cancel.check()
        session = self._session
        try:
            outcome = self._outcome(call)
            times = self._times(call, outcome)
            told = outcome.text + (_SAME.format(times) if times == _TOLD_STUCK else "")
            session.keep("call", number=call.number, result=told, ok=outcome.ok)
        except BaseException:
            session.show_call("tool_call_update", call, call.result or NOT_RUN, status="failed")
            raise
        # What an edit shows as its content is the difference.
        text = None if outcome.ok and call.name in {"edit", "write"} else outcome.text
        more: Json = {"rawOutput": outcome.raw} if outcome.raw else {}
        session.show_call("tool_call_update", call, text, status="completed" if outcome.ok else "failed", **more)
        if times >= _STUCK:
            raise Stuck(f"stuck: the same call of `{call.name}` gave the same result {_STUCK} times")
        return outcome.ends

    def _outcome(self, call: Call) -> Outcome:
        session = self._session
        try:
            act = prepare(session.tools, call)
        except ToolFault as fault:
            title = f"{call.name} {clip(str(call.args), 100)}"
            session.show_call("tool_call", call, title=title, kind="other", status="failed", rawInput=call.args)
            return Outcome(str(fault), ok=False)
        asks = act.asks and session.memory.mode == "ask" and act.kind not in session.memory.always
        session.show_call("tool_call", call, **act.card(call), status="pending" if asks else "in_progress")
        if asks:
            if refusal := self._refusal(call, act):
                return Outcome(refusal, ok=False)
            session.show_call("tool_call_update", call, status="in_progress")
        session.keep("call", number=call.number, result=UNKNOWN, ok=False)
        try:
            return act.run(self._cancel, lambda output: session.show_call("tool_call_update", call, output))
        except (ToolFault, OSError, MissingPart) as error:
            return Outcome(str(error), ok=False)

    def _refusal(self, call: Call, act: Act) -> str | None:
        """Ask the person; what the model is told if they refuse."""
        always = ("always", f"Allow all {_ALWAYS[act.kind]} in this session", "allow_always")
        options = [("allow", "Allow", "allow_once"), always, ("reject", "Reject", "reject_once")]
        try:
            shown = {"toolCallId": f"call-{call.number}", **act.card(call)}
            chosen = self._session.choose(self._cancel, shown, options)
        except ClientError as error:
            return f"the client could not ask the person ({error}), so this was not done"
        if chosen == "always":
            self._session.keep("state", always=[*self._session.memory.always, act.kind])
        return None if chosen in {"allow", "always"} else "the person refused this; it was not done"

    def _times(self, call: Call, outcome: Outcome) -> int:
        """How often this call has given this result since something was changed."""
        if outcome.ok and call.name in {"edit", "write"}:
            self._seen.clear()  # the world has changed, so the same command is not the same
        key = hash((call.name, repr(call.args), outcome.text))
        self._seen[key] += 1
        return self._seen[key]
