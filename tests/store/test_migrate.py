from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

from alembic.config import Config
from alembic.script import ScriptDirectory

import handrail.store.migrate
from handrail.store.engine import Store
from handrail.store.migrate import upgrade
from handrail.store.tables import SCHEMA


async def test_a_fresh_database_is_what_the_migrations_make(tmp_path: Path) -> None:
    await (await Store.open(tmp_path / "fresh.db")).close()
    await asyncio.to_thread(upgrade, f"sqlite:///{tmp_path / 'migrated.db'}")
    assert schema(tmp_path / "fresh.db") == schema(tmp_path / "migrated.db")


def test_the_code_names_the_newest_revision() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(handrail.store.migrate.__file__).parent / "migrations"))
    scripts = ScriptDirectory.from_config(config)
    assert scripts.get_heads() == [SCHEMA]
    revisions = [script.revision for script in scripts.walk_revisions()]
    assert sorted(revisions, reverse=True) == revisions


def schema(path: Path) -> dict[str, list[str]]:
    """What each table and index consists of; the order of constraints means nothing."""
    connection = sqlite3.connect(path)
    rows = connection.execute("SELECT name, sql FROM sqlite_master WHERE sql IS NOT NULL").fetchall()
    version = connection.execute("SELECT version_num FROM alembic_version").fetchone()
    connection.close()
    made = {name: sorted("".join(sql.split()).removesuffix(")").split(",")) for name, sql in rows}
    return made | {"version": [version[0]]}
