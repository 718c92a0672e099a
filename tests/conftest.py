"""Options and fixtures for every room."""

from __future__ import annotations

import gc
import itertools
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


LONG = {Path(__file__).parent / room for room in ("real_agents", "web/journeys", "whole")}
"""the rooms whose tests take seconds"""

# what collection makes stays to the end: looking through it again and again took two fifths of collection
gc.disable()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Each of several workers begins with its share of the long files and ends with what is quick.

    `worksteal` cuts the tests into one piece a worker, and lets who is done take the half of another's rest. A minute
    of one test that comes last is a minute in which the others have nothing to do, and a file that is cut sets up its
    servers and its browser once more.
    """
    count = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    if count == 1:
        return
    long = [list(of) for path, of in itertools.groupby(items, lambda item: item.path) if LONG & {*path.parents}]
    taken = set(itertools.chain.from_iterable(long))
    quick = (item for item in items if item not in taken)
    ordered: list[pytest.Item] = []
    for worker in range(count):
        ordered += itertools.chain.from_iterable(long[worker::count])
        ordered += itertools.islice(quick, max(0, len(items) * (worker + 1) // count - len(ordered)))
    items[:] = ordered


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
