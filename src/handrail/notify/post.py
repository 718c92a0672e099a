"""The post: puts notices into the outbox and delivers what is there, until it was taken or is given up.

What tells people of something that waits or ended is delivered at least once: where the server dies between the far
side's yes and our note of it, the far side gets it again, with the same id. A message that is an effect is sent again
only where the far side knows it by that id; elsewhere it is given up as one that may have been delivered, and a person
decides. One task does it; what waits costs a row and nothing else.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from pathlib import Path

from msgspec import Struct

from handrail.errors import Conflict, HandrailError, NotFound
from handrail.notify import Failure, Message, Notice, Occasion
from handrail.notify.links import Links
from handrail.notify.settings import FILE, Configured, Settings, load
from handrail.notify.wording import Place, worded
from handrail.store import approvals, outbox
from handrail.store.engine import Store
from handrail.store.log import Write
from handrail.store.outbox import OutboxRow
from handrail.store.tables import ApprovalState, Delivery
from handrail.types import now

LOG = logging.getLogger("handrail.notify")

FIRST_WAIT = 5.0
"""seconds before the second try; each later one waits four times as long, an hour at the most"""
LONGEST_WAIT = 3600.0
KNOWS = frozenset({"webhook"})
"""kinds of channels whose far side can tell a second delivery from a second message (`webhook-id`)"""
MAYBE = "it may have been delivered"
"""begins the reason for which a message was given up that nobody knows to have arrived or not"""
KEPT = timedelta(days=30)
"""how long ended messages stay on record"""
_PATIENCE = 30.0
_REST = 30.0
_EAGER = 3.0
_EAGER_STEP = 0.25


class Tried(Struct, frozen=True):
    """A message that was sent to see whether a channel works."""

    channel: str
    failure: Failure | None
    seconds: float


def backoff(tries: int) -> float:
    """Seconds until the next try after `tries` failed ones."""
    return float(min(LONGEST_WAIT, FIRST_WAIT * 4.0 ** (tries - 1)))


class Post:
    """Tells people, over the channels of `notify.toml`.

    Args:
        store: where the outbox is.
        data: the data directory.
        environ: what `env:NAME` stands for.
        url: this server's own address.
        links: signs the links that answer an approval.
        clock: the time.

    Raises:
        InvalidInput: `notify.toml` says something that cannot be used.
        MissingPart: one of its channels needs an extra that is not installed.
    """

    def __init__(
        self,
        store: Store,
        data: Path,
        environ: Mapping[str, str],
        *,
        url: str,
        links: Links,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._store = store
        self._data = data
        self._environ = environ
        self._url = url
        self.links = links
        self.clock = clock
        self._stamp = self._stamped()
        self._settings = load(data, environ)
        self._fault: HandrailError | None = None
        self._unnoted: dict[int, Write] = {}
        self._wake = asyncio.Event()
        self._eager = 0.0
        self._task: asyncio.Task[None] | None = None

    async def start(self) -> None:
        """Take up what an earlier server left, and go on delivering."""
        self._task = asyncio.create_task(self._run(), name="post")

    async def stop(self) -> None:
        """Stop; what is not delivered stays in the outbox."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)

    def settings(self) -> Settings:
        """What `notify.toml` says now.

        Raises:
            InvalidInput: it was changed to something that cannot be used; what held before goes on to hold.
            MissingPart: a channel needs an extra that is not installed.
        """
        settings = self._held()
        if self._fault is not None:
            raise self._fault
        return settings

    def writes(self, notice: Notice, key: str, to: tuple[str, ...] = ()) -> tuple[Write, ...]:
        """The rows that tell of `notice`, to be written with the event that it is about.

        Args:
            notice: what there is to tell.
            key: what it is about; a channel is told of one key once.
            to: the channels that are told, whatever else they want to be told of; none names all that want it.
        """
        if to:
            return tuple(self.one(notice, key, name) for name in dict.fromkeys(to))
        settings = self._held()
        at = self.clock()
        wait = settings.after if notice.occasion is Occasion.ASKED else 0.0
        told = [channel for channel in settings.channels.values() if channel.wants(notice.occasion)]
        if told:
            self._eager = time.monotonic() + wait + _EAGER
            self._wake.set()
        return tuple(
            outbox.put(key, channel.name, notice.as_json(), created=at, due=at + timedelta(seconds=wait))
            for channel in told
        )

    def one(self, notice: Notice, key: str, channel: str) -> Write:
        """The row that tells one channel of `notice`, whatever that channel wants to be told of."""
        at = self.clock()
        self._eager = time.monotonic() + _EAGER
        self._wake.set()
        return outbox.put(key, channel, notice.as_json(), created=at, due=at)

    async def test(self, name: str) -> Tried:
        """Send a message over one channel at once, past the outbox.

        Raises:
            NotFound: there is no such channel.
            InvalidInput: `notify.toml` cannot be used.
        """
        channels = self.settings().channels
        if name not in channels:
            known = ", ".join(channels) or "none"
            raise NotFound(f"there is no channel {name!r} in {self._data / FILE} (known: {known})")
        at = self.clock()
        notice = Notice(Occasion.TEST, "Handrail reaches you here", "This is a test; nothing waits for you.")
        message = self._worded(notice, f"msg_test_{int(at.timestamp() * 1000)}", channels[name], at)
        started = time.monotonic()
        failure = await _deliver(channels[name], message)
        return Tried(name, failure, time.monotonic() - started)

    async def deliver(self) -> int:
        """Try everything that is due, each channel in order and the channels side by side; returns how many."""
        channels = self._held().channels
        rows = await outbox.due(self._store, self.clock())
        if self._store.shared:  # each server tells over the channels that it has
            rows = [row for row in rows if row.channel in channels and await self._claimed(row)]
        by_channel: dict[str, list[OutboxRow]] = {}
        for row in rows:
            by_channel.setdefault(row.channel, []).append(row)
        working = [self._one_channel(channels.get(name), of_it) for name, of_it in by_channel.items()]
        # all of them to their end: one that went on alone would meet the next call's
        for ended in await asyncio.gather(*working, return_exceptions=True):
            if ended is not None:
                raise ended
        return len(rows)

    async def _claimed(self, row: OutboxRow) -> bool:
        """Whether this server is the one that tries a message now."""
        try:
            await self._store.log.write(guard=outbox.claim(row, self.clock() + timedelta(seconds=2 * _PATIENCE)))
        except Conflict:
            return False
        return True

    async def _one_channel(self, channel: Configured | None, rows: list[OutboxRow]) -> None:
        for row in rows:
            notice = Notice.from_json(row.notice)
            write = self._unnoted.get(row.id)
            if write is not None:  # it was delivered, and could not be noted
                pass
            elif channel is None:
                write = outbox.given_up(row, f"there is no channel {row.channel} any more", self.clock())
            elif await self._answered(notice):
                write = outbox.moot(row, self.clock())
            else:
                write = await self._tried(row, notice, channel)
            self._unnoted[row.id] = write
            await self._store.log.write(write)
            del self._unnoted[row.id]

    async def _tried(self, row: OutboxRow, notice: Notice, channel: Configured) -> Write:
        once = notice.occasion is Occasion.MESSAGE and channel.kind not in KNOWS
        if once and row.state is Delivery.SENDING:
            return outbox.given_up(row, f"{MAYBE}: the server ended while it was being sent", self.clock())
        if once:
            await self._store.log.write(outbox.sending(row))
        failure = await _deliver(channel, self._worded(notice, _id(row), channel, row.created))
        if once and failure is not None and failure.unsure:
            failure = Failure(f"{MAYBE}: {failure.reason}", lasting=True)
        return self._noted(row, failure)

    def _noted(self, row: OutboxRow, failure: Failure | None) -> Write:
        at = self.clock()
        if failure is None:
            return outbox.sent(row, at)
        tries = row.tries + 1
        if failure.lasting or tries >= self._settings.tries:
            LOG.warning("%s was not told of %s: %s", row.channel, row.key, failure.reason)
            return outbox.given_up(row, failure.reason, at)
        return outbox.failed(row, failure.reason, at + timedelta(seconds=max(backoff(tries), failure.wait)))

    async def _answered(self, notice: Notice) -> bool:
        """Whether a notice asks what nobody needs to answer any more."""
        if notice.approval is None:
            return False
        try:
            row = await approvals.get(self._store, notice.approval)
        except NotFound:
            return True
        return row.state is not ApprovalState.OPEN

    def _worded(self, notice: Notice, message: str, channel: Configured, created: datetime) -> Message:
        place = Place(self._settings.public_url or self._url, self.links)
        return worded(notice, message, channel.name, created, place)

    def _held(self) -> Settings:
        """The settings; where the file became unusable, those that it had before."""
        stamp = self._stamped()
        if stamp != self._stamp:
            self._stamp, self._fault = stamp, None
            try:
                self._settings = load(self._data, self._environ)
            except HandrailError as error:
                LOG.warning("the channels stay as they were: %s", error)
                self._fault = error
        return self._settings

    def _stamped(self) -> tuple[int, int]:
        try:
            told = (self._data / FILE).stat()
        except OSError:
            return 0, 0
        return told.st_mtime_ns, told.st_size

    async def _run(self) -> None:
        try:
            await self._store.log.write(outbox.forget(self.clock() - KEPT))
        except HandrailError as error:
            LOG.warning("old messages stay: %s", error)
        while True:
            self._wake.clear()
            try:
                busy = await self.deliver()
                wait = 0.0 if busy else await self._until_due()
            except HandrailError as error:  # the database: what was delivered meanwhile may be delivered again
                LOG.warning("messages wait: %s", error)
                wait = _REST
            if wait > 0:
                try:
                    async with asyncio.timeout(wait):
                        await self._wake.wait()
                except TimeoutError:
                    pass

    async def _until_due(self) -> float:
        """Seconds to sleep: till the next message is due, and only a moment while one is being written."""
        at = await outbox.next_due(self._store)
        rest = _REST if at is None else (at - self.clock()).total_seconds()
        if time.monotonic() < self._eager:
            rest = min(rest, _EAGER_STEP)
        return min(max(rest, 1.0 if self._store.shared else 0.05), _REST)


def _id(row: OutboxRow) -> str:
    """The same for every try of one row, and like that of no other data directory."""
    return f"msg_{int(row.created.timestamp() * 1_000_000):x}_{row.id}"


async def _deliver(channel: Configured, message: Message) -> Failure | None:
    try:
        async with asyncio.timeout(_PATIENCE):
            return await channel.channel.send(message)
    except TimeoutError:
        return Failure(f"{channel.kind} did not end within {_PATIENCE:.0f} s", unsure=True)
    except Exception as error:  # the edge to libraries of others: what they throw must not stop the post
        LOG.exception("channel %s", channel.name)
        return Failure(f"{channel.kind} failed ({type(error).__name__}); the log of the server tells more")
