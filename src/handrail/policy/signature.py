"""Tells one question of an agent from another."""

from __future__ import annotations

import hashlib
import json

from handrail.types import Json


def signature(kind: str | None, title: str | None, call_input: Json | None) -> str:
    """A name for what is asked, the same when the agent asks for the same thing again after a restart.

    The call's id is not part of it, since an agent that was restarted gives a new one. The title counts only where the
    request has no input, since agents word titles anew.
    """
    content: object = call_input or title
    text = json.dumps([kind, content], sort_keys=True, ensure_ascii=False, default=str)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
