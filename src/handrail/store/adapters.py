"""How values go to PostgreSQL and come back (https://www.psycopg.org/psycopg3/docs/advanced/adapt.html)."""

from __future__ import annotations

from psycopg import Connection
from psycopg.abc import Buffer
from psycopg.adapt import Loader
from psycopg.types.string import StrDumper


class _Text(StrDumper):
    """Text of PostgreSQL holds no NUL: what an agent says with one is kept with a mark in its place."""

    def dump(self, obj: str) -> Buffer | None:
        return super().dump(obj.replace("\0", "\ufffd") if "\0" in obj else obj)


class _Whole(Loader):
    """A sum of whole numbers is one, as on SQLite: no table holds a fraction of this type."""

    def load(self, data: Buffer) -> int | float:
        text = bytes(data)
        return float(text) if b"." in text or b"a" in text else int(text)


def adapt(connection: Connection) -> None:
    """Set a new connection up."""
    connection.adapters.register_dumper(str, _Text)
    connection.adapters.register_loader("numeric", _Whole)
