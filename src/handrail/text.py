"""Text that is too long, or that no other program takes; what the server and Handrail's own agent share."""

from __future__ import annotations

import json
import re
from typing import Any

_HALF = re.compile(r"\\u[dD][89a-fA-F]")
"""half a character in JSON, mostly with its other half behind it"""


def clip(text: str, limit: int, why: str = "") -> str:
    """The beginning and the end of `text` where it is longer than `limit` characters, and what is missing."""
    if len(text) <= limit:
        return text
    head = limit // 3
    return f"{text[:head]}\n[… {len(text) - limit} characters left out{why} …]\n{text[len(text) - limit + head :]}"


def whole(text: str) -> str:
    """`text` with halves of surrogate pairs joined, and lone ones replaced: no other program takes those."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def loads(raw: str) -> Any:
    """What the JSON in `raw` says, each text in it as `whole` makes it. Raises ValueError or RecursionError."""
    if _HALF.search(raw):
        raw = json.dumps(json.loads(raw), ensure_ascii=False)
    return json.loads(whole(raw))
