"""The database of one data directory: opened, brought up to date, closed."""

from __future__ import annotations

import asyncio
import errno
import os
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, Executable, Row, text

from handrail.errors import Conflict, HandrailError, StorageFull
from handrail.store import automation as _automation  # noqa: F401  # its tables belong to the schema
from handrail.store.database import Database
from handrail.store.faults import FAULTS, translate
from handrail.store.log import EventLog
from handrail.store.tables import SCHEMA, metadata

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

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
        self._database = database

    @classmethod
    async def open(cls, path: Path) -> Self:
        """Open the SQLite file at `path`, made and brought up to date where needed.

        Raises:
            StorageFull: no room is left for it.
            HandrailError: it is damaged, not writable, not Handrail's, or written by a newer Handrail.
        """
        where = f"the database {path}"
        await asyncio.to_thread(_make_file, path, where)
        version = await asyncio.to_thread(_version, path, where)
        if version is not None and version > SCHEMA:
            raise Conflict(
                f"{where} was written by a newer Handrail (schema {version}, this one knows {SCHEMA}): "
                "upgrade Handrail, or use another data directory"
            )
        if version is not None and version < SCHEMA:
            await _migrate(path, where)
        database = Database(path, where)
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

    async def rows(self, statement: Executable) -> Sequence[Row[*tuple[Any, ...]]]:
        """Read. Sees every append that has returned.

        Raises:
            HandrailError: the database could not be read.
        """
        return await self._database.rows(statement)


def _create(connection: Connection) -> None:
    """Make every table of a fresh database, and say which schema that is: in one transaction."""
    with connection.begin():
        metadata.create_all(connection, checkfirst=False)
        connection.execute(text(_VERSION_TABLE))
        connection.execute(text("INSERT INTO alembic_version VALUES (:version)"), {"version": SCHEMA})


def _ready(connection: Connection) -> None:
    """Take the lock that writes need, and give it back."""
    with connection.begin():
        pass


def _make_file(path: Path, where: str) -> None:
    """Make the file readable by its owner alone; SQLite gives its journals the same mode."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
    except OSError as error:
        if error.errno in _NO_ROOM:
            raise StorageFull(f"no room is left to write {where}; make room there") from error
        raise HandrailError(f"{where} cannot be written: {error.strerror}; make it writable") from error


def _version(path: Path, where: str) -> str | None:
    """The schema that the file has: None when it is empty, "" when no migration was finished.

    Raises:
        HandrailError: it is no database, or not Handrail's.
    """
    connection = sqlite3.connect(path, timeout=5)
    try:
        tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        if not tables:
            return None
        if "alembic_version" not in tables:
            raise Conflict(f"{where} belongs to another program: use another data directory")
        row = connection.execute("SELECT max(version_num) FROM alembic_version").fetchone()
        return str(row[0] or "")
    except sqlite3.Error as error:
        raise translate(error, where) from error
    finally:
        connection.close()


async def _migrate(path: Path, where: str) -> None:
    """Run the migrations in a process of their own: alembic would cost every start 0.3 s and 15 MB."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        *("-m", "handrail.store.migrate", str(path)),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.DEVNULL,
        stderr=asyncio.subprocess.PIPE,
    )
    _, errors = await process.communicate()
    if process.returncode != 0:
        lines = errors.decode("utf-8", "replace").strip().splitlines()
        why = lines[-1] if lines else f"exit status {process.returncode}"
        raise HandrailError(f"{where} could not be brought to schema {SCHEMA}: {why}")
