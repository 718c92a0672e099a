"""What is special to PostgreSQL: several servers on one database.

A transaction that writes holds one lock of the whole database, as SQLite's does. So every conditional write means the
same here and there, between servers as between tasks of one: none is decided on what another is about to change. What
that costs is shared: each server commits whatever has queued up meanwhile as one transaction.
"""

from __future__ import annotations

import json
from importlib import import_module
from importlib.util import find_spec
from typing import Any

from sqlalchemy import URL, Connection, Engine, create_engine, event, inspect, make_url, text
from sqlalchemy.exc import ArgumentError, SQLAlchemyError
from sqlalchemy.pool import NullPool

from handrail.errors import Conflict, InvalidInput, MissingPart
from handrail.store.columns import dumps
from handrail.store.database import READERS
from handrail.store.faults import translate

LOCK = 0x68616E64
"""the lock of whoever writes (https://www.postgresql.org/docs/current/explicit-locking.html#ADVISORY-LOCKS)"""
# a server that is stopped in the middle of a transaction must not hold up the others for longer than this
_OPTIONS = "-c idle_in_transaction_session_timeout=10s -c lock_timeout=30s -c statement_timeout=60s -c timezone=UTC"
_SCHEMES = ("postgresql", "postgres", "postgresql+psycopg")


class Postgres:
    """A database of a PostgreSQL server.

    Args:
        url: `postgresql://user:password@host:port/name`.

    Raises:
        InvalidInput: it is no such URL.
        MissingPart: the driver is not installed.
    """

    def __init__(self, url: str) -> None:
        self._url = _checked(url)
        self.url = self._url.render_as_string(hide_password=False)
        shown = self._url.set(drivername="postgresql").render_as_string(hide_password=True)
        self.where = f"the database {shown}"

    def prepare(self) -> None:
        """Nothing: whoever runs the server makes the database."""

    def version(self) -> str | None:
        """The schema that it has: None when it is empty, "" when no migration was finished.

        Raises:
            HandrailError: it cannot be reached, or is not Handrail's.
        """
        engine = create_engine(self._url, connect_args=_arguments(), poolclass=NullPool)
        try:
            with engine.connect() as connection:
                tables = inspect(connection).get_table_names()
                if not tables:
                    return None
                if "alembic_version" not in tables:
                    raise Conflict(f"{self.where} belongs to another program: make a database for Handrail alone")
                return str(connection.scalar(text("SELECT max(version_num) FROM alembic_version")) or "")
        except SQLAlchemyError as error:
            raise translate(error, self.where) from error
        finally:
            engine.dispose()

    def engines(self) -> tuple[Engine, Engine]:
        """What reads and what writes."""
        given: dict[str, Any] = {
            "json_serializer": dumps,
            "json_deserializer": json.loads,
            "max_overflow": 0,
            "connect_args": _arguments(),
        }
        readers = create_engine(self._url, isolation_level="AUTOCOMMIT", pool_size=READERS, **given)
        writer = create_engine(self._url, pool_size=1, **given)
        for engine in (readers, writer):
            event.listen(engine, "connect", _connected)
        event.listen(writer, "begin", locked)
        return readers, writer


def locked(connection: Connection) -> None:
    """Hold the lock of whoever writes until the transaction ends."""
    connection.exec_driver_sql(f"SELECT pg_advisory_xact_lock({LOCK})")


def _checked(url: str) -> URL:
    mend = "give postgresql://user:password@host:port/name"
    try:
        parsed = make_url(url)
    except ArgumentError as error:
        raise InvalidInput("database", "…", mend) from error
    if parsed.drivername not in _SCHEMES:
        raise InvalidInput("database", f"{parsed.drivername}://…", mend)
    if find_spec("psycopg") is None:
        raise MissingPart("PostgreSQL needs an extra that is not installed: pip install 'handrail[team]'")
    return parsed.set(drivername="postgresql+psycopg")


def _arguments() -> dict[str, object]:
    """See https://www.postgresql.org/docs/current/libpq-connect.html#LIBPQ-PARAMKEYWORDS."""
    return {
        "options": _OPTIONS,
        "application_name": "handrail",
        "connect_timeout": 10,
        "keepalives_idle": 10,
        "keepalives_interval": 5,
        "keepalives_count": 3,
        "tcp_user_timeout": 20_000,
    }


def _connected(connection: object, _: object) -> None:
    import_module("handrail.store.adapters").adapt(connection)  # its imports are of an extra
