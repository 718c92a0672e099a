"""Brings a database to the newest schema: `python -m handrail.store.migrate FILE`, in a process of its own."""

from __future__ import annotations

import sys
from pathlib import Path

from alembic import command
from alembic.config import Config


def upgrade(path: Path, revision: str = "head") -> None:
    """Run the migrations that the SQLite file at `path` lacks, each in one transaction."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations").replace("%", "%%"))
    config.attributes["url"] = f"sqlite:///{path}"
    command.upgrade(config, revision)


if __name__ == "__main__":
    upgrade(Path(sys.argv[1]))
