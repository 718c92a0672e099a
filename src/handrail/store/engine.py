"""The database of one data directory: opened, brought up to date, closed. What is special to SQLite stands here."""

from __future__ import annotations

import asyncio
import errno
import json
import os
import sqlite3
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Self

from sqlalchemy import Connection, Executable, Row, event, text
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine
from sqlalchemy.pool import ConnectionPoolEntry

from handrail.errors import Conflict, HandrailError, StorageFull
from handrail.store.columns import dumps
from handrail.store.faults import translate
from handrail.store.log import WRITER, EventLog
from handrail.store.tables import SCHEMA, metadata

# synchronous=NORMAL: a commit outlives kill -9 of any process; a power cut may take the last ones, never the file
# (https://www.sqlite.org/pragma.html#pragma_synchronous)
_PRAGMAS = (
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=NORMAL",
    "PRAGMA busy_timeout=5000",
    "PRAGMA foreign_keys=ON",
    "PRAGMA journal_size_limit=67108864",
)

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})

_VERSION_TABLE = (
    "CREATE TABLE alembic_version "
    "(version_num VARCHAR(32) NOT NULL, CONSTRAINT alembic_version_pkc PRIMARY KEY (version_num))"
)
"""As alembic itself makes it (https://alembic.sqlalchemy.org/en/latest/api/runtime.html)."""


class Store:
    """One open database and its event log; reads go through `rows`, writes through `log`.

    Args:
        engine: the database.
        where: its name for a person.
    """

    def __init__(self, engine: AsyncEngine, where: str) -> None:
        self.log = EventLog(engine, where)
        self.number: int | None = None
        """the last session number given out; see `sessions.next_number`"""
        self._engine = engine
        self._where = where

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
        engine = _engine(path)
        store = cls(engine, where)
        try:
            if version is None:
                await _create(engine)
            await store.log.start()
        except SQLAlchemyError as error:
            await engine.dispose()
            raise translate(error, where) from error
        return store

    async def close(self) -> None:
        """Write what is queued and let go of the file. Idempotent."""
        await self.log.close()
        await self._engine.dispose()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def rows(self, statement: Executable) -> Sequence[Row[*tuple[Any, ...]]]:
        """Read. Sees every append that has returned.

        Raises:
            HandrailError: the database could not be read.
        """
        try:
            async with self._engine.connect() as connection:
                return (await connection.execute(statement)).all()
        except SQLAlchemyError as error:
            raise translate(error, self._where) from error


def _engine(path: Path) -> AsyncEngine:
    engine = create_async_engine(
        f"sqlite+aiosqlite:///{path}",
        json_serializer=dumps,
        json_deserializer=json.loads,
        pool_size=3,
        max_overflow=2,
        pool_reset_on_return=None,  # a reader never has a transaction, the writer ends its own
    )
    event.listen(engine.sync_engine, "connect", _connected)
    event.listen(engine.sync_engine, "begin", _begun)
    return engine


def _connected(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # the driver begins no transaction by itself: `_begun` does (https://docs.sqlalchemy.org/dialects/sqlite.html)
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _begun(connection: Connection) -> None:
    # a reader's single statement needs none; a writer that asked later for the lock could be refused in the middle
    if WRITER.items() <= connection.get_execution_options().items():
        connection.exec_driver_sql("BEGIN IMMEDIATE")


async def _create(engine: AsyncEngine) -> None:
    """Make every table of a fresh database, and say which schema that is: in one transaction."""
    async with engine.connect() as plain:
        connection = await plain.execution_options(**WRITER)
        async with connection.begin():
            await connection.run_sync(metadata.create_all, checkfirst=False)
            await connection.execute(text(_VERSION_TABLE))
            await connection.execute(text("INSERT INTO alembic_version VALUES (:version)"), {"version": SCHEMA})


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
