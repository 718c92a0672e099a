"""A notice in words: a subject, a text, and the addresses of the pages that belong to it."""

from __future__ import annotations

from datetime import datetime
from urllib.parse import quote

from msgspec import Struct

from handrail.clean import clean, one_line
from handrail.notify import Message, Notice, Occasion
from handrail.notify.links import LINK_LIFE, Links

_SUBJECTS = {
    "done": "Done",
    "nothing_to_do": "Nothing to do",
    "needs_person": "Needs a person",
    "failed": "Failed",
    "blocked": "Blocked",
    "cancelled": "Cancelled",
    "lost": "Lost",
}


class Place(Struct, frozen=True):
    """Where a message is from: the server's address, and what signs its links."""

    url: str
    links: Links


def worded(notice: Notice, message: str, channel: str, created: datetime, place: Place) -> Message:
    """The message of `notice` for `channel`; the same at every try.

    Args:
        notice: what there is to tell.
        message: the message's id.
        channel: the channel's name, which an answer by link is known by.
        created: when there was something to tell.
        place: where links lead.
    """
    subject = one_line(_subject(notice), 150)
    page = f"{place.url}/sessions/{quote(notice.session)}" if notice.session else place.url
    allow = deny = None
    if notice.approval is not None:
        expires = created + LINK_LIFE
        allow, deny = (
            f"{place.url}/answer?token={place.links.sign(message, notice.approval, decision, channel, expires)}"
            for decision in ("allow", "deny")
        )
    return Message(
        id=message,
        occasion=notice.occasion,
        time=created,
        subject=subject,
        text="\n".join(_lines(notice)),
        urgent=notice.occasion is Occasion.ESCALATED or notice.outcome == "blocked",
        page=page,
        allow=allow,
        deny=deny,
        data={key: value for key, value in notice.as_json().items() if key != "occasion"},
    )


def _subject(notice: Notice) -> str:
    match notice.occasion:
        case Occasion.ASKED:
            return f"Waits for you: {notice.title}"
        case Occasion.ESCALATED:
            return f"Still waits for you: {notice.title}"
        case Occasion.EFFECT:
            return f"Waits for your yes: {notice.title}"
        case Occasion.FAILED:
            return f"Could not be done: {notice.title}"
        case Occasion.IDLE:
            return f"Does nothing: {notice.title}"
        case Occasion.TRUST:
            return f"Is trusted less: {notice.title}"
        case Occasion.CREDENTIAL:
            return f"Will not work: {notice.title}"
        case Occasion.OUTCOME | Occasion.RUN:
            return f"{_SUBJECTS.get(notice.outcome or '', notice.outcome or 'Ended')}: {notice.title}"
        case Occasion.TEST | Occasion.MESSAGE:
            return notice.title


def _lines(notice: Notice) -> list[str]:
    if notice.occasion is Occasion.MESSAGE:
        return clean(notice.detail).splitlines()
    lines = [one_line(notice.detail, 500)] if notice.detail else []
    if notice.agent:
        lines.append(f"agent {notice.agent}, session {notice.session}")
    if notice.occasion is Occasion.ESCALATED:
        lines.append(f"Nobody has answered; this is reminder {notice.times}.")
    return lines
