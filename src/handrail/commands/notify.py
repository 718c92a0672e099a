"""Channels that tell people, and what was sent over them."""

from __future__ import annotations

from pathlib import Path

from msgspec import Struct

from handrail.commands.actor import Actor, Permission, authorise
from handrail.commands.desk import Desk
from handrail.notify.post import Tried
from handrail.notify.settings import FILE, Configured
from handrail.store import outbox
from handrail.store.outbox import OutboxRow


class Channels(Struct, frozen=True):
    """The channels, where they are set up, and the last messages, the newest first."""

    file: Path
    channels: tuple[Configured, ...]
    deliveries: tuple[OutboxRow, ...]


async def listed(desk: Desk, actor: Actor, *, limit: int = 20) -> Channels:
    """The channels of `notify.toml` as it is now, and the last `limit` messages.

    Raises:
        InvalidInput: the file says something that cannot be used.
        MissingPart: a channel needs an extra that is not installed.
    """
    authorise(actor, Permission.NOTIFY_READ)
    channels = tuple(desk.post.settings().channels.values())
    return Channels(desk.config.data / FILE, channels, tuple(await outbox.newest(desk.store, limit)))


async def try_out(desk: Desk, actor: Actor, channel: str) -> Tried:
    """Send a message over one channel at once.

    Raises:
        NotFound: there is no such channel.
        InvalidInput: `notify.toml` says something that cannot be used.
        MissingPart: a channel needs an extra that is not installed.
    """
    authorise(actor, Permission.NOTIFY_TEST)
    return await desk.post.test(channel)
