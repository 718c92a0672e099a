"""One turn: ask the model, do what it calls for, and so on until it has nothing more to do."""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from functools import partial

from handrail.agents.own import history
from handrail.agents.own.cancel import Cancel, Cancelled
from handrail.agents.own.journal import NOT_RUN, UNKNOWN
from handrail.agents.own.messages import Answer, Call, Json, Result, Results, User, clean, clip
from handrail.agents.own.rpc import RpcError
from handrail.agents.own.session import Session, call_id, card, text_content
from handrail.agents.own.tools import Act, Outcome, ToolFault, argument
from handrail.agents.own.wires import Draft, ModelError
from handrail.errors import AgentError, MissingPart

_TOLD_STUCK, _STUCK = 3, 6
"""how often the same call may give the same result before the model is told, and before the turn fails"""
_SAME = "\n[You have made this very call {} times with this very result. Do something else, or say what stops you.]"
_EMPTY = "Your last answer was empty. Go on with the work, or say that it is done and how you checked it."
_ALWAYS = {"edit": "edits", "execute": "commands", "read": "reads outside the workspace", "search": "outside searches"}
_STOPS = {"end": "end_turn", "length": "max_tokens", "refusal": "refusal"}


class Stuck(AgentError):
    """The model goes round in circles; the turn must not count as work done."""


class Turn:
    """The turn of one prompt. `cancel` ends it at once."""

    def __init__(self, session: Session, cancel: Cancel) -> None:
        self._session = session
        self._cancel = cancel
        self._seen: Counter[bytes] = Counter()
        self._asked = False
        self.usage = [0, 0, 0]
        """tokens: input, of it cached, output"""

    def run(self, text: str) -> str:
        """Work on `text` until the end; ACP's stop reason.

        Raises:
            Cancelled: by `cancel`; the history is whole.
            ModelError: no answer can be had.
            Stuck: the same again and again, or nothing at all.
        """
        session = self._session
        session.remember(User(text))
        empty = 0
        for _ in range(session.settings.max_steps):
            if session.history.full:
                self._make_room()
            answer = self._ask()
            if not answer.text.strip() and not answer.calls and answer.stop == "end":
                empty += 1
                if empty == 2:
                    raise Stuck("stuck: two empty answers one after the other")
                session.remember(User(_EMPTY))
                continue
            empty = 0
            if answer.text.strip() or answer.calls:  # an empty message would be refused by some providers
                session.remember(answer)
            session.show_usage()
            if not answer.calls:
                return _STOPS[answer.stop]
            self._do(answer.calls)
            if self._asked:
                return "end_turn"
        return "max_turn_requests"

    # --- the model ----------------------------------------------------------------------------------------------------

    def _ask(self) -> Answer:
        """The next answer, shown as it streams, not yet remembered."""
        session, identity, shown = self._session, f"m-{secrets.token_hex(4)}", ""

        def told(draft: Draft) -> None:
            nonlocal shown
            if draft.fresh_thought:
                session.say("agent_thought_chunk", clean(draft.fresh_thought), f"t{identity}")
            if draft.fresh:
                fresh = clean(draft.fresh)
                shown += fresh
                session.journal.write("chunk", text=fresh)
                session.say("agent_message_chunk", fresh, identity)

        def failed(reason: str) -> None:
            nonlocal shown, identity
            if shown:
                session.journal.write("again")
            shown, identity = "", f"m-{secrets.token_hex(4)}"
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
                session.remember(Answer(f"{shown}\n[interrupted here]"))
            raise
        session.memory.calls += len(answer.calls)
        self.usage = [total + part for total, part in zip(self.usage, answer.usage, strict=True)]
        return answer

    def _tell_retry(self, reason: str) -> None:
        session = self._session
        if session.client_takes_failures:
            failure = {"id": secrets.token_hex(4), "category": "service", "severity": "warning", "title": reason}
            meta = {"jetbrains": {"air": {"sessionFailure": {**failure, "actions": []}}}}
            session.show("session_info_update", _meta=meta)
        else:
            session.say("agent_thought_chunk", f"[{reason}]\n")

    def _make_room(self) -> None:
        """Make the history smaller: old results first, then notes of the model in place of the older steps."""
        session, past = self._session, self._session.history
        before, smaller = past.used, past.shortened()
        if smaller is not None:
            session.forget(smaller)
            self._think(f"[Context: old tool results were shortened, {before} → {past.used} tokens]\n")
            return
        old, kept = past.halves()
        body = history.summary_head(session.wire, session.settings.model, session.settings.max_output)
        body += past.question(old)
        notes = session.model.ask(session.wire.close(body), 0, self._cancel, lambda _: None, self._tell_retry)
        self.usage = [total + part for total, part in zip(self.usage, notes.usage, strict=True)]
        session.forget(past.summarised(notes.text or "(no notes)", old, kept))
        self._think(f"[Context: older steps were summarised, {before} → {past.used} tokens]\n{notes.text}\n")

    def _think(self, text: str) -> None:
        self._session.say("agent_thought_chunk", text)
        self._session.show_usage(now=True)

    # --- the tools ----------------------------------------------------------------------------------------------------

    def _do(self, calls: tuple[Call, ...]) -> None:
        """Run calls in order and remember every result, even if that is that nothing was run."""
        session, items = self._session, list[Result]()
        try:
            for call in calls:
                self._cancel.check()
                outcome = self._one(call)
                text = outcome.text + self._again(call, outcome)
                items.append(Result(call.number, call.id, call.name, text, outcome.ok))
                session.journal.write("result", item=_item(items[-1]))
                if call.name != "plan":
                    shown: Json = {"rawOutput": outcome.raw} if outcome.raw else {}
                    status = "completed" if outcome.ok else "failed"
                    content = [text_content(text)] if call.name not in {"edit", "write"} or not outcome.ok else None
                    shown |= {"content": content} if content else {}
                    session.show("tool_call_update", toolCallId=call_id(call), status=status, **shown)
                self._give_up(call, outcome)
        finally:
            done = len(items)
            for call in calls[done:]:
                why = UNKNOWN if self._running == call.number else NOT_RUN
                items.append(Result(call.number, call.id, call.name, why, ok=False))
            session.history.add(Results(tuple(items)))
            for item in items[done:]:
                session.journal.write("result", item=_item(item))
            if done < len(calls) and calls[done].name != "plan":
                content = [text_content(items[done].text)]
                session.show("tool_call_update", toolCallId=call_id(calls[done]), status="failed", content=content)

    _running = 0
    """number of the call that has begun"""

    def _one(self, call: Call) -> Outcome:
        session = self._session
        if call.name == "plan" and not call.fault:
            return self._plan(call)
        try:
            act = self._question(call) if call.name == "ask" and not call.fault else session.bench.prepare(call)
        except ToolFault as fault:
            act = Act(f"{call.name} {clip(str(call.args), 100)}", "other", lambda *_: Outcome(""))
            session.show("tool_call", **card(call, act), status="failed")
            return Outcome(str(fault), ok=False)
        asks = act.asks and session.memory.mode == "ask" and act.kind not in session.memory.always
        session.show("tool_call", **card(call, act), status="pending" if asks else "in_progress")
        if asks:
            refusal = self._permission(call, act)
            if refusal:
                return Outcome(refusal, ok=False)
            session.show("tool_call_update", toolCallId=call_id(call), status="in_progress")
        self._running = call.number
        session.journal.write("begun", number=call.number)
        try:
            return act.run(self._cancel, partial(self._progress, call))
        except ToolFault as fault:
            return Outcome(str(fault), ok=False)
        except (OSError, MissingPart) as error:
            return Outcome(f"failed: {error}", ok=False)

    def _progress(self, call: Call, output: str) -> None:
        self._session.show("tool_call_update", toolCallId=call_id(call), content=[text_content(output)])

    def _permission(self, call: Call, act: Act) -> str | None:
        """Ask the person; what the model is told if they refuse."""
        always = f"Allow all {_ALWAYS[act.kind]} in this session"
        options = [
            ("allow", "Allow", "allow_once"),
            ("always", always, "allow_always"),
            ("reject", "Reject", "reject_once"),
        ]
        try:
            chosen = self._choose(card(call, act), options)
        except RpcError as error:
            return f"the client could not ask the person ({error}), so this was not done"
        if chosen == "always":
            self._session.journal.write("always", what=act.kind)
            self._session.memory.always.add(act.kind)
        return None if chosen in {"allow", "always"} else "the person refused this; it was not done"

    def _choose(self, shown: Json, options: list[tuple[str, str, str]]) -> str:
        """`session/request_permission`: the id of the option chosen. A `cancelled` outcome ends the turn."""
        offered = [{"optionId": identity, "name": name, "kind": kind} for identity, name, kind in options]
        params = {"sessionId": self._session.id, "toolCall": {**shown, "status": "pending"}, "options": offered}
        outcome = self._session.peer.request("session/request_permission", params, self._cancel).get("outcome")
        if not isinstance(outcome, dict) or outcome.get("outcome") != "selected":
            raise Cancelled
        return str(outcome.get("optionId"))

    def _question(self, call: Call) -> Act:
        """The `ask` tool: with options a request to choose, without one the end of the turn."""
        question, answers = argument(call.args, "question", str), argument(call.args, "options", list, [])

        def run(*_: object) -> Outcome:
            if self._session.memory.mode == "auto" and answers:
                return Outcome(
                    "Nobody is there to choose. Take the most sensible answer yourself, and say so at the end."
                )
            if not answers:
                self._asked = True
                self._session.say("agent_message_chunk", f"{question}\n", f"m-{secrets.token_hex(4)}")
                return Outcome("The person was asked; their answer comes next.")
            options = [(f"answer-{at}", str(answer), "allow_once") for at, answer in enumerate(answers)]
            skip = ("reject", "None of these", "reject_once")
            chosen = self._choose({"toolCallId": call_id(call), "title": question}, [*options, skip])
            said = next((name for identity, name, _ in options if identity == chosen), None)
            return Outcome(f"The person chose: {said}" if said else "The person chose none of the answers.")

        return Act(question, "other", run)

    def _plan(self, call: Call) -> Outcome:
        try:
            entries = [
                {"content": argument(entry, "text", str), "status": argument(entry, "status", str, "pending")}
                for entry in argument(call.args, "entries", list)
            ]
        except (ToolFault, AttributeError) as fault:
            return Outcome(f"each entry is an object with `text` and `status` ({fault})", ok=False)
        known = {"pending", "in_progress", "completed"}
        plan = [
            {**e, "priority": "medium", "status": e["status"] if e["status"] in known else "pending"} for e in entries
        ]
        self._session.memory.plan = plan
        self._session.journal.write("plan", entries=plan)
        self._session.show("plan", entries=plan)
        return Outcome("The person sees the plan.")

    # --- going round in circles ---------------------------------------------------------------------------------------

    def _again(self, call: Call, outcome: Outcome) -> str:
        """What to tell the model where it repeats itself."""
        if outcome.ok and call.name in {"edit", "write"}:
            self._seen.clear()  # the world has changed, so the same command is not the same
            return ""
        key = _key(call, outcome)
        self._seen[key] += 1
        return _SAME.format(_TOLD_STUCK) if self._seen[key] == _TOLD_STUCK else ""

    def _give_up(self, call: Call, outcome: Outcome) -> None:
        if self._seen[_key(call, outcome)] >= _STUCK:
            raise Stuck(f"stuck: the same call of `{call.name}` gave the same result {_STUCK} times")


def _key(call: Call, outcome: Outcome) -> bytes:
    return hashlib.blake2b(repr((call.name, call.args, outcome.text)).encode("utf-8", "replace")).digest()


def _item(result: Result) -> list[object]:
    return [result.number, result.id, result.name, result.text, result.ok]
