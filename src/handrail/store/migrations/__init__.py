"""Migrations: alembic revisions, each from one schema to the next. `tables.SCHEMA` names the newest."""
