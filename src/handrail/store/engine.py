"""The database of one data directory: opened, brought up to date, closed."""

from __future__ import annotations

import asyncio
import sys
from pathlib import Path
from typing import Self

from sqlalchemy import Connection, Executable, inspect, text
from sqlalchemy import Sequence as Numbers
from sqlalchemy.schema import CreateSequence

from handrail.errors import Conflict, HandrailError
from handrail.store import automation as _automation  # noqa: F401  # its tables belong to the schema
from handrail.store.database import Database, Read, Rows
from handrail.store.faults import FAULTS, translate
from handrail.store.log import EventLog, Prepared
from handrail.store.postgres import Postgres
from handrail.store.sqlite import Sqlite
from handrail.store.tables import SCHEMA, metadata
from handrail.types import ServerId

HERE = ServerId("here")
"""the only server of a database in a file"""
NUMBERS = Numbers("session_numbers")
"""where sessions get their numbers from when several servers share a database"""

_VERSION_TABLE = (
    "CREATE TABLE alembic_version "
    "(version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)
"""As alembic itself makes it (https://alembic.sqlalchemy.org/en/latest/api/runtime.html)."""


class Store:
    """One open database and its event log; reads go through `rows`, writes through `log`.

    Args:
        database: its connections.
    """

    def __init__(self, database: Database) -> None:
        self.log = EventLog(database)
        self.number: int | None = None
        """the last session number given out; see `sessions.next_number`"""
        self.server = HERE
        """who this server is among those of one database"""
        self.shared = database.dialect != "sqlite"
        """other servers may be on the same database"""
        self._database = database

    @classmethod
    async def open(cls, place: Path | str) -> Self:
        """Open the SQLite file, or the PostgreSQL database of a URL, made and brought up to date where needed.

        Raises:
            StorageFull: no room is left for it.
            HandrailError: it is damaged, not writable, not Handrail's, or written by a newer Handrail.
        """
        kind = Sqlite(place) if isinstance(place, Path) else Postgres(place)
        where = kind.where
        await asyncio.to_thread(kind.prepare)
        version = await asyncio.to_thread(kind.version)
        if version is not None and version > SCHEMA:
            raise Conflict(
                f"{where} was written by a newer Handrail (schema {version}, this one knows {SCHEMA}): "
                "upgrade Handrail, or use another data directory"
            )
        if version is not None and version < SCHEMA:
            await _migrate(kind.url, where)
        database = Database(kind.engines(), where)
        try:
            # the first use of the connection that writes: what it cannot do is said now
            await database.write(_create if version is None else _ready)
        except FAULTS as error:
            await database.close()
            raise translate(error, where) from error
        store = cls(database)
        store.log.start()
        return store

    async def close(self) -> None:
        """Write what is queued and let go of the file. Idempotent."""
        await self.log.close()
        await self._database.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def rows(self, statement: Executable | Prepared) -> Rows:
        """Read. Sees every append that has returned.

        Raises:
            HandrailError: the database could not be read.
        """
        return (await self._database.rows(_read(statement)))[0]

    async def at_once(self, *statements: Executable | Prepared) -> list[Rows]:
        """Read several statements on one way to a thread and back.

        Raises:
            HandrailError: the database could not be read.
        """
        return await self._database.rows(*map(_read, statements))


def _read(statement: Executable | Prepared) -> Read:
    return (statement.statement, statement.values) if isinstance(statement, Prepared) else (statement, None)


def _create(connection: Connection) -> None:
    """Make every table of a fresh database, and say which schema that is: in one transaction."""
    with connection.begin():
        if _made_meanwhile(connection):
            return
        metadata.create_all(connection, checkfirst=False)
        connection.execute(text(_VERSION_TABLE))
        connection.execute(text("INSERT INTO alembic_version VALUES (:version)"), {"version": SCHEMA})


def _made_meanwhile(connection: Connection) -> bool:
    """Whether another server on the same database was faster; where there can be several."""
    if connection.dialect.name == "sqlite":
        return False
    if inspect(connection).has_table("alembic_version"):
        return True
    connection.execute(CreateSequence(NUMBERS))
    return False


def _ready(connection: Connection) -> None:
    """Take the lock that writes need, and give it back."""
    with connection.begin():
        pass


async def _migrate(url: str, where: str) -> None:
    """Run the migrations in a process of their own: alembic would cost every start 0.3 s and 15 MB."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "handrail.store.migrate"),
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate(url.encode())  # it may hold a password, which no list of processes may show
    if process.returncode != 0:
        lines = errors.decode("utf-8", "replace").strip().splitlines()
        why = lines[-1] if lines else f"exit status {process.returncode}"
        raise HandrailError(f"{where} could not be brought to schema {SCHEMA}: {why}")
