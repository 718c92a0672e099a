from __future__ import annotations

import asyncio
import time
from functools import partial

import psycopg
import pytest
from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError

from handrail.errors import Conflict, InvalidInput
from handrail.store import sessions
from handrail.store.engine import Store
from tests import postgres
from tests.store.making import begin


@pytest.mark.parametrize("url", ["mysql://me:secret@db/handrail", "secret"])
def test_what_is_no_postgresql_is_refused_without_a_word_of_its_password(url: str) -> None:
    with pytest.raises(InvalidInput, match=r"give postgresql://") as error:
        asyncio.run(Store.open(url))
    assert "secret" not in str(error.value)


async def test_servers_that_start_at_once_make_one_schema_and_give_each_number_once() -> None:
    url = postgres.database()
    stores = await asyncio.gather(*(Store.open(url) for _ in range(4)))
    numbers = await asyncio.gather(*(sessions.next_number(store) for store in stores for _ in range(5)))
    assert sorted(numbers) == list(range(1, 21))
    for store in stores:
        await store.close()


async def test_another_programs_database_is_left_alone() -> None:
    url = postgres.database()
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE theirs (id int)")
    with pytest.raises(Conflict, match="belongs to another program"):
        await Store.open(url)


async def test_a_database_that_goes_away_is_said_and_used_again_when_it_is_back() -> None:
    url = postgres.database()
    async with await Store.open(url) as store:
        await begin(store, "alice")
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            )
        assert len(await sessions.newest(store)) == 1  # a reader asks once more by itself
        await begin(store, "bob")  # so does the writer, of whose transaction nothing was done
        cut: list[int] = []
        with pytest.raises(OperationalError):  # it may have been done: nobody repeats it
            await store._database.write(partial(_cut_off_at_its_commit, url=url, cut=cut))
        assert len(cut) == 1
        await begin(store, "carol")
        assert [row.id for row in await sessions.newest(store)] == ["carol", "bob", "alice"]


def _cut_off_at_its_commit(connection: Connection, *, url: str, cut: list[int]) -> None:
    with connection.begin():
        mine = connection.scalar(text("SELECT pg_backend_pid()"))
        cut.append(mine)
        with psycopg.connect(url, autocommit=True) as other:
            other.execute("SELECT pg_terminate_backend(%s)", [mine])


async def test_a_server_that_is_stopped_in_the_middle_of_a_transaction_goes_on_with_it() -> None:
    url = postgres.database()
    async with await Store.open(url) as store:
        tries: list[int] = []

        def work(connection: Connection) -> None:
            with connection.begin():
                connection.execute(text("SET LOCAL idle_in_transaction_session_timeout = '50ms'"))
                if not tries:
                    time.sleep(0.5)
                tries.append(1)
                connection.execute(text("UPDATE servers SET pid = pid"))

        await store._database.write(work)
        assert len(tries) == 2
