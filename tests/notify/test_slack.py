from __future__ import annotations

import json

import pytest

from handrail.notify import Failure
from handrail.notify.slack import Slack, blocks
from tests.notify.conftest import message
from tests.notify.servers import Hook


async def test_a_question_has_two_buttons_that_are_links(far: Hook) -> None:
    assert await Slack("xoxb-1", "C1", api=far.url).send(message()) is None
    (got,) = far.got
    assert got.path == "/hook/chat.postMessage"
    assert got.headers["authorization"] == "Bearer xoxb-1"
    body = json.loads(got.body)
    assert body["channel"] == "C1"
    buttons = {item["text"]["text"]: item["url"] for item in body["blocks"][1]["elements"]}
    assert buttons == {"Allow": message().allow, "Deny": message().deny, "Show": message().page}
    assert "rm -rf &lt;build&gt;" in body["blocks"][0]["text"]["text"]


def test_nobody_can_call_the_channel_or_outgrow_the_block() -> None:
    made = blocks(message(subject="<!channel> & more", text="x" * 5000, allow=None, deny=None))
    told = made[0]["text"]["text"]  # type: ignore[index]
    assert "<!channel>" not in told
    assert len(told) <= 3000
    assert len(made[1]["elements"]) == 1  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("said", "failure"),
    [
        (b'{"ok":false,"error":"ratelimited"}', Failure("Slack refused the message: ratelimited")),
        (b'{"ok":false,"error":"invalid_auth"}', Failure("Slack refused the message: invalid_auth", lasting=True)),
        (b"<html>", Failure("Slack answered something that is no JSON object")),
        (b"[]", Failure("Slack answered something that is no JSON object")),
    ],
)
async def test_slack_says_no_with_a_200(far: Hook, said: bytes, failure: Failure) -> None:
    far.answers = [(200, said)]
    assert await Slack("xoxb-1", "C1", api=far.url).send(message()) == failure
