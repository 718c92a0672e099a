from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from handrail.sandbox import Box, ResourceLimits, Walls
from handrail.sandbox.backends import AnyBackend, open_backend
from handrail.sandbox.bubblewrap import BubblewrapBackend
from handrail.sandbox.none import NoneBackend
from handrail.sandbox.paths import python_paths
from handrail.types import SandboxKind


@dataclass(frozen=True)
class Place:
    """Directories of one session."""

    top: Path
    workspace: Path
    home: Path

    def walls(self, **limits: int | float) -> Walls:
        config = self.workspace / ".git" / "config"
        return Walls(
            self.workspace,
            self.home,
            read_only=python_paths(),
            protected=(config,),
            limits=ResourceLimits(**limits),  # type: ignore[arg-type]
        )


@pytest.fixture
def place(tmp_path: Path) -> Place:
    for name in ("workspace", "home"):
        (tmp_path / name).mkdir()
    (tmp_path / "workspace" / ".git").mkdir()
    (tmp_path / "workspace" / ".git" / "config").write_text("[core]\n")
    return Place(tmp_path, tmp_path / "workspace", tmp_path / "home")


@pytest.fixture
async def bubblewrap() -> AsyncIterator[BubblewrapBackend]:
    backend = BubblewrapBackend()
    yield backend
    await backend.close()


@pytest.fixture
async def bare() -> AsyncIterator[NoneBackend]:
    backend = NoneBackend()
    yield backend
    await backend.close()


@pytest.fixture(params=[SandboxKind.BUBBLEWRAP, SandboxKind.NONE])
async def backend(request: pytest.FixtureRequest) -> AsyncIterator[AnyBackend]:
    chosen = open_backend(request.param)
    yield chosen
    await chosen.close()


@pytest.fixture
async def box(backend: AnyBackend, place: Place) -> Box:
    return await backend.open(place.walls())


@pytest.fixture
async def walled(bubblewrap: BubblewrapBackend, place: Place) -> Box:
    return await bubblewrap.open(place.walls())
