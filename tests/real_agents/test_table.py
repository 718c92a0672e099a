from __future__ import annotations

from handrail.agents.catalogue import ORDER, get
from tests.real_agents.table import PAGE, render, rows


def test_page_is_in_step_with_the_runs() -> None:
    assert PAGE.read_text("utf-8") == render(rows())


def test_runs_are_of_the_pinned_versions() -> None:
    seen = {row["agent"]: row["version"] for row in rows()}
    assert tuple(seen) == ORDER
    for name, version in seen.items():
        package = get(name).package
        assert package is None or package.version == version
