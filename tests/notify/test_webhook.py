from __future__ import annotations

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest
from standardwebhooks import Webhook as Reference
from standardwebhooks.webhooks import WebhookVerificationError

from handrail.errors import InvalidInput
from handrail.notify import Failure, web
from handrail.notify.webhook import Webhook, signature
from tests.notify.conftest import message
from tests.notify.servers import Hook

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()


async def test_the_reference_library_takes_the_signature(far: Hook) -> None:
    assert await Webhook(far.url, SECRET).send(message()) is None
    (got,) = far.got
    told = Reference(SECRET).verify(got.body, got.headers)
    assert told["type"] == "approval.asked"
    assert told["data"]["approval"] == "a-1"
    assert told["data"]["allow"].endswith("token=aaa")
    assert got.headers["webhook-id"] == "msg_1_7"
    assert told == json.loads(got.body)


async def test_the_reference_library_refuses_what_was_changed(far: Hook) -> None:
    await Webhook(far.url, SECRET).send(message())
    (got,) = far.got
    other = "whsec_" + base64.b64encode(b"x" * 32).decode()
    for secret, body, headers in (
        (other, got.body, got.headers),
        (SECRET, got.body + b" ", got.headers),
        (SECRET, got.body, got.headers | {"webhook-id": "msg_2"}),
    ):
        with pytest.raises(WebhookVerificationError):
            Reference(secret).verify(body, headers)


async def test_a_try_of_yesterday_cannot_be_sent_again(far: Hook) -> None:
    await Webhook(far.url, SECRET, lambda: datetime.now(UTC) - timedelta(days=1)).send(message())
    with pytest.raises(WebhookVerificationError):
        Reference(SECRET).verify(far.got[0].body, far.got[0].headers)


def test_the_signature_of_the_specification() -> None:
    # https://github.com/standard-webhooks/standard-webhooks/blob/main/libraries/python/tests/test_webhooks.py
    key = base64.b64decode("MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw")
    body = b'{"test": 2432232314}'
    made = signature(key, "msg_p5jXN8AQM9LWM0D4loKWxJek", "1614265330", body)
    assert made == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


@pytest.mark.parametrize(
    ("status", "lasting"), [(500, False), (503, False), (429, False), (400, True), (410, True), (302, True)]
)
async def test_what_the_far_side_answers_decides_on_another_try(far: Hook, status: int, lasting: bool) -> None:
    far.answers = [(status, b"because\nof that")]
    failure = await Webhook(far.url, SECRET).send(message())
    assert failure is not None
    assert failure.lasting is lasting
    assert failure.reason == f"127.0.0.1 answered {status}: because of that"


async def test_a_wait_that_is_asked_for_is_kept(far: Hook) -> None:
    far.answers = [(429, b"")]
    far.headers = b"retry-after: 77\r\n"
    assert await Webhook(far.url, SECRET).send(message()) == Failure("127.0.0.1 answered 429", wait=77.0)


async def test_silence_and_absence_are_told(far: Hook) -> None:
    far.answers = [None]
    failure = await web.post(far.url, b"x", {}, patience=0.3)
    assert failure == Failure("127.0.0.1 did not answer within 0 s", unsure=True)
    failure = await web.post("http://127.0.0.1:1/secret", b"x", {})
    assert isinstance(failure, Failure)
    assert not failure.lasting
    assert "secret" not in failure.reason


@pytest.mark.parametrize("secret", ["", "abc", "whsec_", "whsec_!!!", "whsec_" + base64.b64encode(b"short").decode()])
def test_a_secret_that_is_none_is_refused_and_not_shown(secret: str) -> None:
    with pytest.raises(InvalidInput) as refused:
        Webhook("https://example.com", secret)
    assert "whsec_" in refused.value.message
    assert secret in ("", "whsec_") or secret not in refused.value.message


@pytest.mark.parametrize(
    "url", ["", "example.com", "ftp://example.com", "https://", "http://a:99999999/", "file:///etc"]
)
def test_an_address_that_is_none_is_refused(url: str) -> None:
    with pytest.raises(InvalidInput):
        Webhook(url, SECRET)
