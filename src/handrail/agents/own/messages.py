"""What person, model and tools say to each other, in no wire's words, and as the journal keeps it."""

from __future__ import annotations

import json
from typing import Any

from msgspec import Struct, field, to_builtins

from handrail.text import loads

Json = dict[str, Any]

encode = json.JSONEncoder(separators=(",", ":"), default=to_builtins).encode
"""compact JSON in ASCII, of messages too: whatever a tool printed, the line stays valid UTF-8"""


class Call(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """A tool call and what it gave. `id` is the provider's; `number` is the memory's and unique in the session."""

    id: str
    name: str
    raw: str = ""  # the arguments as they come, until the answer is whole
    args: Json = field(default_factory=dict)
    fault: str | None = None  # why the arguments cannot be used
    number: int = 0
    result: str | None = None  # None until there is one
    ok: bool = False


class Message(Struct, omit_defaults=True, forbid_unknown_fields=True):
    """What the `user` said, or one answer of the `agent`. A call carries its result, so no pair is ever torn."""

    role: str
    text: str = ""
    calls: list[Call] = field(default_factory=list)
    thought: str = ""
    key: str = ""  # unique in the session, of an answer
    stop: str = "end"  # end, length or refusal; nothing while it grows
    wire: str = ""
    native: list[Json] = field(default_factory=list)  # the same in the words of `wire`, with what only it understands
    used: Json = field(default_factory=dict)  # tokens: input (all), of it cached, output; as `wire` tells them at first

    @property
    def empty(self) -> bool:
        """Whether it says nothing; some providers refuse such a message."""
        return not self.text.strip() and not self.calls

    def count(self, told: Json | None) -> None:
        """Take figures of a provider, which may come in several pieces."""
        self.used |= {name: value for name, value in (told or {}).items() if value is not None}


def arguments(raw: str) -> tuple[Json, str | None]:
    """A call's arguments from the model's JSON, and why they cannot be used where they cannot."""
    try:
        value = loads(raw) if raw.strip() else {}
    except ValueError as error:
        return {}, f"the arguments are not JSON ({error}); were they cut off? Give them again, shorter"
    return (value, None) if isinstance(value, dict) else ({}, "the arguments are no JSON object")
