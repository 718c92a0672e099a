"""Brings a database to the newest schema, in a process of its own: `python -m handrail.store.migrate`, URL on stdin."""

from __future__ import annotations

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError


def upgrade(url: str, revision: str = "head") -> None:
    """Run the migrations that a database lacks, each in one transaction."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["url"] = url
    command.upgrade(config, revision)


if __name__ == "__main__":
    try:
        upgrade(sys.stdin.read().strip())
    except (SQLAlchemyError, CommandError) as error:
        sys.exit(str(error.orig if isinstance(error, DBAPIError) else error))
