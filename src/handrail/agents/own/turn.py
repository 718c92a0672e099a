"""One turn: ask the model, do what it calls for, and so on until it has nothing more to do."""

from __future__ import annotations

import secrets
from collections import Counter

from handrail.agents.own.cancel import Cancel, Cancelled
from handrail.agents.own.journal import CUT_SHORT, NOT_RUN, UNKNOWN
from handrail.agents.own.messages import Call, Json, Message, clean, clip
from handrail.agents.own.model import ModelError
from handrail.agents.own.rpc import RpcError
from handrail.agents.own.session import Session
from handrail.agents.own.tools import Act, Outcome, ToolFault, prepare
from handrail.agents.own.wires import Draft
from handrail.errors import AgentError, MissingPart

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
        session.remember(Message("user", text))
        for _ in range(session.settings.max_steps):
            if session.history.full:
                self._make_room()
            answer = self._ask()
            if answer.empty and answer.stop == "end":
                if empty:
                    raise Stuck("stuck: two empty answers one after the other")
                session.remember(Message("user", _EMPTY))
            elif not answer.empty:
                session.remember(answer)
            empty = answer.empty and answer.stop == "end"
            ends = bool(answer.calls) and self._do(answer)
            session.show_usage()
            if ends or not (answer.calls or empty):
                return "end_turn" if ends else _STOPS[answer.stop]
        return "max_turn_requests"

    # --- the model ----------------------------------------------------------------------------------------------------

    def _ask(self) -> Message:
        """The next answer, shown as it streams, not yet remembered."""
        session, shown, thought, identity = self._session, "", "", f"m-{secrets.token_hex(4)}"

        def told(draft: Draft) -> None:
            nonlocal shown, thought
            if fresh := draft.thought[len(thought) :]:
                thought = draft.thought
                session.say("agent_thought_chunk", clean(fresh), f"t{identity}")
            if fresh := draft.text[len(shown) :]:
                shown = draft.text
                session.journal.write("chunk", text=clean(fresh))
                session.say("agent_message_chunk", clean(fresh), identity)

        def failed(reason: str) -> None:
            nonlocal shown, thought, identity
            if shown:
                session.journal.write("again")
            shown, thought, identity = "", "", f"m-{secrets.token_hex(4)}"
            self._tell_retry(reason)

        first = session.memory.calls + 1
        try:
            try:
                answer = session.model.ask(session.history.request(), first, self._cancel, told, failed)
            except ModelError as error:
                if not error.too_long:
                    raise
                self._make_room()
                answer = session.model.ask(session.history.request(), first, self._cancel, told, failed)
        except (Cancelled, ModelError):
            if shown:  # it was seen, so it was said
                session.remember(Message("agent", clean(shown) + CUT_SHORT))
            raise
        session.memory.calls += len(answer.calls)
        self._count(answer)
        return answer

    def _count(self, answer: Message) -> None:
        self.usage = [total + part for total, part in zip(self.usage, answer.usage, strict=True)]

    def _tell_retry(self, reason: str) -> None:
        if not self._failures:
            self._session.say("agent_thought_chunk", f"[{reason}]\n")
            return
        failure: Json = {"id": secrets.token_hex(4), "category": "service", "severity": "warning", "title": reason}
        meta = {"jetbrains": {"air": {"sessionFailure": {**failure, "actions": []}}}}
        self._session.show("session_info_update", _meta=meta)

    def _make_room(self) -> None:
        """Make the history smaller: old results first, then notes of the model in place of the older steps."""
        session, past = self._session, self._session.history
        before, how, messages = past.used, "old tool results were shortened", past.shortened()
        notes = Message("agent")
        if messages is None:
            old, kept = past.halves()
            most = session.settings.max_output
            body = bytearray(session.wire.begin(session.settings.model, "You write precise notes.", [], most))
            body += (b"" if body.endswith(b"[") else b",") + session.wire.message(past.question(old))
            notes = session.model.ask(session.wire.close(body), 0, self._cancel, lambda _: None, self._tell_retry)
            self._count(notes)
            how, messages = "older steps were summarised", past.summarised(notes.text or "(no notes)", old, kept)
        session.forget(messages)
        session.say("agent_thought_chunk", f"[Context: {how}, {before} → {past.used} tokens]\n{notes.text}")

    # --- the tools ----------------------------------------------------------------------------------------------------

    def _do(self, answer: Message) -> bool:
        """Run the calls in order and remember every result, even if that is that nothing was run; whether to end."""
        session, ends = self._session, False
        call = answer.calls[0]
        try:
            for call in answer.calls:
                self._cancel.check()
                outcome = self._one(call)
                times = self._times(call, outcome)
                session.came(call, outcome.text + (_SAME.format(times) if times == _TOLD_STUCK else ""), ok=outcome.ok)
                # What an edit shows as its content is the difference.
                text = None if outcome.ok and call.name in {"edit", "write"} else outcome.text
                more: Json = {"rawOutput": outcome.raw} if outcome.raw else {}
                status = "completed" if outcome.ok else "failed"
                session.show_call("tool_call_update", call, text, status=status, **more)
                _check_stuck(call, times)
                ends = ends or outcome.ends
        except BaseException:
            if call.result in {None, UNKNOWN}:
                session.show_call("tool_call_update", call, call.result or NOT_RUN, status="failed")
            raise
        finally:
            for left in answer.calls:
                left.result = NOT_RUN if left.result is None else left.result
            session.history.add(answer)
        return ends

    def _one(self, call: Call) -> Outcome:
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
            if refusal := self._permission(call, act):
                return Outcome(refusal, ok=False)
            session.show_call("tool_call_update", call, status="in_progress")
        session.came(call, UNKNOWN, ok=False)
        try:
            return act.run(self._cancel, lambda output: session.show_call("tool_call_update", call, output))
        except ToolFault as fault:
            return Outcome(str(fault), ok=False)
        except (OSError, MissingPart) as error:
            return Outcome(f"failed: {error}", ok=False)

    def _permission(self, call: Call, act: Act) -> str | None:
        """Ask the person; what the model is told if they refuse."""
        always = ("always", f"Allow all {_ALWAYS[act.kind]} in this session", "allow_always")
        options = [("allow", "Allow", "allow_once"), always, ("reject", "Reject", "reject_once")]
        try:
            chosen = self._session.choose({"toolCallId": f"call-{call.number}", **act.card(call)}, options)
        except RpcError as error:
            return f"the client could not ask the person ({error}), so this was not done"
        if chosen == "always":
            self._session.set(always=[*self._session.memory.always, act.kind])
        return None if chosen in {"allow", "always"} else "the person refused this; it was not done"

    def _times(self, call: Call, outcome: Outcome) -> int:
        """How often this call has given this result since something was changed."""
        if outcome.ok and call.name in {"edit", "write"}:
            self._seen.clear()  # the world has changed, so the same command is not the same
            return 0
        key = hash((call.name, repr(call.args), outcome.text))
        self._seen[key] += 1
        return self._seen[key]


def _check_stuck(call: Call, times: int) -> None:
    if times >= _STUCK:
        raise Stuck(f"stuck: the same call of `{call.name}` gave the same result {_STUCK} times")
