"""Options and fixtures for every room."""

from __future__ import annotations

import pytest


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--all-agents", action="store_true", help="drive all seven real agents, not only the four of CI")
