"""Answers an agent's own permission request from what the session allows. Pure: no clock, no I/O."""

from __future__ import annotations

import hashlib
import json
from enum import StrEnum

from handrail.types import Json, Permissions

_HARMLESS = frozenset({"read", "search", "think"})


class Verdict(StrEnum):
    """What to do about a request."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"


def decide(permissions: Permissions, kind: str | None) -> Verdict:
    """The answer for one request.

    Args:
        permissions: what the session was given.
        kind: ACP's tool kind, None where the agent did not name one (then it is taken for the worst).
    """
    if permissions is Permissions.ALLOW or kind in _HARMLESS:
        return Verdict.ALLOW
    return Verdict.ASK if permissions is Permissions.ASK else Verdict.DENY


def signature(kind: str | None, title: str | None, call_input: Json | None) -> str:
    """A name for what is asked, the same when the agent asks for the same thing again after a restart.

    The call's id is not part of it, since an agent that was restarted gives a new one. The title counts only where the
    request has no input, since agents word titles anew.
    """
    content: object = call_input or title
    text = json.dumps([kind, content], sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
