"""Answers about what ended badly and nobody has seen."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from handrail.automation import RunState
from handrail.types import Outcome
from handrail.web.answers.base import Answer


class UnseenSession(Answer):
    """A session that came to a bad end."""

    id: str
    title: str
    agent: str
    repository: str
    outcome: Outcome
    reason: str | None
    updated: datetime
    seen: Annotated[datetime | None, Field(description="when a person said that they know")]


class UnseenRun(Answer):
    """A run that came to a bad end, or stopped itself."""

    id: str
    number: int
    workflow: str
    state: RunState
    outcome: Outcome | None
    reason: str | None
    created: datetime
    ended: datetime | None
    seen: Annotated[datetime | None, Field(description="when a person said that they know")]


class UnseenList(Answer):
    """What nobody said yet that they know."""

    sessions: list[UnseenSession]
    runs: list[UnseenRun]


MODELS: tuple[type[BaseModel], ...] = (UnseenSession, UnseenRun, UnseenList)
