from __future__ import annotations

from handrail.notify import Notice, Occasion
from handrail.notify.links import LINK_LIFE, Links
from handrail.notify.wording import Place, worded
from handrail.types import ApprovalId, SessionId
from tests.notify.conftest import TIME

PLACE = Place("https://h.example.com", Links(b"m" * 32))
ASKED = Notice(
    Occasion.ASKED,
    "rm -rf build\x1b[2J\nand more",
    "Mend the parser",
    SessionId("s-1"),
    "claude",
    ApprovalId("a-1"),
)


def test_a_question_names_what_and_why_on_one_line_and_links_to_its_answers() -> None:
    message = worded(ASKED, "msg_1", "mail", TIME, PLACE)
    assert message.subject == r"Waits for you: rm -rf build\x1b[2J and more"
    assert message.text == "Mend the parser\nagent claude, session s-1"
    assert message.page == "https://h.example.com/sessions/s-1"
    assert message.allow is not None
    assert message.deny is not None
    link = PLACE.links.read(message.allow.partition("token=")[2], TIME)
    assert (link.approval, link.decision, link.channel, link.expires) == ("a-1", "allow", "mail", TIME + LINK_LIFE)
    assert PLACE.links.read(message.deny.partition("token=")[2], TIME).decision == "deny"
    assert worded(ASKED, "msg_1", "mail", TIME, PLACE) == message
    assert not message.urgent


def test_an_escalation_is_urgent() -> None:
    kept = Notice.from_json(ASKED.as_json() | {"occasion": "approval.escalated", "times": 2})
    message = worded(kept, "msg_2", "mail", TIME, PLACE)
    assert message.urgent
    assert message.subject.startswith("Still waits for you")
    assert "reminder 2" in message.text


def test_an_outcome_has_no_links_to_answer() -> None:
    notice = Notice(Occasion.OUTCOME, "make it green", "every check passed", SessionId("s-1"), "claude", outcome="done")
    message = worded(notice, "msg_3", "mail", TIME, PLACE)
    assert (message.subject, message.allow, message.deny) == ("Done: make it green", None, None)
