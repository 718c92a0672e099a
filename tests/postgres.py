"""A real PostgreSQL for the tests of one process: made when it is first asked for, gone with the process."""

from __future__ import annotations

import atexit
import itertools
import os
import shutil
import subprocess
import tempfile
import time
from functools import cache
from pathlib import Path

_numbers = itertools.count(1)


def database() -> str:
    """The URL of a new, empty database."""
    url, name = _server(), f"handrail_{next(_numbers)}"
    _sql(url, f"CREATE DATABASE {name}")
    return f"postgresql://postgres@/{name}?host={url}"


KINDS = ("sqlite", "postgresql")


def place(kind: str, folder: Path) -> Path | str:
    """An empty database of this kind, as `Store.open` takes it."""
    return folder / "handrail.db" if kind == "sqlite" else emptied()


def emptied() -> str:
    """The URL of the one database that tests share one after the other; nothing is in its tables."""
    url = _shared()
    _sql(_server(), _EMPTY, url.removeprefix("postgresql://postgres@/").partition("?")[0])
    return url


_EMPTY = """DO $$ DECLARE names text; BEGIN
  SELECT string_agg(quote_ident(tablename), ', ') INTO names FROM pg_tables
  WHERE schemaname = 'public' AND tablename <> 'alembic_version';
  IF names IS NOT NULL THEN
    EXECUTE 'TRUNCATE ' || names || ' RESTART IDENTITY'; ALTER SEQUENCE session_numbers RESTART;
  END IF;
END $$"""


@cache
def _shared() -> str:
    return database()


def _sql(host: str, statement: str, name: str = "postgres") -> None:
    import psycopg  # noqa: PLC0415  # only where a database is asked for

    with psycopg.connect(host=host, user="postgres", dbname=name, autocommit=True) as connection:
        connection.execute(statement)


def programs() -> Path:
    """Where Debian keeps the programs of a PostgreSQL server."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    assert found, "no PostgreSQL server is installed: run scripts/setup --tests"
    return found[-1].parent


@cache
def _server() -> str:
    """Start it; returns the folder of its socket. It answers nobody but through that, and syncs nothing to disk."""
    folder = Path(tempfile.mkdtemp(prefix="handrail-postgres-"))
    as_user: list[str] = []
    if os.geteuid() == 0:  # it refuses to be run by root
        shutil.chown(folder, "postgres", "postgres")
        as_user = ["setpriv", "--reuid=postgres", "--regid=postgres", "--clear-groups"]
    data, where = folder / "data", programs()
    made = [
        *as_user,
        str(where / "initdb"),
        "-D",
        str(data),
        "-U",
        "postgres",
        "-A",
        "trust",
        "--no-sync",
        "-E",
        "UTF8",
    ]
    subprocess.run([*made, "--locale=C.UTF-8"], check=True, capture_output=True, cwd=folder)
    options = {
        "listen_addresses": "", "unix_socket_directories": folder, "fsync": "off", "full_page_writes": "off",
        "shared_buffers": "16MB", "max_connections": "200",
    }  # fmt: skip
    words = [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    with (folder / "log").open("wb") as log:
        command = [*as_user, "setpriv", "--pdeathsig=QUIT", str(where / "postgres"), "-D", str(data), *words]
        process = subprocess.Popen(command, cwd=folder, stdout=log, stderr=log, start_new_session=True)
    until = time.monotonic() + 60
    while not _answers(where, folder):
        assert process.poll() is None, (folder / "log").read_text()
        assert time.monotonic() < until, "PostgreSQL did not start within 60 s"
        time.sleep(0.05)
    atexit.register(_end, process, folder)
    return str(folder)


def _answers(where: Path, folder: Path) -> bool:
    asked = subprocess.run([where / "pg_isready", "-q", "-h", folder, "-t", "1"], check=False)
    return asked.returncode == 0


def _end(process: subprocess.Popen[bytes], folder: Path) -> None:
    process.terminate()
    process.wait(10)
    shutil.rmtree(folder, ignore_errors=True)
