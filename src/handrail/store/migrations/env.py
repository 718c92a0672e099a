"""What alembic runs for every command (https://alembic.sqlalchemy.org/en/latest/tutorial.html#the-migration-environment)."""

from __future__ import annotations

from alembic import context
from sqlalchemy import Connection, create_engine, event

from handrail.store.postgres import locked
from handrail.store.tables import metadata


def _run() -> None:
    engine = create_engine(context.config.attributes["url"])
    if engine.dialect.name == "sqlite":
        # the driver would commit before each change of the schema (https://docs.sqlalchemy.org/dialects/sqlite.html)
        event.listen(engine, "connect", lambda connection, _: setattr(connection, "isolation_level", None))
        event.listen(engine, "begin", _begun)
    else:
        event.listen(engine, "begin", locked)
    with engine.connect() as connection:
        context.configure(
            connection=connection,
            target_metadata=metadata,
            render_as_batch=True,
            transactional_ddl=True,
            transaction_per_migration=True,
        )
        with context.begin_transaction():
            context.run_migrations()
    engine.dispose()


def _begun(connection: Connection) -> None:
    connection.exec_driver_sql("BEGIN IMMEDIATE")


_run()
