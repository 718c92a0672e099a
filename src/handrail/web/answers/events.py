"""Answers about events from outside and their sources."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from handrail.automation import ArrivalState
from handrail.triggers.senders import SenderKind
from handrail.web.answers.base import Answer, Object


class Arrival(Answer):
    """One event from outside, and what became of it."""

    id: str
    source: str
    delivery: Annotated[str, Field(description="the sender's own id of this delivery")]
    meaning: Annotated[str, Field(description="the same for two deliveries that tell of one thing")]
    event: str
    action: str | None
    sender: str | None
    repository: str | None
    received: datetime
    state: ArrivalState
    reason: str | None


class ArrivalWhole(Arrival):
    """An event with its payload."""

    payload: Object


class ArrivalList(Answer):
    """Events, the newest first."""

    events: list[Arrival]


class Replayed(Answer):
    """What came, or would come, of putting an event to a workflow."""

    event: str
    workflow: str
    matched: bool
    why: str
    repositories: Annotated[list[str], Field(description="what the run works on")]
    goals: Annotated[list[str], Field(description="what its agents are told, a text a step")]
    run: Annotated[str | None, Field(description="the run that was started; null with `dry_run`")]


class SourceShown(Answer):
    """Who may send events; its secret is never shown."""

    name: str
    kind: SenderKind
    path: Annotated[str, Field(description="where it posts to, on this server")]
    header: str | None
    prefix: str
    signed: bool
    account: Annotated[str | None, Field(description="who Handrail is there: its own acts start nothing")]


class Poll(Answer):
    """One repository whose forge is asked for news."""

    source: Annotated[str, Field(description="name of the forge")]
    repository: str
    every: Annotated[float, Field(description="seconds between two looks")]
    looked: Annotated[datetime | None, Field(description="the last look that came to its end")]
    due: Annotated[datetime, Field(description="the next look")]
    failures: Annotated[int, Field(description="looks in a row that failed; each doubles the time to the next")]
    error: str | None


class PollList(Answer):
    """Repositories that are polled."""

    polls: list[Poll]


class SourceList(PollList):
    """All sources, by name, and what is polled."""

    sources: list[SourceShown]


MODELS: tuple[type[BaseModel], ...] = (ArrivalList, ArrivalWhole, Replayed, SourceShown, SourceList, PollList)
