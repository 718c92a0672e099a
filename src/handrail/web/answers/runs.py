"""Answers about runs."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from handrail.automation import EffectKind, EffectState, RunState, Step, TaskState, TriggerKind, Trust
from handrail.types import Outcome
from handrail.web.answers.base import Answer, Nano, Object


class RunShown(Answer):
    """A run in a list."""

    id: str
    number: int
    workflow: str
    version: str
    trigger: TriggerKind
    by: str
    trust: Trust
    state: RunState
    outcome: Outcome | None
    reason: str | None
    tasks: Annotated[dict[str, int], Field(description="how many tasks there are of each outcome, or state")]
    cost_nano: Annotated[Nano, Field(description="so far")]
    unpriced: Annotated[int, Field(description="calls whose price nobody knows: the cost is more than is said")]
    created: datetime
    started: datetime | None
    ended: datetime | None


class RunList(Answer):
    """Runs."""

    runs: list[RunShown]


class CheckShown(Answer):
    """A check as evidence."""

    command: str
    passed: bool
    code: int
    output: str


class RunEffect(Answer):
    """An act on the outside world, as a task shows it."""

    id: str
    kind: EffectKind
    target: str
    state: EffectState
    reason: str | None
    cause: str | None
    decided_by: str | None
    because: str | None
    receipt: Object | None


class FileMade(Answer):
    """A file of a change."""

    path: str
    status: str
    added: int
    removed: int


class AwayShown(Answer):
    """A server that is not heard of."""

    host: str
    quiet: Annotated[int, Field(description="seconds since its last heartbeat")]


class TaskShown(Answer):
    """A task."""

    id: str
    run: str
    position: int
    repository: str
    state: TaskState
    step: Step
    stage: str
    session: str | None
    outcome: Outcome | None
    cause: Annotated[str | None, Field(description="a stable word")]
    reason: str | None
    away: Annotated[
        AwayShown | None, Field(description="its server, where that is not heard of: the task waits for it")
    ]
    attempt: int
    due: Annotated[datetime | None, Field(description="when it goes on by itself")]
    cost_nano: Annotated[Nano, Field(description="so far")]
    unpriced: Annotated[int, Field(description="calls whose price nobody knows: the cost is more than is said")]
    commit: str | None
    files: list[FileMade]
    checks: Annotated[list[CheckShown], Field(description="run after the last edit")]
    unverified: Annotated[str | None, Field(description="what nobody checked")]
    effects: list[RunEffect]
    started: datetime | None
    ended: datetime | None


class GroupShown(Answer):
    """Tasks that ended alike."""

    label: str
    outcome: Outcome | None
    tasks: list[str]


class RunWhole(RunShown):
    """A run with its tasks."""

    inputs: Object
    steps: Annotated[list[str], Field(description="names of the stages of each task")]
    groups: list[GroupShown]
    all: Annotated[list[TaskShown], Field(description="its tasks, in order")]


class RunRefused(Answer):
    """A run that could not go on."""

    run: str
    why: str


class RunsRetried(Answer):
    """What came of trying several runs again."""

    resumed: Annotated[list[str], Field(description="ids of those that go on")]
    refused: list[RunRefused]
    left: Annotated[int, Field(description="how many more fit than are tried at once")]


class RunLine(Answer):
    """A line of what happened."""

    seq: int
    time: datetime
    task: str | None
    kind: str
    data: Object


class RunLines(Answer):
    """What happened in a run."""

    events: list[RunLine]


class TaskTaken(Answer):
    """A task that changed hands."""

    session: str


MODELS: tuple[type[BaseModel], ...] = (RunList, RunShown, RunWhole, RunLines, RunsRetried, TaskShown, TaskTaken)
