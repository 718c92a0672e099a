"""Prompts that wait for the turn under way to end."""

from __future__ import annotations

import secrets
from datetime import datetime
from functools import cache

from msgspec import Struct
from sqlalchemy import Executable, Insert, Select, bindparam, func, select, update
from sqlalchemy import insert as sql_insert

from handrail.store.engine import Store
from handrail.store.log import Prepared, Write
from handrail.store.rows import every, first
from handrail.store.tables import PromptState, prompts
from handrail.types import SessionId, now


class PromptRow(Struct, frozen=True):
    """One prompt as it was given; `position` orders those of a session."""

    id: str
    session: SessionId
    text: str
    by: str
    created: datetime
    state: PromptState
    position: int


def identity() -> str:
    """A name for a new prompt."""
    return f"p-{secrets.token_hex(4)}"


def insert(prompt: str, session: SessionId, text: str, by: str) -> Write:
    """Put a prompt at the end of a session's queue."""
    values = {"id": prompt, "session": session, "of_session": session, "text": text, "by": by, "created": now()}
    return Prepared(_insert(), values)


@cache
def _insert() -> Insert:
    last = select(func.coalesce(func.max(prompts.c.position), 0) + 1)
    behind = last.where(prompts.c.session == bindparam("of_session"))
    return sql_insert(prompts).values(state=PromptState.QUEUED, position=behind.scalar_subquery())


def withdraw(session: SessionId, prompt: str) -> Write:
    """Guard: take back a prompt that still waits."""
    return _leave(session, prompt, PromptState.WITHDRAWN)


def begin(session: SessionId, prompt: str) -> Write:
    """Guard: a turn begins with a prompt that still waits."""
    return _leave(session, prompt, PromptState.TAKEN)


async def head(store: Store, session: SessionId) -> PromptRow | None:
    """The first prompt that waits."""
    return await first(store, PromptRow, Prepared(_waiting(), {"of_session": session}))


async def queued(store: Store, session: SessionId) -> list[PromptRow]:
    """The prompts that wait, in order."""
    return await every(store, PromptRow, Prepared(_waiting(), {"of_session": session}))


@cache
def _waiting() -> Select[*tuple[object, ...]]:
    return (
        select(prompts)
        .where(prompts.c.session == bindparam("of_session"), prompts.c.state == PromptState.QUEUED)
        .order_by(prompts.c.position)
    )


def _leave(session: SessionId, prompt: str, state: PromptState) -> Write:
    return Prepared(_left(), {"of_session": session, "of_id": prompt, "state": state})


@cache
def _left() -> Executable:
    waits = prompts.c.session == bindparam("of_session"), prompts.c.state == PromptState.QUEUED
    return update(prompts).where(prompts.c.id == bindparam("of_id"), *waits).returning(prompts.c.id)
