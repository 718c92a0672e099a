"""Carrying out the effects of a task, by the hand that holds it: noted as under way, then with what came of it."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Sequence
from pathlib import Path

from msgspec.structs import replace

from handrail.automation import EffectState, Step
from handrail.errors import Conflict
from handrail.runs import adopt
from handrail.runs.rooms import Carried, Refused, Rooms
from handrail.store import effects as effect_rows
from handrail.store import runs as run_rows
from handrail.store.effects import EffectRow
from handrail.store.runs import RunRow
from handrail.store.tasks import TaskRow
from handrail.types import Json

ANSWER = 8.0
"""seconds that whoever stops a task waits for the answer to an effect that is under way"""


class Fenced(Exception):  # no error: the task is well, in another hand
    """Another hand has claimed the task since, or wants it: whoever sees this lets go of it."""


class Delivery:
    """Carries out effects of one task.

    Args:
        rooms: the rooms below.
        run: that the task belongs to.
    """

    def __init__(self, rooms: Rooms, run: RunRow) -> None:
        self._rooms = rooms
        self._run = run
        self._leaving = False
        self._answered = asyncio.Event()
        self._answered.set()

    async def let_go(self) -> None:
        """Carry out no further effect; returns when what came of the one under way is kept, or after `ANSWER`."""
        self._leaving = True
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(ANSWER):
                await self._answered.wait()

    async def carry_out(
        self, task: TaskRow, rows: Sequence[EffectRow], source: Path
    ) -> tuple[EffectRow, Refused] | None:
        """Carry out effects in order, up to the first that is refused, which is given.

        Args:
            task: as it was claimed.
            rows: its effects that may be carried out.
            source: the bare repository that holds their commits.

        Raises:
            Fenced: somebody else holds the task, or wants it.
        """
        for row in rows:
            if self._leaving:
                raise Fenced
            came = await self._carry(task, row, source)
            if isinstance(came, Refused):
                return row, came
        return None

    async def _carry(self, task: TaskRow, row: EffectRow, source: Path) -> Carried | Refused:
        self._answered.clear()
        try:
            try:
                await self._rooms.store.log.write(guard=effect_rows.begin(row.id, task.id, task.epoch))
            except Conflict as error:
                raise Fenced from error
            came = await self._rooms.carrier.carry(replace(row, tries=row.tries + 1), source)
            if isinstance(came, Carried):
                await self.came(task, row, came)
            return came
        finally:
            self._answered.set()

    async def came(self, task: TaskRow, row: EffectRow, of: Carried | Refused) -> None:
        """Keep the receipt of an effect, or why it was refused for good."""
        said: Json = {"effect": row.id, "kind": row.kind, "target": row.target}
        if isinstance(of, Carried):
            kind, said = "effect.carried", said | {"receipt": of.receipt}
            at = self._rooms.clock()
            change = effect_rows.change(
                row.id, EffectState.CARRYING, state=EffectState.CARRIED, receipt=of.receipt, carried=at, due=None
            )
        else:
            kind, said = "effect.failed", said | {"cause": of.cause, "reason": of.reason}
            before = task.step is Step.PROPOSE  # of what the task was before a person took it
            state, cause = (EffectState.REJECTED, adopt.SUPERSEDED) if before else (EffectState.FAILED, of.cause)
            change = effect_rows.change(row.id, EffectState.CARRYING, state=state, cause=cause, reason=of.reason)
        await self._rooms.store.log.write(run_rows.told(self._run.id, kind, said, task.id), guard=change)
