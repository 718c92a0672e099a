from __future__ import annotations

import asyncio
import os
import signal
from pathlib import Path

import pytest

from handrail.errors import SandboxError
from handrail.sandbox.client import LauncherClient
from handrail.sandbox.orders import Order


def order(*argv: str) -> Order:
    return Order(
        id=0, walled=False, argv=list(argv), args=[], env={}, cwd="/", data={}, stage=[], uid=None, rlimits={},
        processes=0, cgroups=[], door=None, mark="test", warm=None,
    )  # fmt: skip


def descriptors() -> list[int]:
    return [os.open(os.devnull, os.O_RDWR) for _ in range(3)]


async def test_orders_are_followed_to_their_end() -> None:
    client = LauncherClient()
    stdio = descriptors()
    started = await client.start(order("/bin/sh", "-c", "exit 7"), stdio)
    assert (await started.ended).code == 7
    missing = await client.start(order("/no/such/program"), stdio)
    ended = await missing.ended
    assert not ended.ran
    assert ended.detail == "/no/such/program: No such file or directory"
    for descriptor in stdio:
        os.close(descriptor)
    client.close()
    assert not client.alive


async def test_the_scratch_goes_with_the_launcher(tmp_path: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    (scratch / "file").touch()
    client = LauncherClient(scratch)
    # it is up once it has answered
    stdio = descriptors()
    await (await client.start(order("/bin/true"), stdio)).ended
    client.close()
    assert not scratch.exists()
    for descriptor in stdio:
        os.close(descriptor)


async def test_a_launcher_that_is_gone_ends_what_it_started() -> None:
    client = LauncherClient()
    stdio = descriptors()
    started = await client.start(order("/bin/sleep", "60"), stdio)
    await started.running
    os.kill(client.pid, signal.SIGKILL)
    assert (await asyncio.wait_for(started.ended, 5)).code == -9
    assert not client.alive
    with pytest.raises(SandboxError, match="launcher has ended"):
        await client.start(order("/bin/true"), stdio)
    for descriptor in stdio:
        os.close(descriptor)
