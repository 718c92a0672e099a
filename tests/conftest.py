"""Options and fixtures for every room."""

from __future__ import annotations

import gc
import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import settings

from handrail.sandbox import Backend, Guarantee, bubblewrap, probe

# the same examples each time, so that what fails in CI is of the change; `search` looks for new ones
settings.register_profile("same", derandomize=True, deadline=None, max_examples=100)
settings.register_profile("search", deadline=None, max_examples=3000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


# what collection makes stays to the end: looking through it again and again took two fifths of collection
gc.disable()


def pytest_collection_finish() -> None:
    gc.collect()
    gc.freeze()
    gc.enable()


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all-agents", action="store_true", help="drive all seven real agents, not only the four of CI")


@pytest.fixture(scope="session", autouse=True)
def probed_once() -> Iterator[None]:
    """The walls are probed once a process of tests, as they are once a server, and not once a test."""
    reports: dict[Guarantee, probe.Report] = {}

    async def measure(backend: Backend, scratch: Path, limits: Guarantee) -> probe.Report:
        if limits not in reports:
            reports[limits] = await probe.measure(backend, scratch, limits)
        return reports[limits]

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(bubblewrap, "measure", measure)
        yield
