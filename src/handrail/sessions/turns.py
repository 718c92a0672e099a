"""One turn: a prompt until its stop reason, watched, recorded, and never taken for more than it was."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from handrail.agents import TurnResult
from handrail.agents.spec import Load
from handrail.errors import HandrailError, SandboxError, StorageFull, Unavailable
from handrail.gateway import ModelCall
from handrail.kinds import Kind
from handrail.sessions import origin
from handrail.sessions.agent import RunningAgent
from handrail.sessions.allowance import Allowance, told
from handrail.sessions.goals import TurnEnd
from handrail.sessions.hosts import Hosts
from handrail.sessions.lookout import Parked
from handrail.sessions.network import Network
from handrail.sessions.questions import Questions
from handrail.sessions.record import Record
from handrail.sessions.recorder import Recorder
from handrail.sessions.summary import UNHEARD, heard, replay
from handrail.sessions.workplace import Outside, Workplace
from handrail.store import approvals, calls, prompts, turns
from handrail.store.log import Draft, Write
from handrail.store.sessions import SessionChanges
from handrail.types import Control, Event, Permissions, SandboxKind, SessionState, StopReason, now

_STOPPED = (StopReason.LOOP, StopReason.BUDGET)
_UNCOUNTED = (StopReason.INTERRUPTED, StopReason.WRAP_UP, StopReason.PARKED)
"""ends of turns towards a goal that go on as another turn"""
_LIMITS_STEP = 1.0
"""seconds between looks at the limits, at the most"""
_WATCH_STEP = 0.25
"""seconds between looks at the clock, at the most"""
_BEGUN = 200
"""status of an answer that the agent saw begin"""
QUIET = 1.0
"""seconds that an agent has said nothing before it counts as doing nothing but wait"""


class Watch(Struct, frozen=True):
    """What a turn is watched for.

    Args:
        idle: seconds of silence before a cancel.
        grace: seconds from a cancel to a kill.
        output: characters of one tool's output that are kept.
        loop: how often the same call may give the same answer, running.
    """

    idle: float
    grace: float
    output: int
    loop: int


class Turns:
    """Runs the turns of one session, one at a time.

    Args:
        record: the session.
        workplace: where it works.
        watch: what turns are watched for.
        allowance: the limits that bind the session.
    """

    def __init__(self, record: Record, workplace: Workplace, watch: Watch, allowance: Allowance) -> None:
        self._record = record
        self._workplace = workplace
        self._watch = watch
        self._allowance = allowance
        self.recorder = Recorder(record.log, record.id, watch.output, watch.loop)
        self._network = Network(self.recorder.put)
        spec, asking = workplace.spec, workplace.asking
        self.questions = Questions(record, self.recorder, spec, self.permissions, workplace.ceiling, asking=asking)
        self.hosts = Hosts(workplace.terms.policy, self.questions)
        self._cancel = asyncio.Event()
        self._park = asyncio.Event()
        self._cost_before = 0
        self._unpriced_before = 0
        self._set_aside = False
        self._warned = False
        self._why = ""
        self._broke: str | None = None
        self.note: str | None = None
        """what the next prompt has to tell the agent first"""

    def permissions(self) -> Permissions:
        """What the session is allowed now: what was said, else ask a person who holds it, allow inside the walls."""
        row = self._record.row
        if row.permissions is not None:
            return Permissions(row.permissions)
        walled = row.sandbox != SandboxKind.NONE
        return Permissions.ALLOW if walled and row.control == Control.AGENT else Permissions.ASK

    def cancel(self) -> None:
        """End the turn under way; `run` returns soon after."""
        self._cancel.set()

    def park(self) -> Parked:
        """Let the agent go while it waits for a person; the turn under way ends as parked, its questions stay open."""
        if self._park.is_set() or not self.questions.waiting:
            return Parked.GONE
        if self._workplace.spec.resume.how is Load.NONE:
            return Parked.KEPT
        if time.monotonic() - self._workplace.transcript.heard < QUIET:
            return Parked.BUSY
        self.questions.release()
        self._park.set()
        return Parked.GONE

    async def run(self, text: str, by: str, guard: Write | None = None) -> TurnEnd:
        """Run one turn with `text` as its prompt.

        Raises:
            Conflict: `guard` (the prompt leaves its queue) found nothing; no turn was begun.
            StorageFull: the log could not be written; the agent was killed.
        """
        self._cancel.clear()
        self._park.clear()
        self.questions.denied = False
        self._broke = None
        turn = self._record.row.turn + 1
        self._allowance.begin(anew=not self._set_aside)
        self._set_aside = False
        try:
            text = await self._begin(turn, text, by, guard)
            return await self._run(turn, text)
        finally:
            self._allowance.end()

    async def _run(self, turn: int, text: str) -> TurnEnd:
        started = time.monotonic()
        try:
            result = _named(await self._converse(text), self._workplace.provider)
            if result.stop_reason is StopReason.END_TURN and self.questions.asks_for_hosts:
                # the agent gave up on a place that a person has not answered for yet: the answer goes on from here
                self.questions.release()
                result = replace(result, stop_reason=StopReason.PARKED)
        except (StorageFull, Unavailable):
            await self._workplace.stop_agent(kill=True)
            raise
        except HandrailError as error:  # it could not be started: walls, login, provider
            result = TurnResult(StopReason.ERROR, str(error), "walls" if isinstance(error, SandboxError) else "agent")
        return await self._end(turn, result, time.monotonic() - started)

    async def stop(self) -> None:
        """Write what is left of the record."""
        self.questions.detach()
        await self.recorder.close()

    async def snapshot(self, turn: int) -> None:
        """Keep the workspace as it is after `turn`."""
        drafts, kept = await self._workplace.snapshot(turn)
        await self._record.write(*drafts, writes=kept)

    async def metered(self, call: ModelCall) -> None:
        """Keep one model call (`gateway.OnCall`)."""
        row = self._record.row
        self._broke = call.error if call.status == _BEGUN else None
        data = {
            "provider": call.provider,
            "model": call.model,
            "input_tokens": call.input_tokens,
            "cached_tokens": call.cached_tokens,
            "output_tokens": call.output_tokens,
            "cost_nano": call.cost,
            "status": call.status,
            "seconds": round(call.seconds, 3),
        }
        if call.partial:
            data["partial"] = True
        if call.error:
            data["error"] = call.error
        counted = call.cost is None and (call.input_tokens or call.output_tokens)
        await self._record.write(
            Draft(Kind.MODEL_CALLED, dict(data), self.recorder.turn),
            writes=(calls.insert(call, self.recorder.turn),),
            cost_nano=row.cost_nano + (call.cost or 0),
            unpriced=row.unpriced + (1 if counted else 0),
            input_tokens=row.input_tokens + call.input_tokens,
            cached_tokens=row.cached_tokens + call.cached_tokens,
            output_tokens=row.output_tokens + call.output_tokens,
        )

    async def _begin(self, turn: int, text: str, by: str, guard: Write | None) -> str:
        """Note that a turn begins; returns its prompt, with what has to be said of limits before it."""
        self._record.resting = False
        row = self._record.row
        near = None if row.wrap_told else self._allowance.near()
        drafts = []
        if near is not None:
            self._warned = True
            drafts.append(_warning(near))
            text = f"{told(near)}\n\n{text}"
        self._cost_before, self._unpriced_before = row.cost_nano, row.unpriced
        await self._record.write(
            *drafts,
            Draft(Kind.TURN_STARTED, {"turn": turn, "text": text, "by": by}, turn),
            writes=(turns.insert(self._record.id, turn, text=text, by=by, started=now()),),
            guard=guard,
            turn=turn,
            wrap_told=row.wrap_told or near is not None,
            state=SessionState.RUNNING,
        )
        self.recorder.begin(turn)
        return text

    async def _converse(self, text: str) -> TurnResult:
        self._workplace.asks = not self.questions.all_allowed
        agent = await self._ready()
        agent.link.asks = self._workplace.asks
        self._workplace.transcript.heard = time.monotonic()
        prompt = text if self.note is None else f"{self.note}\n\n{text}"
        self.note = None
        asked = asyncio.create_task(agent.link.prompt(prompt), name=f"prompt {self._record.id}")
        try:
            reason = await self._watched(agent, asked)
        except BaseException:
            asked.cancel()
            raise
        result = await asked
        self._workplace.transcript.flush()
        if reason is not None:
            error = self._why if reason in _STOPPED else result.error if reason is StopReason.TIMEOUT else None
            return TurnResult(reason, error, None, result.usage)
        return result

    async def _ready(self) -> RunningAgent:
        """The agent, started where it is not, with what it lost told and shown."""
        if self._workplace.agent is not None and self._workplace.agent.alive:
            return self._workplace.agent
        outside = Outside(self.hosts.judge, self._network.decided)
        agent = await self._workplace.start_agent(self.recorder.update, self.questions.ask, self.metered, outside)
        row = self._record.row
        drafts = []
        lost = agent.how == "lost" and row.turn > 1
        if lost:
            reason = f"{row.agent} could not load its session {row.agent_session}"
            drafts.append(Draft(Kind.MEMORY_LOST, {"reason": reason}, row.turn))
        drafts.append(
            Draft(
                Kind.AGENT_STARTED,
                {
                    "agent": row.agent,
                    "version": agent.capabilities.version,
                    "agent_session": agent.agent_session,
                    "how": "replayed" if lost else "loaded" if agent.how == "loaded" else "new",
                    "sandbox": row.sandbox,
                    "pid": agent.process.pid,
                },
                row.turn,
            )
        )
        await self._record.write(*drafts, agent_session=agent.agent_session)
        if lost:
            self.note = replay(await self._so_far()) + (self.note or "")
        elif row.turn > 1 and agent.how == "new":
            self.note = replay(await self._so_far(), UNHEARD) + (self.note or "")
        # where it was killed before it was told what was before, it loads a session that knows nothing
        if (before := await origin.told(self._record.log, row.id)) and (
            agent.how != "loaded" or not heard(await self._so_far())
        ):
            self.note = before + (self.note or "")
        return agent

    async def _so_far(self) -> list[Event]:
        """The end of the log up to the turn under way."""
        last = await self._record.log.last_seq(self._record.id)
        events = await self._record.log.read(self._record.id, after=max(0, last - 3000), limit=3000)
        return [event for event in events if event.turn != self._record.row.turn]

    async def _watched(self, agent: RunningAgent, asked: asyncio.Task[TurnResult]) -> StopReason | None:
        """Wait for the prompt; end it when it falls silent or a person says so. Returns why, where we ended it.

        Raises:
            StorageFull: what the agent does can no longer be recorded.
        """
        writing = self.recorder.writing
        waits = [asyncio.create_task(event.wait()) for event in (self._cancel, self._park, self.recorder.circle)]
        cancelled, parked, circling = waits
        try:
            while True:
                await self._something({asked, writing, *waits})
                if writing.done():
                    writing.result()
                if asked.done():
                    return StopReason.CANCELLED if cancelled.done() else None
                if cancelled.done():
                    await self._end_early(agent, asked)
                    return StopReason.CANCELLED
                if parked.done():
                    await self._workplace.stop_agent(kill=True)
                    await asyncio.wait({asked}, timeout=self._watch.grace)
                    return StopReason.PARKED
                if circling.done():
                    self._why = self.recorder.circling
                    await self._end_early(agent, asked)
                    return StopReason.LOOP
                if self._patience_left() <= 0:
                    self.recorder.put(Kind.WATCHDOG_FIRED, {"idle": self._watch.idle, "act": "cancel"})
                    await self._end_early(agent, asked, watchdog=True)
                    return StopReason.TIMEOUT
                await self._record.keep_time()
                if (reason := self._limited()) is not None:
                    await self._end_early(agent, asked)
                    return reason
        finally:
            for wait in waits:
                wait.cancel()

    async def _something(self, waits: set[asyncio.Task[Any]]) -> None:
        """Wait until one of `waits` is done, or it is time to look at the clock or at the limits."""
        left = self._patience_left()
        timeout = max(0.01, min(_WATCH_STEP if left < 1 else left, _LIMITS_STEP))  # a limit may be set at any time
        if not self._allowance.binding:
            await asyncio.wait(waits, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
            return
        pause = asyncio.create_task(self.recorder.pause.wait())
        await asyncio.wait({*waits, pause}, timeout=timeout, return_when=asyncio.FIRST_COMPLETED)
        pause.cancel()

    def _limited(self) -> StopReason | None:
        """Whether a limit ends the turn: at its end, or to tell the agent of it, in a pause between two tool calls."""
        pause = self.recorder.pause.is_set()
        self.recorder.pause.clear()
        if self.questions.waiting:
            return None
        over = self._allowance.over()
        if over is not None:
            self._why = over
            self.recorder.put(Kind.NOTICE, {"level": "warning", "text": f"{over}: the turn is ended"})
            return StopReason.BUDGET
        row = self._record.row
        if row.wrap_told or (near := self._allowance.near()) is None:
            return None
        if row.control != Control.AGENT:  # a person sees it, and the agent hears of it with their next prompt
            if not self._warned:
                self._warned = True
                self.recorder.put(Kind.NOTICE, _warning(near).data)
            return None
        if not pause:
            return None
        self._set_aside = True
        return StopReason.WRAP_UP

    def _patience_left(self) -> float:
        if self.questions.waiting:  # a person may take days
            return self._watch.idle
        return self._watch.idle - (time.monotonic() - self._workplace.transcript.heard)

    async def _end_early(self, agent: RunningAgent, asked: asyncio.Task[TurnResult], *, watchdog: bool = False) -> None:
        await self.questions.withdraw()
        await agent.link.cancel()
        await asyncio.wait({asked}, timeout=self._watch.grace)
        if not asked.done():
            if watchdog:
                self.recorder.put(Kind.WATCHDOG_FIRED, {"idle": self._watch.idle, "act": "kill"})
            await self._workplace.stop_agent(kill=True)
            await asyncio.wait({asked}, timeout=self._watch.grace)
            if not asked.done():
                asked.cancel()

    async def _end(self, turn: int, result: TurnResult, seconds: float) -> TurnEnd:
        self.recorder.settle()
        self._network.settle()
        parked = result.stop_reason is StopReason.PARKED
        if not parked and (result.stop_reason is not StopReason.CANCELLED or not self.questions.waiting):
            await self.questions.withdraw()
        await self.recorder.drain()
        await self._workplace.paid()
        if self._broke and result.stop_reason is StopReason.END_TURN:
            result = _named(_cut(result, self._broke), self._workplace.provider)
        drafts, kept = await self._workplace.snapshot(turn)
        exit_ = None
        agent = self._workplace.agent
        if agent is not None and not agent.alive:
            exit_ = agent.ended.result()
            await self._workplace.stop_agent(kill=True)
        row = self._record.row
        data: dict[str, object] = {
            "turn": turn,
            "stop_reason": result.stop_reason,
            "tools": self.recorder.tools,
            "seconds": round(seconds, 3),
        } | self._record.cost(row.cost_nano - self._cost_before, row.unpriced - self._unpriced_before)
        if result.error:
            data["error"] = result.error
            data["error_kind"] = result.error_kind or "agent"
        if exit_ is not None:
            drafts.append(Draft(Kind.AGENT_ENDED, {"code": exit_.code, "reason": exit_.reason}, turn))
        drafts.append(Draft(Kind.TURN_ENDED, data, turn))
        pursued = self._record.pursues
        last = await _last(self._record, result.stop_reason)
        changes = SessionChanges(state=SessionState.IDLE) if last else SessionChanges()
        if pursued and result.stop_reason not in _UNCOUNTED:
            changes["goal_turns"] = self._record.row.goal_turns + 1
        await self._record.write(
            *drafts,
            **changes,
            writes=(
                *kept,
                turns.end(
                    self._record.id,
                    turn,
                    ended=now(),
                    stop_reason=result.stop_reason,
                    error=result.error,
                    cost_nano=row.cost_nano - self._cost_before,
                    unpriced=row.unpriced - self._unpriced_before,
                    seconds=seconds,
                ),
            ),
        )
        denied = self.questions.denied or await self._refused(turn)
        return TurnEnd(result.stop_reason, result.error, result.error_kind, denied, self.recorder.tools, pursued)

    async def _refused(self, turn: int) -> bool:
        """Whether a person refused something while a turn that led to this one was parked."""
        first = await turns.begun_by(self._record.store, self._record.id, turn)
        return first < turn and await approvals.denied_since(self._record.store, self._record.id, first)


async def _last(record: Record, reason: StopReason) -> bool:
    """Whether the session rests after the turn that ends now for this `reason`.

    The event of the end then says so in the same write: faces look at the session when an event comes, and no event
    tells of a rest that comes later.
    """
    if reason is StopReason.PARKED or record.pursues:
        return False
    record.resting = await prompts.head(record.store, record.id) is None
    return record.resting


def _warning(near: str) -> Draft:
    return Draft(Kind.NOTICE, {"level": "warning", "text": f"{near} are used up: the agent is told to wrap up"})


def _cut(result: TurnResult, why: str) -> TurnResult:
    """What a turn came to whose last answer the provider broke off: some agents take half of one for the whole."""
    return replace(
        result, stop_reason=StopReason.ERROR, error=f"its last answer broke off: {why}", error_kind="provider"
    )


def _named(result: TurnResult, provider: str | None) -> TurnResult:
    """The result, a failure of the model provider told with its name: an agent only knows the gateway.

    With a login there is none of ours: what the agent says of its vendor stands as it is.
    """
    if result.error is None or provider is None or result.error_kind not in ("auth", "limit", "provider"):
        return result
    return replace(result, error=f"model provider {provider}: {result.error}")
