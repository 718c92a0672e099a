"""Answers about workflows."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from handrail.automation import RunState, TickState, Trust
from handrail.types import Outcome
from handrail.web.answers.base import Answer


class LastRunShown(Answer):
    """The newest run of a workflow."""

    number: int
    state: RunState
    outcome: Outcome | None
    created: datetime


class WorkflowShown(Answer):
    """A workflow."""

    name: str
    description: str | None
    enabled: bool
    trust: Trust
    accepted: Annotated[int, Field(description="accepted results in a row")]
    rises: Annotated[str, Field(description="what it takes to be trusted more, in words")]
    fell: Annotated[str | None, Field(description="why its trust fell the last time")]
    starts: Annotated[str, Field(description="what starts it, in words")]
    source: Literal["file", "repository", "gallery", "session"]
    origin: str | None
    version: Annotated[str, Field(description="the version that a new run takes")]
    number: Annotated[int, Field(description="of that version")]
    newest: Annotated[int, Field(description="number of the newest version; a higher one waits to be enabled")]
    rehearsed: Annotated[datetime | None, Field(description="when that version was rehearsed")]
    next: Annotated[datetime | None, Field(description="when its schedule is due next; null while it is disabled")]
    problem: Annotated[str | None, Field(description="why its file cannot be used any more")]
    last: LastRunShown | None


class WorkflowList(Answer):
    """Workflows."""

    workflows: list[WorkflowShown]


class TickShown(Answer):
    """What became of a due time, or of several that were missed in a row."""

    due: datetime
    since: Annotated[datetime | None, Field(description="of several missed in a row, the first")]
    count: int
    state: TickState
    reason: str | None
    run: str | None
    decided: datetime


class WorkflowWhole(WorkflowShown):
    """A workflow with its file."""

    text: str
    notes: Annotated[list[str], Field(description="what is sound, and may still surprise")]
    upcoming: Annotated[list[datetime], Field(description="the next due times of its schedules, enabled or not")]
    ticks: Annotated[list[TickShown], Field(description="the newest first")]


class VersionShown(Answer):
    """A version of a workflow's file."""

    version: str
    number: int
    by: str
    created: datetime
    rehearsed: datetime | None
    text: str


class VersionList(Answer):
    """Versions, the newest first."""

    versions: list[VersionShown]


class FileShown(Answer):
    """What became of one file."""

    file: Annotated[str, Field(description="empty where a file is gone")]
    workflow: str | None
    result: Literal["added", "changed", "same", "refused", "gone"]
    problem: str | None


class SyncShown(Answer):
    """What became of each file."""

    files: list[FileShown]


class RunBegun(Answer):
    """A run that was begun."""

    run: str
    tasks: Annotated[int, Field(description="one a repository")]


class ReadyShown(Answer):
    """A workflow of the gallery."""

    name: str
    description: str | None


class GalleryList(Answer):
    """The gallery."""

    workflows: list[ReadyShown]


MODELS: tuple[type[BaseModel], ...] = (
    WorkflowList,
    WorkflowShown,
    WorkflowWhole,
    VersionList,
    SyncShown,
    RunBegun,
    GalleryList,
)
