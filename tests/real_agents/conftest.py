from __future__ import annotations

import pytest

from handrail.agents import catalogue, install
from tests.real_agents.fetch import CACHE

CI = ("handrail", "claude", "codex", "gemini", "goose")


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "agent" in metafunc.fixturenames:
        everything = metafunc.config.getoption("--all-agents", default=False)
        metafunc.parametrize("agent", catalogue.ORDER if everything else CI, indirect=True)


@pytest.fixture
def agent(request: pytest.FixtureRequest) -> str:
    """The name of an agent that is installed in the shared cache."""
    name = str(request.param)
    if install.find(catalogue.get(name), CACHE) is None:
        pytest.skip(f"{name} is not in {CACHE}: run `make agents-ci`, or python -m tests.real_agents.fetch {name}")
    return name
