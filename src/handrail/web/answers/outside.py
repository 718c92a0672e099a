"""What the API answers about the outside world, forges and effects: see `answers`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from handrail.automation import EffectState
from handrail.web.answers.base import Answer


class ForgeShown(Answer):
    """A forge; its credential is never shown."""

    name: str
    kind: Literal["github", "gitlab", "gitea", "git"]
    url: str
    account: Annotated[str | None, Field(description="whose credential it is, as the last check found")]
    app_id: str | None
    user: str | None
    credential: Literal["token", "app", "none"]


class ForgeList(Answer):
    """Forges."""

    forges: list[ForgeShown]


class ForgeChecked(Answer):
    """What a look at a forge's credential found."""

    name: str
    login: str
    scopes: Annotated[list[str] | None, Field(description="None where the forge does not tell")]
    writable: Annotated[bool | None, Field(description="whether it may write to the repository asked about")]
    notes: list[str]


class EffectShown(Answer):
    """An act on the outside world."""

    id: str
    kind: str
    target: str
    forge: str | None
    state: EffectState
    by: Annotated[str, Field(description="agent, workflow or a person")]
    session: str | None
    run: str | None
    task: str | None
    workflow: str | None
    body: Annotated[dict[str, object], Field(description="what it says, by its kind")]
    reason: str | None
    cause: str | None
    decided_by: str | None
    because: str | None
    receipt: dict[str, object] | None
    tries: Annotated[int, Field(description="how often it was tried")]
    created: datetime
    decided: datetime | None
    carried: datetime | None
    due: Annotated[datetime | None, Field(description="when it is tried again, if it is approved and of no run")]


class EffectList(Answer):
    """Effects."""

    effects: list[EffectShown]


MODELS: tuple[type[BaseModel], ...] = (ForgeShown, ForgeList, ForgeChecked, EffectShown, EffectList)
