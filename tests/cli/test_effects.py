from __future__ import annotations

from handrail.cli.client import Obj
from handrail.cli.effects import became, whole
from handrail.cli.layout import plain

WAITING: Obj = {
    "id": "f-1", "state": "waiting", "kind": "review", "target": "acme/shop", "by": "agent",
    "reason": "every effect of a supervised workflow waits for a person",
}  # fmt: skip


def test_a_review_is_shown_with_its_comments_on_lines_before_anybody_says_yes() -> None:
    comments = [{"path": "src/price.py", "line": 12, "body": "This rounds down.\nUse Decimal."}]
    body = {"number": 7, "verdict": "request_changes", "body": "Two things.", "comments": comments, "add": ["a", "b"]}
    rows = [plain(row) for row in whole(WAITING | {"body": body})]
    assert rows[2:] == [
        "number: 7", "verdict: request_changes", "add: a, b", "", "Two things.",
        "", "src/price.py:12", "  This rounds down.", "  Use Decimal.",
    ]  # fmt: skip


def test_what_became_of_it_says_no_more_why_it_had_waited() -> None:
    assert plain(became(WAITING | {"state": "approved"})) == "f-1 is approved"
    carried = WAITING | {"state": "carried", "receipt": {"url": "https://hub/pull/7"}}
    assert plain(became(carried)) == "f-1 is carried: https://hub/pull/7"
    failed = WAITING | {"state": "failed", "reason": "the forge answered 500", "task": "t-1"}
    assert plain(became(failed)) == "f-1 is failed: the forge answered 500"
    again = failed | {"state": "approved", "due": "2026-11-27T06:00:00Z"}
    assert "the forge answered 500; it is tried again by itself at 2026-11-27 06:00 UTC" in plain(became(again))
