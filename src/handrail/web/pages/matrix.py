"""A run as a matrix: a row a repository, a column a step, each cell a word that its evidence gives."""

from __future__ import annotations

from collections.abc import Sequence

from msgspec import Struct

from handrail.automation import EffectState, Step, TaskState
from handrail.commands.runs import Task
from handrail.types import Outcome

STEPS = (Step.PREPARE, Step.WORK, Step.CHECK, Step.PROPOSE, Step.GATE, Step.DELIVER)
_ORDER = tuple(Step)
_GOOD = frozenset({Outcome.DONE, Outcome.NOTHING_TO_DO})
_HELD = {TaskState.PARKED: "waits", TaskState.TAKEN: "taken", TaskState.QUEUED: "queued"}
_DECIDED = frozenset(EffectState) - {EffectState.PROPOSED, EffectState.WAITING, EffectState.RECORDED}


class Cell(Struct, frozen=True):
    """One step of one task.

    Args:
        sign: the state whose glyph and colour it has, as a tool's.
        word: what it says beside the glyph.
    """

    sign: str
    word: str


DONE = Cell("completed", "done")
BAD = Cell("failed", "failed")
NONE = Cell("none", "none")
LATER = Cell("none", "later")


def cells(task: Task) -> list[Cell]:
    """The cells of a task, in the order of `STEPS`: what is behind it by its evidence, where it is by its row."""
    row = task.row
    if row.state is TaskState.ENDED:
        return _ended(task)
    at = _ORDER.index(row.step)
    return [_behind(task, step) if _ORDER.index(step) < at else _ahead(task, step) for step in STEPS]


def _ahead(task: Task, step: Step) -> Cell:
    if step is not task.row.step:
        return LATER
    if step is Step.GATE and any(effect.state is EffectState.WAITING for effect in task.effects):
        return _behind(task, step)
    word = _HELD.get(task.row.state, "now")
    return Cell({"now": "running", "queued": "none"}.get(word, "denied"), word)


def _ended(task: Task) -> list[Cell]:
    """All that came to pass; what stopped a task that did not end well is the first step without evidence."""
    found = [_behind(task, step) for step in STEPS]
    if task.row.outcome in _GOOD or any(cell.sign == BAD.sign for cell in found):
        return found
    stuck = Cell("denied", "stopped") if task.row.outcome is Outcome.NEEDS_PERSON else BAD
    at = next((at for at, cell in enumerate(found) if cell is NONE), len(found) - 1)
    return [*found[:at], stuck, *([NONE] * (len(found) - at - 1))]


def _behind(task: Task, step: Step) -> Cell:
    states = [effect.state for effect in task.effects]
    match step:
        case Step.PREPARE:
            return DONE if task.row.session is not None else NONE
        case Step.WORK:
            return DONE if task.row.session is not None and (task.made.head or task.row.outcome in _GOOD) else NONE
        case Step.CHECK:
            return _checked(task)
        case Step.PROPOSE:
            return Cell("completed", f"{len(states)} proposed") if states else NONE
        case Step.GATE:
            return _gated(states)
        case _:
            return _delivered(states)


def _checked(task: Task) -> Cell:
    ran = task.made.checks
    if not ran:
        return Cell("none", "no check") if task.made.head else NONE
    passed = sum(1 for check in ran if check.passed)
    return Cell("completed" if passed == len(ran) else "failed", f"{passed} of {len(ran)}")


def _gated(states: Sequence[EffectState]) -> Cell:
    if EffectState.WAITING in states:
        return Cell("denied", f"{states.count(EffectState.WAITING)} to decide")
    if EffectState.REJECTED in states:
        return Cell("failed", "rejected")
    return Cell("completed", "passed") if any(state in _DECIDED for state in states) else NONE


def _delivered(states: Sequence[EffectState]) -> Cell:
    if EffectState.FAILED in states:
        return BAD
    if EffectState.CARRIED in states:
        return Cell("completed", f"{states.count(EffectState.CARRIED)} carried out")
    return Cell("none", "recorded") if EffectState.RECORDED in states else NONE
