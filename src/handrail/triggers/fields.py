"""Reading a payload from outside leniently: what is missing, or of another type than the sender documents, is None.

GitHub's own published payloads break GitHub's own schema (field notes, control-plane 4), so nothing is validated whole.
"""

from __future__ import annotations

import hashlib
import json

from handrail.types import Json


def at(value: object, *path: str | int) -> object:
    """What stands at a path of keys and positions, or None."""
    for key in path:
        if isinstance(key, int):
            value = value[key] if isinstance(value, list) and -len(value) <= key < len(value) else None
        else:
            value = value.get(key) if isinstance(value, dict) else None
    return value


def text(value: object, *path: str | int) -> str | None:
    """The text at a path; None where there is none."""
    found = at(value, *path)
    return found if isinstance(found, str) and found else None


def number(value: object, *path: str | int) -> int | None:
    """The whole number at a path; None where there is none."""
    found = at(value, *path)
    return found if isinstance(found, int) and not isinstance(found, bool) else None


def word(value: object, *path: str | int) -> str:
    """What stands at a path as one word of a key: a text or a number, else nothing."""
    found = at(value, *path)
    return str(found) if isinstance(found, str | int) and not isinstance(found, bool) else ""


def gave_up(event: str, action: str | None, payload: Json) -> bool:
    """Whether an event tells, in GitHub's words, that a pull request was closed and not merged."""
    return (event, action) == ("pull_request", "closed") and at(payload, "pull_request", "merged") is False


def digest(payload: Json) -> str:
    """A short name of a whole payload: the same for the same content, however its keys were ordered."""
    canonical = json.dumps(payload, sort_keys=True, ensure_ascii=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:32]
