from __future__ import annotations

import asyncio
import os
import resource
import shutil
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from handrail.errors import Conflict, HandrailError, StorageFull, Unavailable
from handrail.store import sessions
from handrail.store.engine import Store
from handrail.store.tables import SCHEMA
from tests.store.making import ALICE, begin, said


async def test_a_fresh_database_is_quick_private_and_safe_from_kill(tmp_path: Path) -> None:
    path = tmp_path / "new" / "data" / "handrail.db"
    started = time.perf_counter()
    async with await Store.open(path) as store:
        assert time.perf_counter() - started < 0.5
        await begin(store, "alice")
        assert path.stat().st_mode & 0o777 == 0o600
        assert path.with_name("handrail.db-wal").stat().st_mode & 0o777 == 0o600
        assert path.parent.stat().st_mode & 0o777 == 0o700
    with sqlite3.connect(path) as connection:
        assert connection.execute("PRAGMA journal_mode").fetchone() == ("wal",)
        assert connection.execute("SELECT version_num FROM alembic_version").fetchall() == [(SCHEMA,)]
    connection.close()


async def test_closing_twice_is_fine_and_what_was_written_is_there_again(tmp_path: Path) -> None:
    store = await Store.open(tmp_path / "handrail.db")
    await begin(store, "alice")
    await store.close()
    await store.close()
    async with await Store.open(tmp_path / "handrail.db") as again:
        assert (await sessions.get(again, ALICE)).number == 1
        assert await sessions.next_number(again) == 2


@pytest.mark.parametrize("cut", [1, 37, 4120, 9000])
async def test_a_log_whose_last_line_was_half_written_keeps_its_history(tmp_path: Path, cut: int) -> None:
    """Incident 16 (CC#53821: half a line at the end, and the conversation could not be opened any more)."""
    path, torn = tmp_path / "handrail.db", tmp_path / "torn.db"
    async with await Store.open(path) as store:
        await begin(store, "alice")
        for number in range(30):
            await store.log.append(ALICE, [said(f"line {number} " + "x" * 500)])
        shutil.copy(path, torn)
        journal = Path(f"{path}-wal").read_bytes()
    assert len(journal) > 10_000, "the log is in the journal still"
    Path(f"{torn}-wal").write_bytes(journal[:-cut])
    async with await Store.open(torn) as store:
        kept = [str(event.data["text"]).split()[1] for event in await store.log.read(ALICE)]
        assert kept == [str(number) for number in range(len(kept))]
        assert 25 <= len(kept) < 30
        await store.log.append(ALICE, [said("goes on")])
        assert (await store.log.read(ALICE))[-1].data["text"] == "goes on"


async def test_a_newer_database_is_left_alone(tmp_path: Path) -> None:
    path = await made(tmp_path)
    run(path, "UPDATE alembic_version SET version_num = '9999'")
    with pytest.raises(Conflict, match=r"newer Handrail \(schema 9999"):
        await Store.open(path)


async def test_a_database_that_is_behind_is_brought_up_to_date(tmp_path: Path) -> None:
    path = tmp_path / "handrail.db"
    run(path, "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    async with await Store.open(path) as store:
        await begin(store, "alice")


async def test_a_migration_that_fails_says_why(tmp_path: Path) -> None:
    path = tmp_path / "handrail.db"
    run(path, "CREATE TABLE alembic_version (version_num VARCHAR(32) NOT NULL)")
    run(path, "CREATE TABLE sessions (id TEXT)")
    with pytest.raises(HandrailError, match=r"could not be brought to schema .*: .*already exists"):
        await Store.open(path)


async def test_somebody_elses_database_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "handrail.db"
    run(path, "CREATE TABLE recipes (id TEXT)")
    with pytest.raises(Conflict, match="belongs to another program"):
        await Store.open(path)


async def test_a_file_that_is_no_database_is_said(tmp_path: Path) -> None:
    path = tmp_path / "handrail.db"
    path.write_bytes(b"not a database at all" * 500)
    with pytest.raises(HandrailError, match="damaged"):
        await Store.open(path)


async def test_a_damaged_page_is_said_and_ends_nothing_else(tmp_path: Path) -> None:
    path = await made(tmp_path, events=9000)  # far more than the pages of the schema
    size = path.stat().st_size
    with path.open("r+b") as file:
        file.seek(size // 2)
        file.write(os.urandom(size // 4))
    async with await Store.open(path) as store:
        with pytest.raises(HandrailError, match="damaged"):
            await store.log.read(ALICE, limit=100_000)
        assert (await sessions.get(store, ALICE)).number == 1


async def test_a_torn_tail_loses_the_last_appends_and_nothing_before(tmp_path: Path) -> None:
    path = tmp_path / "handrail.db"
    async with await Store.open(path) as store:
        await begin(store, "alice")
        bare = path.with_name("handrail.db-wal").stat().st_size
        for number in range(50):
            await store.log.append(ALICE, [said(str(number)), said(str(number))])
        torn = tmp_path / "torn"
        torn.mkdir()
        shutil.copy(path, torn)
        wal = path.with_name("handrail.db-wal").read_bytes()
    for cut in (1, 100, 4096, (len(wal) - bare) // 2):
        (torn / "handrail.db-wal").write_bytes(wal[:-cut])
        (torn / "handrail.db-shm").unlink(missing_ok=True)
        copy = tmp_path / f"cut{cut}"
        shutil.copytree(torn, copy)
        async with await Store.open(copy / "handrail.db") as store:
            events = await store.log.read(ALICE)
            assert [event.seq for event in events] == list(range(1, len(events) + 1))
            assert len(events) % 2 == 0
            assert 20 < len(events) <= 98
            assert (await store.log.append(ALICE, [said("on")]))[0].seq == len(events) + 1


async def test_a_database_that_another_program_holds_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("handrail.store.sqlite._PRAGMAS", ("PRAGMA busy_timeout=50",))
    path = await made(tmp_path)
    holder = sqlite3.connect(path, isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    with pytest.raises(Unavailable, match="held by another program"):
        await Store.open(path)
    holder.execute("ROLLBACK")
    holder.close()
    await (await Store.open(path)).close()


async def test_a_directory_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(HandrailError, match="cannot be written"):
        await Store.open(tmp_path / "file" / "handrail.db")
    with pytest.raises(HandrailError, match="cannot be written"):
        await Store.open(tmp_path)


async def test_two_hundred_idle_sessions_cost_almost_nothing(store: Store) -> None:
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for number in range(200):
        name = await begin(store, f"s{number}")
        await store.log.append(name, [said("hello")])
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 8 * 1024


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 2 MB."""
    if os.geteuid() != 0:
        pytest.skip("needs root to mount a small file system")
    disk = tmp_path / "disk"
    disk.mkdir()
    done = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=2m", "tmpfs", str(disk)], check=False)
    if done.returncode != 0:
        pytest.skip("this machine lets nobody mount")
    yield disk
    subprocess.run(["umount", "-l", str(disk)], check=True)


async def test_a_full_disk_is_said_and_nothing_is_half_written(small_disk: Path) -> None:
    path = small_disk / "handrail.db"
    async with await Store.open(path) as store:
        await begin(store, "alice")
        ballast = small_disk / "ballast"
        ballast.write_bytes(bytes(1 << 19))
        with pytest.raises(StorageFull, match="no room is left"):
            await fill(store)
        written = await store.log.last_seq(ALICE)
        assert written > 2
        assert written % 2 == 0
        lost = await asyncio.gather(
            *(store.log.append(ALICE, [said("x" * 20_000)]) for _ in range(5)), return_exceptions=True
        )
        assert {type(item) for item in lost} == {StorageFull}
        assert await store.log.last_seq(ALICE) == written
        ballast.unlink()
        assert (await store.log.append(ALICE, [said("room again")]))[0].seq == written + 1
    async with await Store.open(path) as store:
        assert len(await store.log.read(ALICE)) == written + 1


async def test_a_full_disk_at_the_start_is_said(small_disk: Path) -> None:
    with pytest.raises(OSError, match="No space"):
        (small_disk / "ballast").write_bytes(bytes(4 << 20))
    with pytest.raises(StorageFull):
        await Store.open(small_disk / "handrail.db")
    (small_disk / "ballast").unlink()
    await (await Store.open(small_disk / "handrail.db")).close()


LIMITED = """
import asyncio, resource, sys
from pathlib import Path
from handrail.errors import StorageFull
from handrail.store.engine import Store
from tests.store.making import ALICE, begin, said

async def main():
    store = await Store.open(Path(sys.argv[1]))
    await begin(store, "alice")
    resource.setrlimit(resource.RLIMIT_FSIZE, (1 << 20, 1 << 20))
    written = 0
    try:
        while True:
            await store.log.append(ALICE, [said("x" * 20_000)])
            written += 1
    except StorageFull:
        print(written)
    await store.close()

asyncio.run(main())
"""


async def test_a_file_size_limit_is_said_too(tmp_path: Path) -> None:
    path = tmp_path / "handrail.db"
    child = await asyncio.create_subprocess_exec(
        sys.executable, "-c", LIMITED, str(path), stdout=asyncio.subprocess.PIPE
    )
    out, _ = await child.communicate()
    assert child.returncode == 0
    async with await Store.open(path) as store:
        assert await store.log.last_seq(ALICE) == int(out) > 0


async def fill(store: Store) -> None:
    while True:
        await store.log.append(ALICE, [said("x" * 20_000), said("y" * 20_000)])


async def made(tmp_path: Path, events: int = 1) -> Path:
    path = tmp_path / "handrail.db"
    async with await Store.open(path) as store:
        await begin(store, "alice")
        await store.log.append(ALICE, [said(f"event {number}") for number in range(events)])
    return path


def run(path: Path, statement: str) -> None:
    connection = sqlite3.connect(path)
    with connection:
        connection.execute(statement)
    connection.close()
