"""Towards a goal: after each turn of a handed-off session checks are run, and what follows is decided and recorded."""

from __future__ import annotations

import asyncio

from handrail.errors import HandrailError, StorageFull, Unavailable
from handrail.kinds import Kind
from handrail.notify import Notice, Occasion
from handrail.sessions.goals import CheckResult, Continue, Reached, Standing, TurnEnd, decide, wants_checks
from handrail.sessions.record import Record
from handrail.sessions.rooms import Rooms
from handrail.sessions.summary import last_words
from handrail.sessions.workplace import Workplace
from handrail.store.log import Draft
from handrail.types import Control, Goal, Json, Outcome, SessionState, StopReason

_TAIL = 1000
"""events that are looked through for the agent's last words"""


class Pursuit:
    """Carries out what `goals.decide` says.

    Args:
        rooms: the rooms below.
        record: the session.
        workplace: where its checks run.
    """

    def __init__(self, rooms: Rooms, record: Record, workplace: Workplace) -> None:
        self._rooms = rooms
        self._record = record
        self._workplace = workplace
        self.failures = 0
        """turns in a row that failed"""
        self._still = 0
        self._head: str | None = None

    async def after(self, goal: Goal, end: TurnEnd) -> str | None:
        """After a turn: run the checks; returns the next prompt, or None when the work has ended or was taken back."""
        failed = bool(end.error) or end.stop_reason in (StopReason.TIMEOUT, StopReason.INTERRUPTED)
        self.failures = self.failures + 1 if failed else 0
        try:
            results = await self._checks(goal) if wants_checks(end) else ()
            change = await self._workplace.change()
        except (StorageFull, Unavailable):
            raise
        except HandrailError as error:
            await self._reached(Reached(Outcome.BLOCKED, "walls", str(error)), (), 0, [])
            return None
        row = self._record.row
        if row.control != Control.AGENT:  # taken back while the checks ran
            return None
        self._still = 0 if end.tools or change.head != self._head else self._still + 1
        self._head = change.head
        spent = self._rooms.gateway.exhausted(row.id)
        standing = Standing(
            turns=row.goal_turns,
            failures=self.failures,
            seconds=self._record.watch.seconds,
            spent_out=spent is not None,
            empty=not change.files,
            still=self._still,
            spent=spent or "the budget is spent",
        )
        match decide(goal, end, results, standing):
            case Continue() as more:
                if more.fresh:
                    await self._workplace.stop_agent(kill=True)
                if more.delay:
                    await asyncio.sleep(more.delay)
                return more.prompt
            case Reached() as reached:
                flagged: list[Json] = [{"path": file.path, "reason": file.flag} for file in change.files if file.flag]
                await self._reached(reached, results, len(change.files), flagged)
                return None

    async def _checks(self, goal: Goal) -> tuple[CheckResult, ...]:
        results: list[CheckResult] = []
        turn = self._record.row.turn
        for number, check in enumerate(goal.checks, 1):
            base = {"check": number, "command": check.command}
            await self._record.write(Draft(Kind.CHECK_STARTED, dict(base), turn))
            result = await self._workplace.run_check(check)
            results.append(result)
            data = base | {
                "code": result.result.code,
                "passed": result.passed,
                "output": result.output(20_000),
                "seconds": round(result.result.seconds, 3),
            }
            if result.result.timed_out:
                data["timed_out"] = True
            await self._record.write(Draft(Kind.CHECK_ENDED, data, turn))
        return tuple(results)

    async def broke(self, reason: str) -> None:
        """Handrail itself failed in the midst of it: whoever waits for an outcome hears of that."""
        await self._reached(Reached(Outcome.FAILED, "handrail", reason), (), 0, [])

    async def _reached(
        self, reached: Reached, results: tuple[CheckResult, ...], files: int, flagged: list[Json]
    ) -> None:
        row = self._record.row
        checks = [{"command": item.check.command, "passed": item.passed, "code": item.result.code} for item in results]
        data: dict[str, object] = {
            "outcome": reached.outcome,
            "cause": reached.cause,
            "reason": reached.reason,
            "checks": checks,
            "turns": row.goal_turns,
            "files": files,
            "flagged": flagged,
        } | self._record.cost(row.cost_nano - row.goal_spent_nano)
        account = self._rooms.gateway.accounts.get(row.id)
        if reached.cause == "limit" and account is not None and account.resets is not None:
            data["resets"] = account.resets.isoformat()
        if reached.cause == "budget_spent":  # what the agent said when it was told to come to an end
            log, last = self._record.log, await self._record.log.last_seq(row.id)
            if words := last_words(await log.read(row.id, after=max(0, last - _TAIL), limit=_TAIL)):
                data["summary"] = words
        told = Notice(
            occasion=Occasion.OUTCOME,
            title=row.title or (row.goal.text if row.goal is not None else row.id),
            detail=reached.reason,
            session=row.id,
            agent=row.agent,
            outcome=reached.outcome.value,
            facts={key: data[key] for key in ("cause", "turns", "cost_nano", "metered", "files") if key in data},
        )
        drafts = [Draft(Kind.OUTCOME_REACHED, data, row.turn)]
        drafts.append(Draft(Kind.CONTROL_CHANGED, {"control": Control.YOU, "by": "handrail"}, row.turn))
        await self._record.write(
            *drafts,
            writes=()
            if reached.outcome is Outcome.CANCELLED or row.key is not None  # its maker tells of the whole
            else self._rooms.tell(told, f"outcome:{row.id}:{row.turn}"),
            outcome=Outcome(reached.outcome),
            outcome_reason=reached.reason,
            control=Control.YOU,
            state=SessionState.IDLE,
        )
        self._rooms.settled(row.id)
