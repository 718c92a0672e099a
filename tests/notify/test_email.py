from __future__ import annotations

import pytest

from handrail.errors import InvalidInput
from handrail.notify.email import Email
from tests.notify.conftest import message
from tests.notify.servers import Mailbox

ALICE = ("alice@example.com",)


def channel(mail: Mailbox, *to: str) -> Email:
    return Email("127.0.0.1", "handrail@example.com", to or ALICE, mail.port, "none")


async def test_a_letter_arrives_with_its_links(mail: Mailbox) -> None:
    assert await channel(mail).send(message(urgent=True)) is None
    (letter,) = mail.letters
    assert letter["Subject"] == "Waits for you: rm -rf <build>"
    assert (letter["To"], letter["Auto-Submitted"], letter["Importance"]) == (ALICE[0], "auto-generated", "high")
    assert letter["Message-ID"] == "<msg_1_7@handrail.invalid>"
    text = letter.get_content()
    assert "Allow: http://127.0.0.1:7171/answer?token=aaa" in text
    assert "Mend the parser · +3 -1" in text


async def test_a_letter_that_asks_nothing_has_no_links(mail: Mailbox) -> None:
    await channel(mail, "alice@example.com", "bob@example.com").send(message(allow=None, deny=None))
    assert "answer?token" not in mail.letters[0].get_content()
    assert mail.letters[0]["To"] == "alice@example.com, bob@example.com"


async def test_a_refusal_lasts_or_passes_as_its_code_says(mail: Mailbox) -> None:
    mail.replies = ["451 come again", "554 never"]
    passing, lasting = await channel(mail).send(message()), await channel(mail).send(message())
    assert passing is not None
    assert lasting is not None
    assert (passing.lasting, lasting.lasting) == (False, True)
    assert passing.reason == "127.0.0.1 answered 451: come again"


async def test_a_server_that_is_away_is_tried_again() -> None:
    failure = await Email("127.0.0.1", "a@example.com", ALICE, 1, "none").send(message())
    assert failure is not None
    assert not failure.lasting


async def test_no_encryption_where_it_is_asked_for_is_a_failure(mail: Mailbox) -> None:
    failure = await Email("127.0.0.1", "a@example.com", ALICE, mail.port).send(message())
    assert failure is not None
    assert not mail.letters


@pytest.mark.parametrize(
    "given",
    [{"security": "ssl"}, {"port": 0}, {"to": ()}, {"to": ("nobody",)}, {"sender": "a@b\r\nBcc: c@d"}, {"to": ("",)}],
)
def test_what_cannot_be_used_is_refused(given: dict[str, object]) -> None:
    values: dict[str, object] = {"host": "h", "sender": "a@example.com", "to": ALICE}
    with pytest.raises(InvalidInput):
        Email(**(values | given))  # type: ignore[arg-type]
