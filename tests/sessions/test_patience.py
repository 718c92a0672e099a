from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from handrail.agents import Diff
from handrail.config import Config
from handrail.sessions.patience import Patience, later, passed, so_far, why
from handrail.store.tables import Then
from handrail.types import now
from tests.store.test_approvals import question

CONFIG = Config(data=Path("/nowhere"))


def test_by_default_a_question_waits_for_ever_and_its_agent_five_minutes() -> None:
    patience, at = Patience.of(CONFIG), now()
    assert patience == Patience(300.0, None, Then.PARK)
    assert patience.until(at) is None
    assert patience.due(at, None) == at + timedelta(minutes=5)


def test_a_deadline_before_the_release_comes_first() -> None:
    patience, at = Patience.of(replace(CONFIG, approval_deadline=60, approval_then="deny")), now()
    deadline = patience.until(at)
    assert deadline == at + timedelta(seconds=60)
    assert patience.due(at, deadline) == deadline


@pytest.mark.parametrize("then", Then)
def test_a_deadline_that_only_parks_is_never_looked_at(then: Then) -> None:
    at = now()
    row = replace(question("a-1"), deadline=at, then=then)
    acts = then is not Then.PARK
    assert passed(row, at) is acts
    assert not passed(row, at - timedelta(seconds=1))
    assert later(row, at) is None
    assert later(row, at - timedelta(seconds=1)) == (at if acts else None)


def test_why_is_one_line_of_what_is_known() -> None:
    diffs = [Diff("a.py", "one\ntwo\n", "one\n2\nthree\n"), Diff("b.py", None, "new\n")]
    said = why("Mend the\nparser\x1b[2J", diffs, so_far(1_234_000_000, 0, metered=True))
    assert said == r"step: Mend the parser\x1b[2J · +3 -1 in 2 files · $1.23 so far"
    assert so_far(0, 3, metered=True) == "cost unknown: calls without a price"
    assert so_far(1_234_000_000, 3, metered=True) == "$1.23 so far, calls without a price"
    assert so_far(0, 0, metered=False) == "not metered: a login of yours pays"


def test_a_huge_change_is_counted_and_not_compared() -> None:
    old, new = "x\n" * 50_000, "y\n" * 60_000
    assert why(None, [Diff("a", old, new)], "x").startswith("+10000 -0 in 1 file")
