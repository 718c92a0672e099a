"""What is special to SQLite: one file, one writer."""

from __future__ import annotations

import errno
import json
import os
import sqlite3
from pathlib import Path
from typing import cast

from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine.interfaces import DBAPIConnection
from sqlalchemy.pool import ConnectionPoolEntry

from handrail.errors import Conflict, HandrailError, StorageFull
from handrail.store.columns import dumps
from handrail.store.database import READERS
from handrail.store.faults import translate

_NO_ROOM = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})
# synchronous=NORMAL: a commit outlives kill -9 of any process; a power cut may take the last ones, never the file
# (https://www.sqlite.org/pragma.html#pragma_synchronous)
_PRAGMAS = (
    "PRAGMA busy_timeout=5000",
    "PRAGMA journal_mode=WAL",
    "PRAGMA synchronous=NORMAL",
    "PRAGMA foreign_keys=ON",
    "PRAGMA journal_size_limit=67108864",
)
_WRITER = {"handrail_writer": True}


class Sqlite:
    """A database in a file.

    Args:
        path: of the file.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self.url = f"sqlite:///{path}"
        self.where = f"the database {path}"

    def prepare(self) -> None:
        """Make the file readable by its owner alone; SQLite gives its journals the same mode.

        Raises:
            StorageFull: no room is left for it.
            HandrailError: it cannot be written.
        """
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            os.close(os.open(self._path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600))
        except OSError as error:
            if error.errno in _NO_ROOM:
                raise StorageFull(f"no room is left to write {self.where}; make room there") from error
            raise HandrailError(f"{self.where} cannot be written: {error.strerror}; make it writable") from error

    def version(self) -> str | None:
        """The schema that it has: None when it is empty, "" when no migration was finished.

        Raises:
            HandrailError: it is no database, or not Handrail's.
        """
        connection = sqlite3.connect(self._path, timeout=5)
        try:
            tables = {row[0] for row in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
            if not tables:
                return None
            if "alembic_version" not in tables:
                raise Conflict(f"{self.where} belongs to another program: use another data directory")
            row = connection.execute("SELECT max(version_num) FROM alembic_version").fetchone()
            return str(row[0] or "")
        except sqlite3.Error as error:
            raise translate(error, self.where) from error
        finally:
            connection.close()

    def engines(self) -> tuple[Engine, Engine]:
        """What reads and what writes."""
        engine = create_engine(
            self.url,
            json_serializer=dumps,
            json_deserializer=json.loads,
            pool_size=READERS + 1,
            max_overflow=0,
            pool_reset_on_return=None,  # a reader never has a transaction, the writer ends its own
        )
        event.listen(engine, "connect", _connected)
        event.listen(engine, "begin", _begun)
        return engine, engine.execution_options(**_WRITER)


def _connected(connection: DBAPIConnection, _: ConnectionPoolEntry) -> None:
    # the driver begins no transaction by itself: `_begun` does (https://docs.sqlalchemy.org/dialects/sqlite.html)
    connection.isolation_level = None
    cursor = connection.cursor()
    for pragma in _PRAGMAS:
        cursor.execute(pragma)
    cursor.close()


def _begun(connection: Connection) -> None:
    # a reader's single statement needs none; a writer that asked later for the lock could be refused in the middle
    if _WRITER.items() <= connection.get_execution_options().items():
        # past SQLAlchemy's own statements, which cost several times as much as this one does
        cast("sqlite3.Connection", connection.connection.driver_connection).execute("BEGIN IMMEDIATE")
