from __future__ import annotations

from datetime import timedelta

import pytest

from handrail.errors import Forbidden
from handrail.notify.links import LINK_LIFE, Links
from handrail.types import ApprovalId
from tests.notify.conftest import TIME

LINKS = Links(b"m" * 32)
DAY = timedelta(days=1)


def token(message: str = "msg_1", decision: str = "allow") -> str:
    return LINKS.sign(message, ApprovalId("a-1"), decision, "slack", TIME + DAY)


def test_a_token_says_what_was_signed() -> None:
    link = LINKS.read(token(), TIME)
    assert (link.approval, link.decision, link.channel, link.expires) == ("a-1", "allow", "slack", TIME + DAY)
    assert token() == token()
    assert LINKS.read(token("msg_2"), TIME).nonce != link.nonce
    assert LINKS.read(token(decision="deny"), TIME).nonce != link.nonce
    assert Links(b"m" * 32).read(token(), TIME) == link  # a restart changes nothing


def test_every_change_of_a_token_is_refused() -> None:
    good = token()
    for at in range(len(good)):
        bad = good[:at] + ("A" if good[at] != "A" else "B") + good[at + 1 :]
        try:
            read = LINKS.read(bad, TIME)
        except Forbidden:
            continue
        assert read == LINKS.read(good, TIME)  # unused bits at the end of base64 mean nothing


@pytest.mark.parametrize("bad", ["", ".", "a.b", "é.é", "x" * 100_000, "..", "eyJ9."])
def test_garbage_is_refused(bad: str) -> None:
    with pytest.raises(Forbidden):
        LINKS.read(bad, TIME)


def test_time_and_another_secret_end_a_token() -> None:
    with pytest.raises(Forbidden, match="time of this link is over"):
        LINKS.read(token(), TIME + DAY)
    with pytest.raises(Forbidden, match="time of this link is over"):  # a clock that was set back lengthens no link
        LINKS.read(token(), TIME - LINK_LIFE)
    with pytest.raises(Forbidden, match="not one of this server"):
        Links(b"n" * 32).read(token(), TIME)
