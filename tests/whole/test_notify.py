"""A person who is elsewhere: told by a webhook, answers by the link in it."""

from __future__ import annotations

import asyncio
import base64
import json
import threading
from collections.abc import Iterator
from contextlib import AsyncExitStack
from typing import Any

import httpx2
import pytest

from tests.notify.servers import Hook, hook
from tests.whole.house import House, until

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
MEND: dict[str, object] = {"shell": "sed -i s/Hallo/Hello/ greet.py"}


@pytest.fixture
def far() -> Iterator[Hook]:
    loop, stack = asyncio.new_event_loop(), AsyncExitStack()
    thread = threading.Thread(target=loop.run_forever, daemon=True)
    thread.start()
    yield asyncio.run_coroutine_threadsafe(stack.enter_async_context(hook()), loop).result(10)
    asyncio.run_coroutine_threadsafe(stack.aclose(), loop).result(10)
    loop.call_soon_threadsafe(loop.stop)
    thread.join(10)
    loop.close()


def told(far: Hook, kind: str) -> Any:
    found = [json.loads(got.body) for got in far.got]
    return next((message["data"] for message in found if message["type"] == kind), None)


@pytest.mark.parametrize(("word", "outcome"), [("allow", "done"), ("deny", "needs_person")])
def test_the_link_in_a_message_decides(house: House, far: Hook, word: str, outcome: str) -> None:
    house.data.mkdir(parents=True, exist_ok=True)
    text = f'after = 0\n[ops]\nkind = "webhook"\nurl = "{far.url}"\nsecret = "{SECRET}"\n'
    (house.data / "notify.toml").write_text(text)
    assert house.json("notify", "test", "ops")["ok"]
    far.answers = [(500, b"down")]  # the first try fails
    session = house.hand_off([MEND, {"text": "that is it"}], "--check", "sh check.sh", "--permissions", "ask")
    asked = until(lambda: told(far, "approval.asked"))
    assert asked["session"] == session
    page = httpx2.get(asked[word])
    assert page.status_code == 200
    assert house.json("inbox")["approvals"][0]["id"] == asked["approval"]  # showing it answered nothing
    token = asked[word].partition("token=")[2]
    answered = httpx2.post(asked[word].partition("?")[0], data={"token": token})
    assert answered.status_code == 200
    assert house.wait(session, "outcome.reached")["data"]["outcome"] == outcome
    until(lambda: told(far, "outcome.reached"))
    assert told(far, "outcome.reached")["outcome"] == outcome
    late = httpx2.post(asked["allow"].partition("?")[0], data={"token": token})
    assert late.status_code == 409
    shown = until(lambda: [item for item in house.json("notify")["deliveries"] if item["state"] != "pending"])
    assert {item["state"] for item in shown} == {"sent"}
