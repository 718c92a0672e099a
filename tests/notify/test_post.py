from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from datetime import datetime, timedelta
from pathlib import Path

import pytest

from handrail.errors import InvalidInput, NotFound, StorageFull
from handrail.notify import Notice, Occasion
from handrail.notify.links import Links
from handrail.notify.post import Post, backoff
from handrail.store import approvals, outbox
from handrail.store.engine import Store
from handrail.store.tables import Delivery
from handrail.types import ApprovalId, SessionId
from tests.notify.conftest import TIME
from tests.notify.servers import Hook, Mailbox
from tests.store.making import begin
from tests.store.test_approvals import question

SECRET = "whsec_" + base64.b64encode(b"k" * 32).decode()
DONE = Notice(Occasion.OUTCOME, "make it green", "every check passed", SessionId("alice"), "claude", outcome="done")


class Clock:
    def __init__(self) -> None:
        self.time = TIME

    def __call__(self) -> datetime:
        return self.time

    def on(self, seconds: float) -> None:
        self.time += timedelta(seconds=seconds)


class House:
    """A data directory, and a post that can be started anew over it."""

    def __init__(self, folder: Path, text: str) -> None:
        self.folder, self.clock = folder, Clock()
        (folder / "notify.toml").write_text(text)

    @asynccontextmanager
    async def open(self) -> AsyncIterator[tuple[Store, Post]]:
        async with await Store.open(self.folder / "handrail.db") as store:
            yield store, Post(store, self.folder, {}, url="http://here", links=Links(b"m" * 32), clock=self.clock)


def both(far: Hook, mail: Mailbox, more: str = "") -> str:
    return f"""
    {more}
    [hook]
    kind = "webhook"
    url = "{far.url}"
    secret = "{SECRET}"
    [mail]
    kind = "email"
    host = "127.0.0.1"
    port = {mail.port}
    security = "none"
    sender = "handrail@example.com"
    to = "alice@example.com"
    """


async def test_a_message_goes_to_every_channel_once(tmp_path: Path, far: Hook, mail: Mailbox) -> None:
    async with House(tmp_path, both(far, mail)).open() as (store, post):
        for _ in range(3):
            await store.log.write(*post.writes(DONE, "outcome:alice:1"))
        assert await post.deliver() == 2
        assert await post.deliver() == 0
        assert (len(far.got), len(mail.letters)) == (1, 1)
        assert {row.state for row in await outbox.newest(store)} == {Delivery.SENT}


async def test_a_restart_in_mid_retry_delivers_once_per_channel(tmp_path: Path, far: Hook, mail: Mailbox) -> None:
    house = House(tmp_path, both(far, mail))
    far.answers = [(500, b"down"), (503, b"still down")]
    async with house.open() as (store, post):
        await store.log.write(*post.writes(DONE, "outcome:alice:1"))
        await post.deliver()
        assert (len(far.got), len(mail.letters)) == (1, 1)
    for seconds, tries in ((backoff(1), 2), (backoff(2), 3)):
        house.clock.on(seconds - 1)
        async with house.open() as (_, post):
            assert await post.deliver() == 0
            house.clock.on(1)
            assert await post.deliver() == 1
            assert len(far.got) == tries
    async with house.open() as (store, post):
        house.clock.on(10_000)
        assert await post.deliver() == 0
        assert {(row.channel, row.state, row.tries) for row in await outbox.newest(store)} == {
            ("hook", Delivery.SENT, 3),
            ("mail", Delivery.SENT, 1),
        }
    assert (len(far.got), len(mail.letters)) == (3, 1)
    assert len({got.headers["webhook-id"] for got in far.got}) == 1
    assert len({got.body for got in far.got}) == 1


async def test_what_never_works_is_given_up_with_its_reason(tmp_path: Path, far: Hook, mail: Mailbox) -> None:
    house = House(tmp_path, both(far, mail, "tries = 3"))
    far.answers = [(500, b"down")] * 9
    mail.replies = ["554 never"]
    async with house.open() as (store, post):
        await store.log.write(*post.writes(DONE, "outcome:alice:1"))
        for _ in range(6):
            await post.deliver()
            house.clock.on(4000)
        rows = {row.channel: row for row in await outbox.newest(store)}
        assert (rows["hook"].state, rows["hook"].tries) == (Delivery.DEAD, 3)
        assert rows["hook"].error == "127.0.0.1 answered 500: down"
        assert (rows["mail"].state, rows["mail"].tries) == (Delivery.DEAD, 1)
        assert rows["mail"].error == "127.0.0.1 answered 554: never"
    assert len(far.got) == 3


async def test_a_far_side_that_asks_to_wait_is_left_alone(tmp_path: Path, far: Hook, mail: Mailbox) -> None:
    house = House(tmp_path, both(far, mail))
    far.answers, far.headers = [(429, b"")], b"retry-after: 600\r\n"
    async with house.open() as (store, post):
        await store.log.write(*post.writes(DONE, "k"))
        await post.deliver()
        house.clock.on(599)
        assert await post.deliver() == 0
        house.clock.on(1)
        assert await post.deliver() == 1


async def test_a_question_that_was_answered_at_once_disturbs_nobody(tmp_path: Path, far: Hook, mail: Mailbox) -> None:
    house = House(tmp_path, both(far, mail, "after = 20"))
    async with house.open() as (store, post):
        await begin(store, "alice")
        for name in ("a-1", "a-2"):
            asked = Notice(Occasion.ASKED, name, "", SessionId("alice"), "claude", ApprovalId(name))
            await store.log.write(approvals.insert(question(name)), *post.writes(asked, f"approval:{name}"))
        assert await post.deliver() == 0
        await store.log.write(guard=approvals.answer(ApprovalId("a-1"), decision="allow", by="you"))
        house.clock.on(20)
        await post.deliver()
        assert [json.loads(got.body)["data"]["approval"] for got in far.got] == ["a-2"]
        assert len(mail.letters) == 1
        states = {row.key: row.state for row in await outbox.newest(store)}
        assert states == {"approval:a-1": Delivery.MOOT, "approval:a-2": Delivery.SENT}


async def test_a_channel_that_hangs_holds_up_no_other(tmp_path: Path, far: Hook, mail: Mailbox) -> None:
    far.answers = [None]
    async with House(tmp_path, both(far, mail)).open() as (store, post):
        await store.log.write(*post.writes(DONE, "k"))
        delivering = asyncio.create_task(post.deliver())
        async with asyncio.timeout(5):
            while not mail.letters:  # noqa: ASYNC110  # the far side is what is watched
                await asyncio.sleep(0.01)
        delivering.cancel()
        await asyncio.gather(delivering, return_exceptions=True)


async def test_the_worker_delivers_by_itself(tmp_path: Path, far: Hook, mail: Mailbox) -> None:
    house = House(tmp_path, both(far, mail))
    async with house.open() as (store, post):
        await post.start()
        await asyncio.sleep(0.1)  # it sleeps, since there is nothing
        await store.log.write(*post.writes(DONE, "k"))
        async with asyncio.timeout(5):
            while not (far.got and mail.letters):  # noqa: ASYNC110  # as above
                await asyncio.sleep(0.01)
        await post.stop()


async def test_what_was_delivered_and_could_not_be_noted_is_not_sent_again(
    tmp_path: Path, far: Hook, mail: Mailbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with House(tmp_path, both(far, mail)).open() as (store, post):
        await store.log.write(*post.writes(DONE, "k"))

        async def full(*_: object) -> None:
            raise StorageFull("no room")

        with monkeypatch.context() as patch:
            patch.setattr(store.log, "write", full)
            for _ in range(3):
                with pytest.raises(StorageFull):
                    await post.deliver()
        await post.deliver()
        assert (len(far.got), len(mail.letters)) == (1, 1)
        assert {row.state for row in await outbox.newest(store)} == {Delivery.SENT}


async def test_channels_are_read_again_when_the_file_changes(tmp_path: Path, far: Hook, mail: Mailbox) -> None:
    house = House(tmp_path, both(far, mail))
    async with house.open() as (store, post):
        await store.log.write(*post.writes(DONE, "k"))
        (tmp_path / "notify.toml").write_text("[mail")
        with pytest.raises(InvalidInput):
            post.settings()
        assert len(post.writes(DONE, "k")) == 2  # what held before holds
        with pytest.raises(InvalidInput):
            post.settings()
        (tmp_path / "notify.toml").write_text("[desktop]\n")
        assert list(post.settings().channels) == ["desktop"]
        await post.deliver()
        assert {row.error for row in await outbox.newest(store)} == {
            "there is no channel hook any more",
            "there is no channel mail any more",
        }


async def test_a_test_goes_out_at_once_and_says_what_is_wrong(tmp_path: Path, far: Hook, mail: Mailbox) -> None:
    async with House(tmp_path, both(far, mail)).open() as (store, post):
        assert (await post.test("mail")).failure is None
        assert mail.letters[0]["Subject"] == "Handrail reaches you here"
        far.answers = [(401, b"who are you?")]
        failure = (await post.test("hook")).failure
        assert failure is not None
        assert failure.reason == "127.0.0.1 answered 401: who are you?"
        with pytest.raises(NotFound, match="known: hook, mail"):
            await post.test("pigeon")
        assert await outbox.newest(store) == []


def test_the_wait_grows_to_an_hour() -> None:
    assert [backoff(tries) for tries in range(1, 8)] == [5, 20, 80, 320, 1280, 3600, 3600]
