"""What an agent asks before it acts: answered by the policy, or kept as an approval until a person answers."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import Callable, Sequence
from pathlib import Path

from msgspec import Struct

from handrail.agents import Diff, PermissionOption, PermissionRequest
from handrail.agents.spec import AgentSpec
from handrail.errors import Conflict, InvalidInput
from handrail.kinds import Kind
from handrail.policy import Decision, Verdict
from handrail.policy.document import PolicyLimits
from handrail.policy.layers import REPOSITORY
from handrail.policy.learn import Proposal
from handrail.policy.signature import signature
from handrail.sessions import rules, standing
from handrail.sessions.lookout import asked_notice
from handrail.sessions.patience import Asking, so_far, why
from handrail.sessions.record import Record
from handrail.sessions.recorder import Card, Recorder
from handrail.store import approvals
from handrail.store.approvals import ApprovalRow
from handrail.store.log import Draft
from handrail.store.sessions import SessionChanges
from handrail.types import ApprovalId, Json, Permissions, SessionState


class Answer(Struct, frozen=True):
    """A person's answer to an approval."""

    allow: bool
    option: str | None = None
    because: str | None = None


class _Live(Struct):
    future: asyncio.Future[Answer | None]


class _Asked(Struct, frozen=True):
    """What is asked, in whatever way it came."""

    call: str
    title: str
    tool: str
    input: Json | None
    signature: str
    diffs: Sequence[Diff] = ()
    options: Sequence[PermissionOption] = ()


class Questions:
    """The open questions of one session.

    Args:
        record: the session.
        recorder: where the tool cards are.
        spec: the agent, which words its options in its own way.
        permissions: what the session is allowed at this moment.
        ceiling: the policy file above the session's own.
        asking: clock, patience, and how people are told.
    """

    def __init__(
        self,
        record: Record,
        recorder: Recorder,
        spec: AgentSpec,
        permissions: Callable[[], Permissions],
        ceiling: Path,
        *,
        asking: Asking,
    ) -> None:
        self._record = record
        self._spec = spec
        self._recorder = recorder
        self._permissions = permissions
        self._ceiling = ceiling
        self._asking = asking
        self._live: dict[ApprovalId, _Live] = {}
        self._hosts: dict[str, asyncio.Task[Answer | None]] = {}
        self.denied = False
        """something was refused in the turn under way"""

    @property
    def waiting(self) -> bool:
        """Whether the turn is parked on a person."""
        return bool(self._live)

    @property
    def all_allowed(self) -> bool:
        """Whether nothing inside the walls needs an answer: no policy of its own or above narrows the session."""
        row = self._record.row
        narrowed = row.policy is not None or self._ceiling.exists() or standing.narrows(self._ceiling.parent, row)
        return self._permissions() is Permissions.ALLOW and not narrowed

    async def ask(self, request: PermissionRequest) -> str | None:
        """Answer one request (`agents.OnPermission`): the id of an option, or None for `cancelled`."""
        card = self._recorder.tool(request.call)
        if card is None:  # the agent asks about a call that has ended: nothing is left to allow
            return None
        paths = [*(diff.path for diff in request.call.diffs or ()), *_moved(card, request.call.paths)]
        wanted = rules.asked(card.tool, card.title, card.input, paths, self._record.row.workspace)
        decision = rules.judge(self._record.row, self._permissions(), self._ceiling, wanted)
        if decision.verdict is not Verdict.ASK:
            return self._by_policy(request, card, decision)
        mark = signature(card.tool, card.title, card.input)
        earlier = await approvals.unused_answer(self._record.store, self._record.id, mark)
        if earlier is not None:
            await self._record.write(guard=approvals.use(earlier.id))
            same = {option.id for option in request.options}
            option = earlier.option if earlier.option in same else None
            answer = Answer(earlier.decision == "allow", option, earlier.because)
        else:
            waited = await self._wait(
                _Asked(
                    card.call,
                    card.title,
                    card.tool or "other",
                    card.input,
                    mark,
                    tuple(request.call.diffs or ()),
                    tuple(request.options),
                )
            )
            if waited is None:
                return None
            answer = waited
        if not answer.allow:
            self.denied = True
            self._recorder.deny(card.call)
        return self._choose(request, answer)

    async def host(self, place: str) -> Answer | None:
        """Ask a person whether a place may be reached; the answer holds for the session.

        Returns:
            None where nobody can answer any more in this turn; the question stays open.
        """
        given: Json = {"host": place}
        title = f"reach {place} from inside the walls, in this session"
        asked = _Asked(f"host:{place}", title, "fetch", given, signature("fetch", None, given))
        earlier = await approvals.last_answer(self._record.store, self._record.id, asked.signature)
        if earlier is not None:
            if not earlier.used:
                with contextlib.suppress(Conflict):  # another connection was faster
                    await self._record.write(guard=approvals.use(earlier.id))
            return Answer(earlier.decision == "allow", None, earlier.because)
        if place not in self._hosts:
            waiting = asyncio.create_task(self._wait(asked), name=f"host {place}")
            self._hosts[place] = waiting
            waiting.add_done_callback(lambda _: self._hosts.pop(place, None))
        # shielded: of several connections that wait for one answer any may go away
        answer = await asyncio.shield(self._hosts[place])
        if answer is not None and not answer.allow:
            self.denied = True
        return answer

    @property
    def asks_for_hosts(self) -> bool:
        """Whether a person is asked about a place now."""
        return bool(self._hosts)

    def limits(self) -> PolicyLimits:
        """What the session's policy limits at this moment.

        Raises:
            InvalidInput: the policy above the session's own cannot be read.
        """
        return rules.current(self._record.row, self._permissions(), self._ceiling).limits

    async def always(self, approval: ApprovalRow) -> Proposal | None:
        """The rules that would answer this question from now on; None where no narrow one can be given."""
        row = self._record.row
        policy = rules.current(row, self._permissions(), self._ceiling)
        earlier = await approvals.of_session(self._record.store, row.id)
        return rules.always(policy, approval, [one for one in earlier if one.id != approval.id], row)

    async def answer(
        self, approval: ApprovalRow, answer: Answer, by: str, always: Proposal | None = None, *, stands: bool = False
    ) -> bool:
        """Take a person's answer; returns whether a live turn was waiting for it.

        The rules of `always` become part of the session's policy in the same transaction; where it `stands`, they are
        written for the repository before, and taken back where somebody else was faster.

        Raises:
            Conflict: somebody answered before; the message says who and how.
            InvalidInput: the option is not one that the agent offered.
        """
        known = {str(option["id"]) for option in approval.options}
        if answer.option is not None and answer.option not in known:
            raise InvalidInput("option", answer.option, f"the agent offers {', '.join(sorted(known))}")
        live = self._live.get(approval.id)
        data: Json = {
            "approval": approval.id,
            "call": approval.call,
            "decision": "allow" if answer.allow else "deny",
            "by": by,
        }
        if answer.option is not None:
            data["option"] = answer.option
        if answer.because:
            data["because"] = answer.because
        guard = approvals.answer(
            approval.id,
            decision=str(data["decision"]),
            option=answer.option,
            by=by,
            because=answer.because,
            used=live is not None,
            at=self._asking.clock(),
        )
        still = any(other != approval.id for other in self._live)
        drafts = [Draft(Kind.APPROVAL_ANSWERED, data, approval.turn)]
        changes: SessionChanges = {}
        if always is not None:
            told: Json = {"rules": rules.shown(always), "by": by}
            if stands:
                told["layer"] = REPOSITORY
            else:
                changes["policy"] = rules.learnt(self._record.row.policy, always.rules)
            drafts.append(Draft(Kind.POLICY_CHANGED, told, approval.turn))
        if live is not None and not still:
            changes["state"] = SessionState.RUNNING
        with standing.kept(self._ceiling.parent, self._record.row, always.rules if always and stands else ()):
            await self._record.write(*drafts, guard=guard, **changes)
        if live is not None and not live.future.done():
            live.future.set_result(answer)
        return live is not None

    async def withdraw(self, state: SessionState | None = None) -> None:
        """Answer all that is open with `cancelled`: the turn ends and nobody needs to decide any more.

        Args:
            state: what the session is from then on, where no turn under way decides it.
        """
        changes = SessionChanges() if state is None else SessionChanges(state=state)
        for live in list(self._live.values()):
            if not live.future.done():
                live.future.set_result(None)
        for row in await approvals.open_of(self._record.store, self._record.id):
            data: Json = {"approval": row.id, "call": row.call, "decision": "cancelled", "by": "handrail"}
            with contextlib.suppress(Conflict):  # answered in this very moment
                event = Draft(Kind.APPROVAL_ANSWERED, data, row.turn)
                await self._record.write(event, guard=approvals.void(row.id), **changes)

    def release(self) -> None:
        """The agent is about to be let go: an answer that comes from now on waits for the next turn."""
        self._live.clear()
        for task in self._hosts.values():
            task.cancel()

    def detach(self) -> None:
        """The agent is gone: the questions stay open on record, but no live turn waits for them."""
        for live in self._live.values():
            live.future.cancel()
        self.release()

    def _choose(self, request: PermissionRequest, answer: Answer) -> str | None:
        return answer.option or self._spec.choose(request.options, allow=answer.allow)

    def _by_policy(self, request: PermissionRequest, card: Card, decision: Decision) -> str | None:
        allow = decision.verdict is Verdict.ALLOW
        data: Json = {
            "call": card.call,
            "decision": str(decision.verdict),
            "by": "policy",
            "layer": decision.layer,
            "because": decision.reason,
        }
        if decision.rule is not None:
            data["rule"] = decision.rule
        self._recorder.put(Kind.APPROVAL_ANSWERED, data)
        if not allow:
            self.denied = True
            self._recorder.deny(card.call)
        return self._choose(request, Answer(allow))

    async def _wait(self, asked: _Asked) -> Answer | None:
        row = await approvals.open_with(self._record.store, self._record.id, asked.signature)
        identity = row.id if row is not None else ApprovalId(f"a-{secrets.token_hex(4)}")
        live = _Live(asyncio.get_running_loop().create_future())
        self._live[identity] = live
        try:
            if row is None:
                await self._recorder.drain()
                await self._open(identity, asked)
            else:
                due = self._asking.patience.due(self._asking.clock(), row.deadline)
                await self._record.write(writes=(approvals.hold(identity, due),), state=SessionState.WAITING)
            with self._record.watch.waiting():  # a person's time is not the agent's
                return await live.future
        except asyncio.CancelledError:
            if live.future.cancelled():
                return None
            raise
        finally:
            self._live.pop(identity, None)

    async def _open(self, identity: ApprovalId, what: _Asked) -> None:
        options: list[Json] = [{"id": o.id, "name": o.name, "kind": o.kind} for o in what.options]
        diffs: list[Json] = [{"path": diff.path, "old": diff.old, "new": diff.new} for diff in what.diffs]
        data: Json = {
            "approval": identity,
            "call": what.call,
            "title": what.title,
            "tool": what.tool,
            "input": what.input,
            "diffs": diffs,
            "options": options,
        }
        asked, patience = self._asking.clock(), self._asking.patience
        deadline = patience.until(asked)
        session = self._record.row
        row = ApprovalRow(
            id=identity,
            session=self._record.id,
            turn=self._recorder.turn,
            call=what.call,
            title=what.title,
            tool=what.tool,
            input=what.input,
            diffs=diffs,
            options=options,
            signature=what.signature,
            why=why(
                self._recorder.step,
                what.diffs,
                so_far(session.cost_nano, session.unpriced, metered=not session.login),
            ),
            asked=asked,
            deadline=deadline,
            then=patience.then,
            due=patience.due(asked, deadline),
        )
        data |= {"why": row.why, "then": row.then.value}
        if deadline is not None:
            data["deadline"] = deadline.isoformat()
        told = self._asking.tell(asked_notice(row, session.agent), f"approval:{identity}:0")
        await self._record.write(
            Draft(Kind.APPROVAL_ASKED, data, self._recorder.turn),
            writes=(approvals.insert(row), *told),
            state=SessionState.WAITING,
        )


def _moved(card: Card, paths: Sequence[str] | None) -> Sequence[str]:
    """What an edit, a deletion or a move touches, where its input does not say it."""
    return paths or () if card.tool in {"edit", "delete", "move"} else ()
