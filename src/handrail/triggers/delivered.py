"""Checks that fail at a forge on what Handrail had delivered: the workflow behind it is trusted less, once for each."""

from __future__ import annotations

from collections.abc import Callable

from msgspec import Struct

from handrail.automation import EffectState
from handrail.clean import one_line
from handrail.notify import Notice, Occasion
from handrail.runs import plan as plans
from handrail.runs import trust
from handrail.store import effects as effect_rows
from handrail.store import runs as run_rows
from handrail.store import workflows as workflow_rows
from handrail.store.arrivals import ArrivalRow
from handrail.store.effects import EffectRow
from handrail.store.engine import Store
from handrail.store.log import Write
from handrail.triggers import fields
from handrail.types import Json

Tell = Callable[[Notice, str, tuple[str, ...]], tuple[Write, ...]]
"""how people are told: of what, once for which key, over which channels (none named: all)"""
CHECK_FAILED = "check_failed"
"""the cause that a delivery bears from then on"""
_BAD = frozenset({"failure", "timed_out", "startup_failure", "error"})
_ABOUT = ("check_run", "check_suite", "workflow_run")


class FailedCheck(Struct, frozen=True):
    """A check that failed at a forge."""

    name: str
    repository: str
    commit: str
    branches: tuple[str, ...]


def failed_check(row: ArrivalRow) -> FailedCheck | None:
    """The failed check that an event tells of, in GitHub's words; None of any other event."""
    if row.repository is None:
        return None
    if row.event == "status":
        listed = row.payload.get("branches")
        names = [fields.text(one, "name") for one in listed] if isinstance(listed, list) else []
        state, name, commit = (fields.text(row.payload, key) for key in ("state", "context", "sha"))
    elif row.event in _ABOUT:
        state, name, commit = (fields.text(row.payload, row.event, key) for key in ("conclusion", "name", "head_sha"))
        above = (row.event, "check_suite") if row.event == "check_run" else (row.event,)
        names = [fields.text(row.payload, *above, "head_branch")]
    else:
        return None
    if state not in _BAD or not commit:
        return None
    return FailedCheck(name or row.event, row.repository, commit, tuple(one for one in names if one))


async def consequences(store: Store, row: ArrivalRow, tell: Tell) -> tuple[Write, ...]:
    """What an event means for the trust of the workflows whose deliveries it is about; written with its settling.

    People are told: the run that delivered has ended long since, and nobody watches it.
    """
    failed = failed_check(row)
    if failed is None:
        return ()
    writes: list[Write] = []
    fallen: set[str] = set()
    for effect in await effect_rows.delivered(store):
        if not _is_about(failed, effect) or effect.cause is not None or effect.workflow is None:
            continue
        why = f"{one_line(failed.name, 200)} failed in {failed.repository} on what it had delivered"
        writes.append(effect_rows.adjust(effect.id, EffectState.CARRIED, cause=CHECK_FAILED, reason=why))
        workflow = await workflow_rows.find(store, effect.workflow)
        if workflow is None or workflow.name in fallen:
            continue
        fallen.add(workflow.name)
        writes.append(trust.fall(workflow, why, row.received))
        told: Json = {"from": workflow.trust, "to": trust.below(workflow.trust), "reason": why}
        runs = [] if effect.run is None else await run_rows.those(store, [effect.run])
        if effect.run is not None:
            writes.append(run_rows.told(effect.run, "trust.fell", told, effect.task))
        detail = f"{why}: it is {told['to']} from now on"
        notice = Notice(
            occasion=Occasion.TRUST, title=workflow.name, detail=detail, facts={**told, "effect": effect.id}
        )
        channels = plans.from_json(runs[0].plan).notify if runs else ()
        writes += tell(notice, f"trust:{workflow.name}:{row.id}", channels)
    return tuple(writes)


def _is_about(failed: FailedCheck, effect: EffectRow) -> bool:
    """Whether a delivery is what the check looked at: its commit, or its branch in the same repository."""
    ids = (effect.receipt or {}).get("ids")
    commits = {effect.body.get("commit"), ids.get("commit") if isinstance(ids, dict) else None}
    if failed.commit in commits:
        return True
    branch = effect.body.get("branch") or effect.body.get("head")
    return effect.body.get("repository") == failed.repository and branch in failed.branches
