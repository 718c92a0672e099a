"""What the steps of a task gave, as values: the JSON of a task's row, read and written in one place."""

from __future__ import annotations

from collections.abc import Mapping

from msgspec import Struct, convert, field, to_builtins
from msgspec.structs import replace

from handrail.store.tasks import TaskRow
from handrail.types import Json, Outcome, SessionId


class Ran(Struct, frozen=True):
    """A check as evidence: what was run after the last edit, and the end of what it printed."""

    command: str
    passed: bool
    code: int
    output: str = ""


class EndedStage(Struct, frozen=True):
    """A stage that came to its end. `head` is its last snapshot, `upstream` the commit that the task began with."""

    name: str
    session: SessionId
    agent: str
    outcome: Outcome
    cause: str
    reason: str
    head: str
    upstream: str
    verified: bool
    review: bool = False
    checks: tuple[Ran, ...] = ()
    said: str = ""
    """what its agent said last"""
    memory_lost: bool = False


class Work(Struct, frozen=True):
    """Where the work of a task stands."""

    stage: int = 0
    consumed: str = ""
    """when the goal was set whose outcome was dealt with: another one is a new outcome"""
    tries: Mapping[str, int] = field(default_factory=dict)
    """how often it was tried again, by cause"""
    ended: tuple[EndedStage, ...] = ()

    def last_edit(self) -> EndedStage | None:
        """The last stage that was to change something."""
        return next((stage for stage in reversed(self.ended) if not stage.review), None)

    def findings(self) -> str | None:
        """What a review just before said."""
        return self.ended[-1].said if self.ended and self.ended[-1].review else None

    def settled(self, handed: str) -> Work:
        """The outcome of the goal that was set then is dealt with."""
        return replace(self, consumed=handed)

    def tried(self, cause: str) -> Work:
        """It is tried once more."""
        return replace(self, tries={**self.tries, cause: self.tries.get(cause, 0) + 1})

    def with_stage(self, stage: EndedStage) -> Work:
        """A stage ended."""
        return replace(self, ended=(*(one for one in self.ended if one.name != stage.name), stage))

    def next_stage(self) -> Work:
        """On to the next."""
        return replace(self, stage=self.stage + 1, consumed="")


class File(Struct, frozen=True):
    """One file of a change."""

    path: str
    status: str
    added: int
    removed: int
    flag: str | None = None


class Made(Struct, frozen=True):
    """What a task changed, and the evidence for it."""

    base: str = ""
    head: str = ""
    commit: str | None = None
    """the whole change as one commit; None where nothing was changed"""
    files: tuple[Json, ...] = ()
    flagged: tuple[str, ...] = ()
    verified: bool = False
    """checks passed after the last edit"""
    checks: tuple[Ran, ...] = ()
    unverified: str | None = None
    """what nobody checked, said"""
    branch: str | None = None
    """the branch that was at `base` when it began, where one was"""
    said: str = ""
    """what the last agent said at its end"""
    memory_lost: bool = False


def key(task: TaskRow, stage: str) -> str:
    """What finds the session of a stage again, once for each attempt."""
    return f"{task.id}:{stage}:{task.attempt}"


def work(task: TaskRow) -> Work:
    """Where the work of a task stands."""
    return convert(task.results.get("work") or {}, Work)


def change(task: TaskRow) -> Made:
    """What a task changed; nothing before it was gathered."""
    return convert(task.results.get("check") or {}, Made)


def put(task: TaskRow, step: str, given: Work | Made) -> Json:
    """The results of a task with those of one step put in."""
    return {**task.results, step: to_builtins(given)}
