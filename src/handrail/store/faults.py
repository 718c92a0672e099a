"""What a failing database says, as one of Handrail's errors: nothing above the store sees a driver's exception."""

from __future__ import annotations

import sqlite3

from sqlalchemy.exc import DBAPIError, IntegrityError, OperationalError, SQLAlchemyError

from handrail.errors import Conflict, HandrailError, NotFound, StorageFull, Unavailable

# https://www.postgresql.org/docs/current/errcodes-appendix.html
_DISK_FULL_STATE = "53100"
_FOREIGN_KEY_STATE = "23503"

# writes that a full disk, a quota or a file size limit refused; SQLite names some of them I/O errors
# (https://www.sqlite.org/rescode.html)
_NO_ROOM = frozenset(
    {
        sqlite3.SQLITE_FULL,
        sqlite3.SQLITE_IOERR_WRITE,
        sqlite3.SQLITE_IOERR_TRUNCATE,
        sqlite3.SQLITE_IOERR_SHMSIZE,
        sqlite3.SQLITE_IOERR_FSYNC,
    }
)


FAULTS = (SQLAlchemyError, sqlite3.Error)
"""What the database layer raises; the second is what fails before SQLAlchemy knows the connection."""


def is_environment(error: BaseException) -> bool:
    """Whether the next write would fail the same way, whatever it writes."""
    return isinstance(error, StorageFull | Unavailable)


def translate(error: SQLAlchemyError | sqlite3.Error, where: str) -> HandrailError:
    """The error a person can act on.

    Args:
        error: what the driver raised.
        where: the database, as a person knows it.
    """
    origin = error.orig if isinstance(error, DBAPIError) else error
    code, state = getattr(origin, "sqlite_errorcode", None), getattr(origin, "sqlstate", None)
    if state == _DISK_FULL_STATE or code in _NO_ROOM:
        return StorageFull(f"no room is left to write {where}; make room there, what was shown before is safe")
    if code == sqlite3.SQLITE_CONSTRAINT_FOREIGNKEY or state == _FOREIGN_KEY_STATE:
        return NotFound("what this belongs to is not in the database: the session is unknown")
    if isinstance(error, IntegrityError | sqlite3.IntegrityError):
        return Conflict(f"the database refused the change: {origin}")
    if code is None and isinstance(error, OperationalError):  # no connection, or it was cut: it may come back
        said = " ".join(str(origin).split())
        return Unavailable(f"{where} cannot be used now: {said}; Handrail tries again when it is asked again")
    return _primary(code, origin, where)


def _primary(code: int | None, origin: object, where: str) -> HandrailError:
    match None if code is None else code & 0xFF:
        case sqlite3.SQLITE_READONLY | sqlite3.SQLITE_PERM:
            return HandrailError(f"{where} cannot be written: make the file and its directory writable")
        case sqlite3.SQLITE_CANTOPEN:
            return HandrailError(f"{where} cannot be opened: check that its directory is there, writable and not full")
        case sqlite3.SQLITE_CORRUPT | sqlite3.SQLITE_NOTADB:
            return HandrailError(
                f"{where} is damaged ({origin}): stop the server, move the file away and put back a copy of it"
            )
        case sqlite3.SQLITE_BUSY | sqlite3.SQLITE_LOCKED:
            return Unavailable(f"{where} is held by another program: try again when that has ended")
        case _:
            return HandrailError(f"{where} failed: {origin}")
