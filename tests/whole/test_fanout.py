"""The small edition of `make test-fanout`: eight repositories, three of them planted to fail, two kills."""

from __future__ import annotations

import random
from pathlib import Path

import pytest

from tests.whole import fanout
from tests.whole.conftest import Build


@pytest.mark.timeout(170)
def test_a_migration_of_many_repositories_outlives_kills_and_is_read_by_group(build: Build, tmp_path: Path) -> None:
    seed = random.randrange(1 << 30)  # noqa: S311  # moments, no secret
    print(f"seed {seed}")  # shown when it fails
    planted = fanout.plant(tmp_path / "work", 8)
    house = build(repository=planted.good[0])
    told = fanout.run(house, planted, tmp_path / "migrate.yaml", kills=2, seed=seed, seconds=120)
    fanout.verify(planted, told)
    shown = house.run("runs", "show", "last").stdout
    assert "5 alike: done" in shown
    assert "2 alike: failed (turns_spent)" in shown
    assert "1 alike: needs person (conflict)" in shown
    taken = next(task for task in told["all"] if task["repository"] == str(planted.taken))
    assert f"handrail take {taken['id']}" in shown
