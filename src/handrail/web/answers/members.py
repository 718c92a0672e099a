"""What the API answers about people: see `answers`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from pydantic import BaseModel, Field

from handrail.types import Role
from handrail.web.answers.base import Answer


class Member(Answer):
    """Somebody who may come in."""

    name: str
    role: Role
    added: Annotated[datetime | None, Field(description="null for the person of this machine")]
    added_by: str | None
    seen: Annotated[datetime | None, Field(description="when they were here last, to the minute")]
    invited: Annotated[datetime | None, Field(description="until when their link lets them in; null without one")]


class MemberList(Answer):
    """Who may come in."""

    members: list[Member]


class MemberInvited(Member):
    """A member, and the link that lets them in once."""

    link: Annotated[str, Field(description="shown this once")]


MODELS: tuple[type[BaseModel], ...] = (MemberList, MemberInvited)
