"""What person, model and tools say to each other, in no wire's words, and as the journal keeps it."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

from handrail.text import whole

Json = dict[str, Any]

encode = json.JSONEncoder(separators=(",", ":"), default=vars).encode
"""compact JSON in ASCII, of messages too: whatever a tool printed, the line stays valid UTF-8"""


@dataclass
class Call:
    """A tool call and what it gave. `number` is ours and unique in the session; `id` is the provider's."""

    number: int
    id: str
    name: str
    args: Json
    fault: str | None = None  # why the arguments cannot be used
    result: str | None = None  # None until there is one
    ok: bool = False


@dataclass
class Message:
    """What the `user` said, or one answer of the `agent`. A call carries its result, so no pair is ever torn."""

    role: str
    text: str = ""
    calls: list[Call] = field(default_factory=list)
    thought: str = ""
    stop: str = "end"  # end, length or refusal
    wire: str = ""
    native: list[Json] = field(default_factory=list)  # the same in the words of `wire`, with what only it understands
    usage: list[int] = field(default_factory=lambda: [0, 0, 0])  # tokens: input (all), of it cached, output

    @property
    def empty(self) -> bool:
        """Whether it says nothing; some providers refuse such a message."""
        return not self.text.strip() and not self.calls


def from_json(record: Json) -> Message:
    """The message that `encode` wrote."""
    return Message(**{**record, "calls": [Call(**call) for call in record["calls"]]})


def arguments(raw: str) -> tuple[Json, str | None]:
    """A call's arguments from the model's JSON, and why they cannot be used where they cannot."""
    try:
        if "\\ud" in raw.lower():  # half a character, perhaps
            raw = json.dumps(json.loads(raw), ensure_ascii=False)
        value = json.loads(whole(raw)) if raw.strip() else {}
    except ValueError as error:
        return {}, f"the arguments are not JSON ({error}); were they cut off? Give them again, shorter"
    return (value, None) if isinstance(value, dict) else ({}, "the arguments are no JSON object")
