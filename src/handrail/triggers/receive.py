"""From a request to a message: verified before anything else, read leniently, known when it is an act of our own."""

from __future__ import annotations

import hashlib
import json
from datetime import datetime
from typing import cast
from urllib.parse import parse_qs

from handrail.automation import ArrivalState
from handrail.errors import InvalidInput
from handrail.forges.effects import MARK, OURS
from handrail.store.arrivals import ArrivalRow
from handrail.triggers import Hook, Message, Sender, Settings, fields
from handrail.triggers.senders import (
    SenderKind,
    alertmanager,
    datadog,
    generic,
    gitea,
    github,
    gitlab,
    slack,
    standard,
)
from handrail.types import ArrivalId, Json

SENDERS = cast(
    "dict[SenderKind, Sender]",
    {
        SenderKind.GITHUB: github,
        SenderKind.GITLAB: gitlab,
        SenderKind.GITEA: gitea,
        SenderKind.SLACK: slack,
        SenderKind.STANDARD: standard,
        SenderKind.ALERTMANAGER: alertmanager,
        SenderKind.DATADOG: datadog,
        SenderKind.GENERIC: generic,
    },
)
_DEEPEST = 60


def receive(kind: SenderKind, hook: Hook, secret: str, settings: Settings) -> Message:
    """What a request says, once it is believed.

    Raises:
        Unverified: it does not prove who sent it.
        InvalidInput: its body is no JSON object.
    """
    sender = SENDERS[kind]
    sender.verify(hook, secret, settings)
    return sender.read(hook, _payload(hook))


def arrival(source: str, message: Message, received: datetime, settings: Settings) -> ArrivalRow:
    """A message as it is kept: to be matched, or as ignored where it is an act of our own."""
    # of what came, not of chance: asking the system for chance costs more than all the rest of an id
    said = "\0".join((source, message.event, message.delivery or message.meaning, received.isoformat()))
    identity = ArrivalId(f"e-{hashlib.sha256(said.encode('utf-8', 'replace')).hexdigest()[:12]}")
    own = ours(message, settings)
    return ArrivalRow(
        id=identity,
        source=source,
        delivery=message.delivery or identity,
        meaning=message.meaning[:1000],
        event=message.event,
        action=message.action,
        sender=message.sender,
        repository=message.repository,
        payload=message.payload,
        received=received,
        state=ArrivalState.STORED if own is None else ArrivalState.IGNORED,
        reason=own,
    )


def ours(message: Message, settings: Settings) -> str | None:
    """Why a message tells of an act of our own, which must start nothing; None when it does not.

    An App's account does nothing but our acts. A person whose token we use also acts themselves: then only what carries
    our mark, or a push to a branch of ours, is ours. A pull request bears our mark for as long as it lives: that it was
    closed unmerged is none of our acts.
    """
    account, sender = settings.account, message.sender
    marked = MARK in message.text and not fields.gave_up(message.event, message.action, message.payload)
    if account is not None and sender is not None and sender.lower() == account.lower():
        if sender.endswith("[bot]"):
            return f"an act of our own, as {sender}"
        if marked:
            return f"an act of our own, as {sender}: it carries our mark"
        if message.event == "push" and (branch := _branch(message)).startswith(OURS):
            return f"an act of our own, as {sender}: a push to {branch}"
        context = fields.text(message.payload, "context") or ""
        if message.event == "status" and f"{context}/".startswith(OURS):
            return f"an act of our own, as {sender}: the status {context}"
    if sender is None and (branch := _branch(message)).startswith(OURS):  # a poll cannot tell who pushed
        return f"an act of our own: a push to {branch}"
    if account is None and marked:
        return "an act of our own: it carries our mark"
    return None


def _branch(message: Message) -> str:
    """The branch that a message tells a push to; nothing where it tells of something else."""
    if message.event == "push":
        return (fields.text(message.payload, "ref") or "").removeprefix("refs/heads/")
    head = fields.at(message.payload, "pull_request", "head")
    if message.event != "pull_request" or message.action != "synchronize":
        return ""
    if fields.text(head, "repo", "full_name") != message.repository:
        return ""  # in a fork, anybody may name a branch as they like
    return fields.text(head, "ref") or ""


def _payload(hook: Hook) -> Json:
    body = hook.body
    if hook.headers.get("content-type", "").partition(";")[0].strip() == "application/x-www-form-urlencoded":
        return _form(body)
    return _object(body)


def _form(body: bytes) -> Json:
    """A form: GitHub's holds JSON in `payload`, Slack's commands are fields."""
    try:
        fields = parse_qs(body.decode("utf-8"), max_num_fields=100)
    except ValueError as error:
        raise InvalidInput("body", body[:80], "send one JSON object, or a form") from error
    if "payload" in fields:
        return _object(fields["payload"][0].encode())
    return {name: values[0] for name, values in fields.items()}


def _object(body: bytes) -> Json:
    try:
        value = json.loads(body.decode("utf-8"), parse_constant=_refused)
        openings = body.count(b"{") + body.count(b"[")
    except (ValueError, RecursionError) as error:
        raise InvalidInput("body", body[:80], "send one JSON object in UTF-8") from error
    if not isinstance(value, dict) or _deep(value, openings):
        raise InvalidInput("body", body[:80], f"send one JSON object, nested at most {_DEEPEST} deep")
    return value


def _deep(value: object, openings: int) -> bool:
    if openings <= _DEEPEST:  # what has so few cannot be nested more often: nearly all events
        return False
    layer: list[object] = [value]
    for _ in range(_DEEPEST):
        layer = [
            item
            for part in layer
            if isinstance(part, dict | list)
            for item in (part.values() if isinstance(part, dict) else part)
        ]
        if not layer:
            return False
    return True


def _refused(name: str) -> float:
    message = f"{name} is no JSON"
    raise ValueError(message)
