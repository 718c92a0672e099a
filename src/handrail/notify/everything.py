"""All the rest, by apprise (https://github.com/caronc/apprise): some 170 services, each an address. An extra."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

import apprise

from handrail.errors import InvalidInput
from handrail.notify import Failure, Message

_PATIENCE = 25.0


@dataclass(frozen=True, slots=True, repr=False)
class Everything:
    """One address as apprise writes it, such as `ntfy://topic`; one a channel, since each is tried again by itself."""

    url: str

    def __post_init__(self) -> None:
        self._target()

    async def send(self, message: Message) -> Failure | None:
        """See `Channel.send`."""
        parts = [message.text, message.page]
        if message.allow is not None and message.deny is not None:
            parts[1:1] = [f"Allow: {message.allow}", f"Deny: {message.deny}"]
        try:
            async with asyncio.timeout(_PATIENCE):
                taken = await self._target().async_notify(
                    title=message.subject,
                    body="\n\n".join(part for part in parts if part),
                    body_format=apprise.NotifyFormat.TEXT,
                    notify_type=apprise.NotifyType.WARNING if message.urgent else apprise.NotifyType.INFO,
                )
        except TimeoutError:
            return Failure(f"apprise did not end within {_PATIENCE:.0f} s", unsure=True)
        return None if taken else Failure("apprise could not deliver it; it does not say why")

    def _target(self) -> apprise.Apprise:
        target = apprise.Apprise()
        if not target.add(self.url):
            raise InvalidInput("url", "…", "give one address that apprise knows")
        return target
