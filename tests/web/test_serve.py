from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import socket
import stat
import subprocess
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
import pytest

from handrail.kinds import Kind
from handrail.store.engine import Store
from handrail.store.log import Draft
from handrail.types import SessionId
from tests.store.making import begin
from tests.web.serving import Serving, run, serving

ROOT = os.geteuid() == 0


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Serving]:
    with serving(tmp_path / "data") as living:
        yield living


def fill(path: Path) -> None:
    """Write until the disk is full."""
    with contextlib.suppress(OSError), path.open("wb", buffering=0) as file:
        while True:
            file.write(b"\0" * 4096)


def one_sentence(result: subprocess.CompletedProcess[str], code: int) -> str:
    assert result.returncode == code, result.stderr
    assert "Traceback" not in result.stderr
    lines = result.stderr.strip().splitlines()
    assert len(lines) == 1, result.stderr
    assert lines[0].startswith("handrail: ")
    return lines[0]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    if not ROOT:
        pytest.skip("mounting needs root")
    place = tmp_path / "disk"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", place], check=False).returncode:
        pytest.skip("this machine lets nobody mount")
    try:
        yield place
    finally:
        subprocess.run(["umount", "-l", place], check=True)


async def test_a_server_answers_at_both_doors(server: Serving) -> None:
    facts = server.facts
    assert facts["pid"] == server.process.pid
    assert set(facts) == {"pid", "url", "socket", "token", "version", "started"}
    async with server.client() as owner:
        assert (await owner.get("/health")).json() == {"ok": True}
        assert (await owner.get("/api/v1/status")).json()["pid"] == facts["pid"]
    async with httpx2.AsyncClient(base_url=facts["url"]) as stranger:
        assert (await stranger.get("/health")).json() == {"ok": True}
        assert (await stranger.get("/api/v1/status")).status_code == 401
        told = await stranger.get("/api/v1/status", headers={"authorization": f"Bearer {facts['token']}"})
        assert told.status_code == 200
        assert "server" not in told.headers


def test_every_file_is_its_owners_alone(server: Serving) -> None:
    for path in server.data.rglob("*"):
        assert stat.S_IMODE(path.lstat().st_mode) & 0o077 == 0, path


def test_it_ends_in_order_and_leaves_no_address(server: Serving) -> None:
    server.process.send_signal(signal.SIGTERM)
    assert server.process.wait(20) == 0
    assert not (server.data / "server.json").exists()
    assert not (server.data / "handrail.sock").exists()
    assert "Traceback" not in server.log.read_text()


async def test_it_ends_when_it_is_asked_to(server: Serving) -> None:
    async with server.client() as owner:
        assert (await owner.post("/api/v1/shutdown")).status_code == 202
    assert await asyncio.to_thread(server.process.wait, 10) == 0


async def test_it_ends_while_a_client_sleeps_in_mid_request(server: Serving) -> None:
    half = socket.create_connection(("127.0.0.1", int(server.facts["url"].rpartition(":")[2])))
    half.send(b"POST /api/v1/sessions HTTP/1.1\r\nhost: 127.0.0.1\r\ncontent-length: 100\r\n\r\n{")
    began = time.monotonic()
    server.process.terminate()
    assert await asyncio.to_thread(server.process.wait, 12) == 0
    assert time.monotonic() - began < 10
    half.close()


async def test_a_stream_is_taken_up_where_it_broke(tmp_path: Path) -> None:
    data = tmp_path / "data"
    data.mkdir(mode=0o700)
    async with await Store.open(data / "handrail.db") as store:
        await begin(store, "alice")
        await store.log.append(
            SessionId("alice"), [Draft(Kind.AGENT_TEXT, {"text": f"{n}\nü"}) for n in range(1, 1201)]
        )
    seen: list[int] = []
    with serving(data) as server:
        async with server.client() as owner, owner.sse("/api/v1/sessions/alice/stream", params={"after": 3}) as source:
            assert source.response.headers["content-type"].startswith("text/event-stream")
            async for message in source:
                seen.append(json.loads(message.data)["seq"])
                assert message.id == str(seen[-1])
                if len(seen) == 400:
                    break
        server.process.kill()
        server.process.wait()
    with serving(data) as server:
        headers = {"last-event-id": str(seen[-1])}
        async with (
            server.client() as owner,
            owner.sse("/api/v1/sessions/alice/stream", params={"after": 0}, headers=headers) as source,
        ):
            async for message in source:
                seen.append(json.loads(message.data)["seq"])
                if seen[-1] == 1200:
                    break
            rest = asyncio.create_task(anext(aiter(source), None))
            await asyncio.sleep(0.05)
            server.process.terminate()
            async with asyncio.timeout(3):  # the server's end is the stream's end
                await asyncio.wait({rest})
            rest.exception()
    assert seen == list(range(4, 1201))


def test_a_second_server_is_told_who_is_there(server: Serving) -> None:
    said = one_sentence(run(server.data, "--port", "0"), 2)
    assert f"process {server.process.pid}" in said
    assert server.process.poll() is None
    assert json.loads((server.data / "server.json").read_text())["pid"] == server.process.pid


def test_a_killed_server_is_in_nobodys_way(tmp_path: Path) -> None:
    data = tmp_path / "data"
    with serving(data) as first:
        first.process.kill()
        first.process.wait()
        token = first.facts["token"]
    assert (data / "handrail.sock").exists()
    with serving(data) as second:
        assert second.facts["token"] == token


def test_a_taken_port(server: Serving, tmp_path: Path) -> None:
    port = server.facts["url"].rpartition(":")[2]
    said = one_sentence(run(tmp_path / "other", "--port", port), 2)
    assert f"port: {port} cannot be used" in said
    (tmp_path / "third").mkdir()
    (tmp_path / "third" / "config.toml").write_text(f"port = {port}\n")
    assert port in one_sentence(run(tmp_path / "third"), 2)


def test_a_long_data_path_still_has_a_socket(tmp_path: Path) -> None:
    with serving(tmp_path / ("d" * 120)) as server:
        place = Path(server.facts["socket"])
        assert place.exists()
        assert len(os.fsencode(place)) <= 100
    assert not place.parent.exists()


@pytest.mark.parametrize(
    ("more", "said"),
    [
        (("--host", "0.0.0.0"), "host: '0.0.0.0' cannot be used"),  # noqa: S104
        (("--port", "99999"), "port: 99999 cannot be used"),
    ],
)
def test_an_address_that_cannot_be(tmp_path: Path, more: tuple[str, ...], said: str) -> None:
    assert said in one_sentence(run(tmp_path / "data", *more), 2)


def test_a_data_directory_that_cannot_be(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert "data: " in one_sentence(run(tmp_path / "file"), 2)
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "config.toml").write_text("turn_idle = -1\n")
    assert "turn_idle" in one_sentence(run(tmp_path / "bad"), 2)
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "handrail.db").write_bytes(b"this is no database, and it is long enough to say so" * 10)
    one_sentence(run(tmp_path / "other"), 2)


def test_a_read_only_disk(small_disk: Path) -> None:
    subprocess.run(["mount", "-o", "remount,ro", small_disk], check=True)
    assert "read-only" in one_sentence(run(small_disk / "data"), 2)
    assert "read-only" in one_sentence(run(small_disk), 2)


def test_a_full_disk_at_the_start(small_disk: Path) -> None:
    (small_disk / "ballast").write_bytes(b"\0" * ((1 << 20) - 8192))
    said = one_sentence(run(small_disk / "data"), 1)
    assert "room" in said


async def test_a_disk_that_fills_up_later_breaks_nothing(small_disk: Path) -> None:
    data = small_disk / "data"
    with serving(data) as server:
        async with server.client() as owner:
            fill(data / "ballast")
            for number in range(200):
                body = {"wire": "openai", "key": "k" * 8000, "base_url": "http://x.example"}
                answer = await owner.put(f"/api/v1/providers/p{number}", json=body)
                if answer.is_error:
                    break
            assert answer.status_code == 507
            assert answer.json()["code"] == "storage_full"
            assert (await owner.get("/api/v1/status")).status_code == 200
            (data / "ballast").unlink()
            assert (await owner.put("/api/v1/providers/after", json=body)).status_code == 200
    assert "Traceback" not in server.log.read_text()
