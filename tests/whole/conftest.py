"""The house of each test: its own data directory, repository, port and model."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fake_github import FakeGitHub
from tests.whole.house import House, Model


def git(folder: Path, *words: str) -> str:
    who = ("-c", "user.name=Alice", "-c", "user.email=alice@example.invalid", "-c", "commit.gpgsign=false")
    command = ["git", "-C", str(folder), *who, *words]
    return subprocess.run(command, check=True, capture_output=True, text=True, timeout=20).stdout


def make_repository(folder: Path) -> Path:
    """A small project with one commit."""
    folder.mkdir(parents=True)
    (folder / "greet.py").write_text('def greet(name):\n    return "Hallo " + name\n')
    (folder / "check.sh").write_text('grep -q "Hello" greet.py\n')
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "first")
    return folder


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    return make_repository(tmp_path / "project")


@pytest.fixture
def model() -> Iterator[Model]:
    with Model() as played:
        yield played


Build = Callable[..., House]
"""builds a house; what it is given are fields of `House`"""


@pytest.fixture
def build(tmp_path: Path, repository: Path, model: Model) -> Iterator[Build]:
    houses: list[House] = []

    def built(**fields: object) -> House:
        given: dict[str, object] = {"data": tmp_path / "data", "repository": repository, "model": model} | fields
        houses.append(House(**given))  # type: ignore[arg-type]
        return houses[-1]

    yield built
    for house in houses:
        house.close()


@pytest.fixture
def house(build: Build) -> House:
    return build()


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """A house whose server goes on for all tests of a file that need none of their own: starting one is dear."""
    top = tmp_path_factory.mktemp("lasting")
    with Model() as played:
        house = House(top / "data", make_repository(top / "project"), played)
        house.run("up")
        yield house
        house.close()


@pytest.fixture
def shared(lasting: House, repository: Path) -> House:
    """The same with a repository of this test's own; `last` is the newest session of all of the file's tests."""
    return replace(lasting, repository=repository)


@pytest.fixture
async def github(tmp_path: Path) -> AsyncIterator[FakeGitHub]:
    """A GitHub with real repositories; nothing that was said to it or that it said may break GitHub's own contract."""
    async with FakeGitHub(tmp_path / "github") as double:
        yield double
        await double.settled()
    assert double.violations == []
