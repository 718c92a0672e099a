"""The servers of one database: each is a data directory, and keeps a heartbeat by the clock of the database."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct
from sqlalchemy import case, delete, func, select, update
from sqlalchemy import insert as sql_insert

from handrail.store.automation import servers
from handrail.store.engine import Store
from handrail.store.log import Write
from handrail.types import ServerId


class ServerRow(Struct, frozen=True):
    """One server. `quiet` is the seconds since its last heartbeat, as the database counts them."""

    id: ServerId
    host: str
    pid: int
    started: datetime
    quiet: float


def announce(server: ServerId, host: str, pid: int, started: datetime) -> tuple[Write, ...]:
    """Say that a server is here, in place of what it was before."""
    row = sql_insert(servers).values(id=server, host=host, pid=pid, started=started, seen=func.now())
    return delete(servers).where(servers.c.id == server), row


def beat(server: ServerId) -> Write:
    """Guard: say that it is still here; a Conflict where its row was removed."""
    return update(servers).where(servers.c.id == server).values(seen=func.now()).returning(servers.c.id)


async def silent(store: Store, after: float) -> dict[ServerId, ServerRow]:
    """The other servers that nothing was heard of for so many seconds."""
    return {row.id: row for row in await everything(store) if row.quiet > after and row.id != store.server}


async def everything(store: Store) -> list[ServerRow]:
    """All servers that were ever on this database, the one that was heard of last first.

    None on a database in a file, which has one server.
    """
    if not store.shared:
        return []
    c = servers.c
    quiet = func.extract("epoch", func.clock_timestamp() - c.seen)
    # a clock that is set back must not let everybody look alive for ever
    found = await store.rows(
        select(c.id, c.host, c.pid, c.started, case((quiet < 0, 0), else_=quiet)).order_by(c.seen.desc())
    )
    return [ServerRow(ServerId(row[0]), row[1], row[2], row[3], float(row[4])) for row in found]
