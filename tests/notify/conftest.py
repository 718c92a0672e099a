from __future__ import annotations

from collections.abc import AsyncIterator
from datetime import UTC, datetime

import pytest

from handrail.notify import Message, Occasion
from tests.notify.servers import Hook, Mailbox, hook, mailbox

TIME = datetime(2026, 3, 1, 12, 0, tzinfo=UTC)


def message(**values: object) -> Message:
    given: dict[str, object] = {
        "id": "msg_1_7",
        "occasion": Occasion.ASKED,
        "time": TIME,
        "subject": "Waits for you: rm -rf <build>",
        "text": "Mend the parser · +3 -1",
        "urgent": False,
        "page": "http://127.0.0.1:7171/sessions/s-1",
        "allow": "http://127.0.0.1:7171/answer?token=aaa",
        "deny": "http://127.0.0.1:7171/answer?token=ddd",
        "data": {"approval": "a-1", "session": "s-1"},
    }
    return Message(**(given | values))  # type: ignore[arg-type]


@pytest.fixture
async def far() -> AsyncIterator[Hook]:
    async with hook() as running:
        yield running


@pytest.fixture
async def mail() -> AsyncIterator[Mailbox]:
    async with mailbox() as running:
        yield running
