from __future__ import annotations

import asyncio
import base64
from pathlib import Path

import httpx2

from handrail.commands.desk import Desk
from handrail.notify import Notice, Occasion
from handrail.types import SessionId
from handrail.web.answers import NotifyShown, NotifyTried
from tests.notify.servers import hook


async def test_a_message_from_the_outbox_is_shown(desk: Desk, client: httpx2.AsyncClient) -> None:
    secret = "whsec_" + base64.b64encode(b"k" * 32).decode()
    async with hook() as far:
        text = f'[ops]\nkind = "webhook"\nurl = "{far.url}"\nsecret = "{secret}"\n'
        await asyncio.to_thread(Path(desk.config.data / "notify.toml").write_text, text)
        tried = await client.post("/api/v1/notify/ops/test")
        assert NotifyTried.model_validate_json(tried.content).ok
        notice = Notice(Occasion.OUTCOME, "make it green", "checks passed", SessionId("s-1"), outcome="done")
        await desk.store.log.write(*desk.post.writes(notice, "outcome:s-1:1"))
        async with asyncio.timeout(10):
            while len(far.got) < 2:  # noqa: ASYNC110  # the far side is what is watched
                await asyncio.sleep(0.02)
        for _ in range(100):
            shown = NotifyShown.model_validate_json((await client.get("/api/v1/notify")).content)
            if shown.deliveries[0].state == "sent":
                break
            await asyncio.sleep(0.05)
    assert shown.channels[0].name == "ops"
    assert secret not in (await client.get("/api/v1/notify")).text
    assert [(item.state, item.title, item.event) for item in shown.deliveries] == [
        ("sent", "make it green", "outcome.reached")
    ]


async def test_a_channel_that_is_not_there_is_a_404(client: httpx2.AsyncClient) -> None:
    answer = await client.post("/api/v1/notify/pigeon/test")
    assert answer.status_code == 404
    assert "no channel 'pigeon'" in answer.json()["detail"]
