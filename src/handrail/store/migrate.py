"""Brings a database to the newest schema: `python -m handrail.store.migrate FILE`, in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.util import CommandError
from sqlalchemy.exc import DBAPIError, SQLAlchemyError


def upgrade(path: Path, revision: str = "head") -> None:
    """Run the migrations that the SQLite file at `path` lacks, each in one transaction."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["url"] = f"sqlite:///{path}"
    command.upgrade(config, revision)


if __name__ == "__main__":
    try:
        upgrade(Path(sys.argv[1]))
    except (SQLAlchemyError, CommandError) as error:
        sys.exit(str(error.orig if isinstance(error, DBAPIError) else error))
