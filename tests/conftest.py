"""Options and fixtures for every room."""

from __future__ import annotations

import os

import pytest
from hypothesis import settings

# the same examples each time, so that what fails in CI is of the change; `search` looks for new ones
settings.register_profile("same", derandomize=True, deadline=None, max_examples=100)
settings.register_profile("search", deadline=None, max_examples=3000)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "same"))


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all-agents", action="store_true", help="drive all seven real agents, not only the four of CI")
