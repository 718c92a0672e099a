"""Slack, by `chat.postMessage` with blocks (https://docs.slack.dev/reference/methods/chat.postMessage).

The buttons are links to a page of this server, so that Slack needs no way in, and nothing but a token with
`chat:write`.
"""

from __future__ import annotations

import json
from dataclasses import dataclass

from handrail.errors import InvalidInput
from handrail.notify import Failure, Message, web
from handrail.types import Json

_PASSING = frozenset({"ratelimited", "rate_limited", "internal_error", "fatal_error", "request_timeout"})
_LONGEST = 2900
"""a section takes 3000 characters"""


@dataclass(frozen=True, slots=True, repr=False)
class Slack:
    """One channel or person of a workspace."""

    token: str
    """a bot token (`xoxb-…`) with the scope chat:write"""
    channel: str
    """its id, or #name"""
    api: str = "https://slack.com/api"

    def __post_init__(self) -> None:
        web.require_url("api", self.api)
        if not (self.token.isascii() and self.token.isprintable()):
            raise InvalidInput("token", "…", "give a bot token such as xoxb-…")

    async def send(self, message: Message) -> Failure | None:
        """See `Channel.send`."""
        body = {
            "channel": self.channel,
            "text": escaped(message.subject),
            "blocks": blocks(message),
            "unfurl_links": False,
            "unfurl_media": False,
        }
        answer = await web.post(
            f"{self.api.rstrip('/')}/chat.postMessage",
            json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"),
            {"content-type": "application/json; charset=utf-8", "authorization": f"Bearer {self.token}"},
        )
        return answer if isinstance(answer, Failure) else _refusal(answer)


def blocks(message: Message) -> list[Json]:
    """The message as Block Kit (https://docs.slack.dev/reference/block-kit/blocks)."""
    head = f"{':rotating_light: ' if message.urgent else ''}*{escaped(message.subject)}*"
    told = "\n".join(part for part in (head, escaped(message.text)) if part)
    made: list[Json] = [{"type": "section", "text": {"type": "mrkdwn", "text": told[:_LONGEST]}}]
    buttons = [_button("Show", message.page, None)]
    if message.allow is not None and message.deny is not None:
        buttons = [_button("Allow", message.allow, "primary"), _button("Deny", message.deny, "danger"), *buttons]
    made.append({"type": "actions", "elements": buttons})
    return made


def escaped(text: str) -> str:
    """Text in which nothing calls a channel or hides an address."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def _button(word: str, url: str, style: str | None) -> Json:
    button: Json = {
        "type": "button",
        "action_id": word.lower(),
        "text": {"type": "plain_text", "text": word},
        "url": url,
    }
    return button if style is None else button | {"style": style}


def _refusal(answer: bytes) -> Failure | None:
    """Slack says no with a status of 200."""
    try:
        said = json.loads(answer)
    except ValueError:
        said = None
    if not isinstance(said, dict):
        return Failure("Slack answered something that is no JSON object")
    if said.get("ok") is True:
        return None
    error = str(said.get("error") or "no reason given")[:100]
    return Failure(f"Slack refused the message: {error}", lasting=error not in _PASSING)
