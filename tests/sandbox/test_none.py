from __future__ import annotations

import os

import pytest

from handrail.errors import SandboxError
from handrail.sandbox import Guarantee
from handrail.sandbox.none import NoneBackend
from tests.sandbox.conftest import Place
from tests.sandbox.test_process import alive


async def test_nothing_is_guaranteed(bare: NoneBackend, place: Place) -> None:
    box = await bare.open(place.walls())
    assert await bare.probe() == box.guarantee == Guarantee.NOTHING


async def test_every_box_has_a_door_of_its_own(bare: NoneBackend, place: Place) -> None:
    one, two = await bare.open(place.walls()), await bare.open(place.walls())
    assert one.door_url() != two.door_url()


async def test_a_missing_workspace_is_refused(bare: NoneBackend, place: Place) -> None:
    walls = place.walls()
    walls.protected[0].unlink()
    with pytest.raises(SandboxError, match="protected path"):
        await bare.open(walls)


async def test_a_command_without_its_mark_is_found_by_descent(bare: NoneBackend, place: Place) -> None:
    box = await bare.open(place.walls())
    mark = f"{600 + os.getpid() / 1e6:.6f}"
    process = await box.start(["sh", "-c", f"env -i setsid sleep {mark} & echo on; wait"], env={})
    await process.stdout.readline()
    await process.kill()
    assert alive(mark) == []
