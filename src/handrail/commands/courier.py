"""Carries out approved effects that belong to no run, each until it is done or can never be.

An effect is in one hand at a time: who takes it raises its epoch and holds it until a moment that is moved on while the
work goes on. A hand that died loses it when that moment comes; the next one looks first whether it was done. What fails
in passing is tried again, later each time; what fails for good says why.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
from datetime import timedelta
from pathlib import Path

from msgspec.structs import replace

from handrail.automation import EffectState
from handrail.clean import one_line
from handrail.errors import Conflict, HandrailError
from handrail.kinds import Kind
from handrail.loop import Loop
from handrail.notify import Notice, Occasion
from handrail.runs.rooms import Carried, Carrier, Refused
from handrail.runs.verdict import FORGE, Pace
from handrail.sessions.patience import Tell
from handrail.store import effects as rows
from handrail.store import sessions as session_rows
from handrail.store.effects import EffectRow
from handrail.store.engine import Store
from handrail.store.log import Draft, Write
from handrail.types import EffectId, now
from handrail.workspaces.layout import results_of

_log = logging.getLogger(__name__)

LEASE = 60.0
"""seconds that an effect is held without a sign of life"""
FALLBACK = 15.0
"""seconds until the next look after one that failed"""
LONGEST_SLEEP = 3600.0
PACE = Pace(forge=15.0, longest=3600.0)


class Courier:
    """See the module.

    Args:
        store: the database.
        data: the data directory, which holds the commits to push.
        carrier: carries one effect out, at most once however often it is asked.
        tell: how people are told of what failed for good.
        pace: how long to wait between tries.
    """

    def __init__(self, store: Store, data: Path, carrier: Carrier, tell: Tell, pace: Pace = PACE) -> None:
        self._store = store
        self._data = data
        self._carrier = carrier
        self._tell = tell
        self._pace = pace
        self._going: dict[EffectId, asyncio.Task[None]] = {}
        self._loop = Loop("approved effects", self._look, retry=FALLBACK)

    async def start(self) -> None:
        """Take up what the last server left: one server has the data directory, so nobody else holds any of it."""
        for row in await rows.alone(self._store):
            if row.state is EffectState.CARRYING:
                with contextlib.suppress(Conflict):
                    await self._store.log.write(guard=rows.settle(row, due=now()))
        self._loop.start()

    async def stop(self) -> None:
        """Let go of everything; the next server looks what became of it."""
        await self._loop.stop()  # first: it begins tries
        going = list(self._going.values())
        for task in going:
            task.cancel()
        await asyncio.gather(*going, return_exceptions=True)

    async def carry(self, effect: EffectId) -> None:
        """Try an effect now, and wait for what comes of this try. Who stops waiting does not stop the try."""
        await asyncio.wait({self._begin(await rows.get(self._store, effect))})

    # --- one try ------------------------------------------------------------------------------------------------------

    def _begin(self, row: EffectRow) -> asyncio.Task[None]:
        going = self._going.get(row.id)
        if going is None:
            going = self._going[row.id] = asyncio.create_task(self._try(row), name=f"courier of {row.id}")
            going.add_done_callback(lambda _: self._going.pop(row.id, None))
        return going

    async def _try(self, row: EffectRow) -> None:
        try:
            await self._store.log.write(guard=rows.take(row, now() + timedelta(seconds=LEASE)))
            row = replace(row, state=EffectState.CARRYING, epoch=row.epoch + 1, tries=row.tries + 1)
            await self._came(row, await self._held(row))
            self._loop.wake()
        except Conflict:
            pass  # another hand has it, or it was taken back
        except HandrailError as error:  # the store fails: the effect is due again when its time has run out
            _log.warning("effect %s is tried again: %s", row.id, error)
            asyncio.get_running_loop().call_later(FALLBACK, self._loop.wake)

    async def _held(self, row: EffectRow) -> Carried | Refused:
        """Carry out while the effect is held; raises Conflict once another has it."""
        work = asyncio.create_task(self._carrier.carry(row, await self._results(row)))
        try:
            while not (await asyncio.wait({work}, timeout=LEASE / 3))[0]:
                until = now() + timedelta(seconds=LEASE)
                await self._store.log.write(guard=rows.settle(row, due=until))
            return work.result()
        except Conflict:
            raise
        except Exception:  # noqa: BLE001  # the edge of all tries: one that breaks must not stop the others
            _log.exception("carrying effect %s out broke", row.id)
            return Refused("handrail", "Handrail itself failed at it; its log says how", passing=True)
        finally:
            if not work.done():
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)

    async def _results(self, row: EffectRow) -> Path:
        if row.session is None:
            return self._data
        session = await session_rows.get(self._store, row.session)
        return results_of(self._data, session.repository_key)

    async def _came(self, row: EffectRow, of: Carried | Refused) -> None:
        """Keep the receipt, or when it is tried again, or why it never will be."""
        named = f"{row.kind.replace('_', ' ')} in {one_line(row.target)}"
        if isinstance(of, Carried):
            ended = rows.settle(
                row, state=EffectState.CARRIED, receipt=of.receipt, carried=now(), due=None, cause=None,
                reason=None,
            )  # fmt: skip
            return await self._write(row, ended, f"carried out: {named}")
        if of.passing:
            seconds = self._pace.of(FORGE, row.tries) * random.uniform(0.8, 1.2)  # noqa: S311  # spreads tries, no secret
            wait = timedelta(seconds=max(0.0 if of.waits else seconds, of.wait or 0.0))
            again = rows.settle(row, state=EffectState.APPROVED, due=now() + wait, cause=of.cause, reason=of.reason)
            said = f"{named} is tried again: {of.reason}" if row.tries == 1 else None
            return await self._write(row, again, said, level="warning")
        failed = rows.settle(row, state=EffectState.FAILED, due=None, cause=of.cause, reason=of.reason)
        facts = {"effect": row.id, "cause": of.cause}
        told = self._tell(Notice(Occasion.FAILED, named, of.reason, row.session, facts=facts), f"failed:{row.id}")
        return await self._write(row, failed, f"failed: {named}: {of.reason}", *told, level="error")

    async def _write(self, row: EffectRow, guard: Write, said: str | None, *more: Write, level: str = "info") -> None:
        if said is None or row.session is None:
            await self._store.log.write(*more, guard=guard)
        else:
            notice = Draft(Kind.NOTICE, {"level": level, "text": said})
            await self._store.log.append(row.session, [notice], *more, guard=guard)

    # --- carrying on --------------------------------------------------------------------------------------------------

    async def _look(self) -> float:
        """Begin what is due; returns the seconds until something else is."""
        for row in await rows.due(self._store, now()):
            if row.id not in self._going:
                self._begin(row)
        due = await rows.next_due(self._store)
        wait = LONGEST_SLEEP if due is None else (due - now()).total_seconds()
        return max(1.0, min(wait, LONGEST_SLEEP))
