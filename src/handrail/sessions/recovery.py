"""What a crash left behind: told in the log, settled, and taken up again where the work was handed off."""

from __future__ import annotations

from datetime import datetime

from handrail.kinds import Kind
from handrail.sessions.actor import Actor
from handrail.sessions.goals import RESUME_PROMPT, answered_prompt, first_prompt
from handrail.sessions.record import Record
from handrail.store import approvals, prompts, turns
from handrail.store.log import Draft, Write
from handrail.store.turns import TurnRow
from handrail.types import Control, Event, SessionState, StopReason

_HEARD = frozenset({Kind.AGENT_TEXT, Kind.AGENT_THOUGHT, Kind.TOOL_STARTED, Kind.MODEL_CALLED, Kind.PLAN_UPDATED})
_TAIL = 5000

RESTARTED = "Handrail or this machine was restarted in the middle of the turn"
ELSEWHERE = "another server of this database took the work of this one over, or ended it"
NO_ROOM = "no room was left in the data directory in the middle of the turn"
NO_DATABASE = "the database could not be used in the middle of the turn"


async def recover(actor: Actor, why: str = RESTARTED) -> None:
    """Settle the turn that was cut off, keep its open questions, and go on when the session was handed off.

    Raises:
        StorageFull: there is no room to write what was found; nothing was changed.
    """
    record = actor.record
    row = record.row
    begun = await turns.get(record.store, row.id, row.turn)
    open_turn = begun if begun is not None and begun.ended is None else None
    last = await record.log.last_seq(row.id)
    tail = await record.log.read(row.id, after=max(0, last - _TAIL), limit=_TAIL)
    drafts: list[Draft] = []
    writes: list[Write] = []
    if open_turn is not None:
        drafts, ended = _cut_off(record, open_turn, tail, why)
        writes.append(ended)
    if why is NO_ROOM:
        text = "no room was left in the data directory: the session stopped there, and goes on from what its log holds"
        drafts.append(Draft(Kind.NOTICE, {"level": "error", "text": text}))
    handed_off = row.control == Control.AGENT and row.goal is not None and row.outcome is None
    asked = await approvals.open_of(record.store, row.id)
    state = SessionState.WAITING if asked else SessionState.RUNNING if handed_off else SessionState.IDLE
    await record.write(*drafts, writes=tuple(writes), state=state, epoch=row.epoch + 1)
    if open_turn is not None:
        await actor.keep_state(open_turn.turn)
    answered = await approvals.unused_of(record.store, row.id, row.turn)
    if answered:
        last_one = answered[-1]
        actor.wake(resume=answered_prompt(last_one.title, allowed=last_one.decision == "allow"))
    elif asked:
        actor.held = True
    elif handed_off and row.goal is not None:
        actor.wake(resume=RESUME_PROMPT if _heard(tail) else first_prompt(row.goal))
    elif row.turn == 0 and await prompts.head(record.store, row.id) is not None:
        actor.wake()  # its first prompt was taken, and not begun


def _cut_off(record: Record, begun: TurnRow, tail: list[Event], why: str) -> tuple[list[Draft], Write]:
    """How a turn ended that nobody ended: the events and the row."""
    of_it = [event for event in tail if event.turn == begun.turn]
    called = [event.data for event in of_it if event.kind == Kind.MODEL_CALLED]
    cost = sum(int(str(data.get("cost_nano") or 0)) for data in called)
    unpriced = sum(1 for data in called if data.get("cost_nano") is None and data.get("output_tokens"))
    heard = tail[-1].time if tail else begun.started
    seconds = _between(begun.started, heard)
    data: dict[str, object] = {
        "turn": begun.turn,
        "stop_reason": StopReason.INTERRUPTED,
        "error": why,
        "error_kind": "agent",
        "tools": sum(1 for event in of_it if event.kind == Kind.TOOL_STARTED),
        "seconds": seconds,
    } | record.cost(cost, unpriced)
    ended = turns.end(
        record.id,
        begun.turn,
        ended=heard,
        stop_reason=StopReason.INTERRUPTED,
        error=why,
        cost_nano=cost,
        unpriced=unpriced,
        seconds=seconds,
    )
    return [*_settled(tail, begun.turn), Draft(Kind.TURN_ENDED, data, begun.turn)], ended


def _settled(tail: list[Event], turn: int) -> list[Draft]:
    """Ends for the tool calls of `turn` that have none: whether they took effect is not known."""
    calls: dict[str, Event] = {}
    for event in tail:
        if event.turn == turn and event.kind == Kind.TOOL_STARTED:
            calls[str(event.data.get("call"))] = event
        elif event.kind == Kind.TOOL_ENDED:
            calls.pop(str(event.data.get("call")), None)
    return [
        Draft(
            Kind.TOOL_ENDED,
            {"call": call, "status": "interrupted", "seconds": _between(event.time, tail[-1].time)},
            turn,
        )
        for call, event in calls.items()
    ]


def _between(begun: datetime, heard: datetime) -> float:
    """Seconds until the log was last heard of, by the clock of the machine, which may have been set back meanwhile."""
    return round(max(0.0, (heard - begun).total_seconds()), 3)


def _heard(tail: list[Event]) -> bool:
    """Whether the agent has been heard since the goal was set, and so was told of it."""
    for event in reversed(tail):
        if event.kind in _HEARD:
            return True
        if event.kind == Kind.GOAL_SET:
            return False
    return True
