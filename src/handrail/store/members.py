"""Members: who may come in beside the owner of this machine, and the browsers that were let in."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from msgspec.structs import asdict
from sqlalchemy import delete, select, update
from sqlalchemy import insert as sql_insert

from handrail.store.engine import Store
from handrail.store.log import Write
from handrail.store.rows import every
from handrail.store.tables import logins, members
from handrail.types import Role


class MemberRow(Struct, frozen=True, kw_only=True):
    """One person."""

    name: str
    role: Role
    added: datetime
    added_by: str
    link: str | None = None
    """SHA-256 of the link that lets them in once; None once it was used"""
    link_due: datetime | None = None
    seen: datetime | None = None
    revoked: datetime | None = None


class LoginRow(Struct, frozen=True, kw_only=True):
    """One browser that was let in."""

    cookie: str
    """SHA-256 of its cookie"""
    member: str
    created: datetime
    due: datetime


async def everybody(store: Store) -> list[MemberRow]:
    """All members by name, those who were removed as well."""
    return await every(store, MemberRow, select(members).order_by(members.c.name))


async def browsers(store: Store) -> list[LoginRow]:
    """All browsers that were let in."""
    return await every(store, LoginRow, select(logins))


def put(row: MemberRow) -> tuple[Write, ...]:
    """Keep a member in place of the one of that name."""
    return delete(members).where(members.c.name == row.name), sql_insert(members).values(asdict(row))


def seen(name: str, at: datetime) -> Write:
    """Note that a member was here."""
    return update(members).where(members.c.name == name).values(seen=at)


def let_in(row: LoginRow) -> Write:
    """Keep a browser."""
    return sql_insert(logins).values(asdict(row))


def used(link: str) -> Write:
    """Guard: a link lets in once."""
    return update(members).where(members.c.link == link).values(link=None, link_due=None).returning(members.c.name)


def out(cookie: str) -> Write:
    """Forget a browser."""
    return delete(logins).where(logins.c.cookie == cookie)


def all_out(member: str) -> Write:
    """Forget every browser of a member."""
    return delete(logins).where(logins.c.member == member)


def overdue(at: datetime) -> Write:
    """Forget browsers whose time is over."""
    return delete(logins).where(logins.c.due <= at)
