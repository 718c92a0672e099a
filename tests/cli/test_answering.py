from __future__ import annotations

import pytest

from handrail.cli.answering import Reply, chosen, understood
from handrail.errors import InvalidInput

ASKED = {
    "options": [
        {"id": "always", "name": "Always allow rm", "kind": "allow_always"},
        {"id": "once", "name": "Allow", "kind": "allow_once"},
        {"id": "no", "name": "Reject", "kind": "reject_once"},
        {"id": "never", "name": "Never", "kind": "reject_always"},
    ]
}


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("a", Reply("allow", "once")),
        ("Y", Reply("allow", "once")),
        ("d", Reply("deny", "no")),
        ("n use trash instead", Reply("deny", "no", "use trash instead")),
        ("1", Reply("allow", "always")),
        ("4", Reply("deny", "never")),
        ("5", None),
        ("0", None),
        ("allow everything you like", None),
        ("", None),
        ("run the tests", None),
    ],
)
def test_only_clear_words_answer(text: str, want: Reply | None) -> None:
    assert understood(text, ASKED) == want


def test_without_options_the_decision_stands_alone() -> None:
    assert understood("y", {}) == Reply("allow")
    assert chosen({}, "deny", None) == Reply("deny")


def test_an_option_is_found_by_number_id_or_name() -> None:
    assert chosen(ASKED, "allow", "1") == chosen(ASKED, "allow", "always") == chosen(ASKED, "allow", "Always allow rm")
    with pytest.raises(InvalidInput, match="the agent offers: 1 Always allow rm, 2 Allow"):
        chosen(ASKED, "allow", "9")
