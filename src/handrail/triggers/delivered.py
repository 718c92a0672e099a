"""What becomes of a delivery at its forge: a check that fails on it, a person who closes its pull request unmerged.

The workflow behind it is trusted less, once for each.
"""

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
from handrail.store.workflows import WorkflowRow
from handrail.triggers import fields
from handrail.types import Json

Tell = Callable[[Notice, str, tuple[str, ...]], tuple[Write, ...]]
"""how people are told: of what, once for which key, over which channels (none named: all)"""
CHECK_FAILED = "check_failed"
CLOSED = "closed_unmerged"
"""the causes that a delivery bears from then on"""
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


class ClosedUnmerged(Struct, frozen=True):
    """A pull request that a person did not want."""

    by: str
    """nobody's name where a poll cannot tell"""
    repository: str
    number: int
    url: str


def closed_unmerged(row: ArrivalRow) -> ClosedUnmerged | None:
    """The pull request that a person closed without merging it, in GitHub's words; None of any other event.

    What an automaton closes (a merge queue, a sweeper of old ones) says nothing about the result.
    """
    if row.repository is None or not fields.gave_up(row.event, row.action, row.payload):
        return None
    pull = fields.at(row.payload, "pull_request")
    url, number = fields.text(pull, "html_url"), fields.number(pull, "number")
    automaton = fields.text(row.payload, "sender", "type") == "Bot" or (row.sender or "").endswith("[bot]")
    if url is None or number is None or automaton:
        return None
    return ClosedUnmerged(row.sender or "", row.repository, number, url)


async def consequences(store: Store, row: ArrivalRow, tell: Tell) -> tuple[Write, ...]:
    """What an event means for the trust of the workflows whose deliveries it is about; written with its settling.

    People are told: the run that delivered has ended long since, and nobody watches it.
    """
    if (failed := failed_check(row)) is not None:
        about = [effect for effect in await effect_rows.delivered(store) if _is_about(failed, effect)]
        why = f"{one_line(failed.name, 200)} failed in {failed.repository} on what it had delivered"
        cause = CHECK_FAILED
    elif (closed := closed_unmerged(row)) is not None:
        about = await effect_rows.opened(store, closed.url)
        if any(effect.cause == CLOSED for effect in about):  # it was opened again meanwhile, and its work went on
            return ()
        why = f"{one_line(closed.by, 200) or 'somebody'} closed {closed.repository}#{closed.number} unmerged"
        cause = CLOSED
    else:
        return ()
    writes: list[Write] = []
    fallen: set[str] = set()
    for effect in about:
        if effect.cause is not None or effect.workflow is None:
            continue
        writes.append(effect_rows.adjust(effect.id, EffectState.CARRIED, cause=cause, reason=why))
        workflow = await workflow_rows.find(store, effect.workflow)
        if workflow is None or workflow.name in fallen:
            continue
        fallen.add(workflow.name)
        writes += await _falls(store, row, tell, workflow=workflow, effect=effect, why=why)
    return tuple(writes)


async def _falls(
    store: Store, row: ArrivalRow, tell: Tell, *, workflow: WorkflowRow, effect: EffectRow, why: str
) -> tuple[Write, ...]:
    told: Json = {"from": workflow.trust, "to": trust.below(workflow.trust), "reason": why}
    runs = [] if effect.run is None else await run_rows.those(store, [effect.run])
    said = () if effect.run is None else (run_rows.told(effect.run, "trust.fell", told, effect.task),)
    detail = f"{why}: it is {told['to']} from now on"
    notice = Notice(occasion=Occasion.TRUST, title=workflow.name, detail=detail, facts={**told, "effect": effect.id})
    channels = plans.from_json(runs[0].plan).notify if runs else ()
    told_to = tell(notice, f"trust:{workflow.name}:{row.id}", channels)
    return trust.fall(workflow, why, row.received), *said, *told_to


def _is_about(failed: FailedCheck, effect: EffectRow) -> bool:
    """Whether a delivery is what the check looked at: its commit, or its branch in the same repository."""
    ids = (effect.receipt or {}).get("ids")
    commits = {effect.body.get("commit"), ids.get("commit") if isinstance(ids, dict) else None}
    if failed.commit in commits:
        return True
    branch = effect.body.get("branch") or effect.body.get("head")
    return effect.body.get("repository") == failed.repository and branch in failed.branches
