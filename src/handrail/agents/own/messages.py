"""What person, model and tools say to each other, in no wire's words."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]

encode = json.JSONEncoder(separators=(",", ":")).encode
"""compact JSON in ASCII: whatever a tool printed, the line stays valid UTF-8"""


def clean(text: str) -> str:
    """`text` with halves of surrogate pairs joined, and lone ones replaced: no other program takes those."""
    return text if text.isascii() else text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def clip(text: str, limit: int, why: str = "") -> str:
    """The beginning and the end of `text` where it is longer than `limit` characters, and what is missing."""
    if len(text) <= limit:
        return text
    head = limit // 3
    return f"{text[:head]}\n[… {len(text) - limit} characters left out{why} …]\n{text[len(text) - limit + head :]}"


@dataclass(frozen=True, slots=True)
class User:
    """What the person said."""

    text: str


@dataclass(frozen=True, slots=True)
class Call:
    """A tool call of the model. `number` is ours and unique in the session; `id` is the provider's."""

    number: int
    id: str
    name: str
    args: Json
    fault: str | None = None
    """why the arguments cannot be used"""


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of the model. `native` is the same in the words of `wire`, with what only that wire understands."""

    text: str
    calls: tuple[Call, ...] = ()
    thought: str = ""
    stop: str = "end"
    """end, length or refusal"""
    wire: str = ""
    native: tuple[Json, ...] = ()
    tokens: int = 0
    """input and output together; 0 where the provider did not tell"""
    usage: tuple[int, int, int] = (0, 0, 0)
    """input (all), of it cached, output"""


@dataclass(frozen=True, slots=True)
class Result:
    """What a tool gave for the call of that number."""

    number: int
    id: str
    name: str
    text: str
    ok: bool = True


@dataclass(frozen=True, slots=True)
class Results:
    """The results of all calls of one answer, in their order."""

    items: tuple[Result, ...]


Message = User | Answer | Results


def arguments(raw: str) -> tuple[Json, str | None]:
    """A call's arguments from the model's JSON, and why they cannot be used where they cannot."""
    try:
        value = json.loads(clean(raw)) if raw.strip() else {}
        if "\\ud" in raw.lower():
            value = json.loads(clean(json.dumps(value, ensure_ascii=False)))
    except ValueError as error:
        return {}, f"the arguments are not JSON ({error}); were they cut off? Give them again, shorter"
    return (value, None) if isinstance(value, dict) else ({}, "the arguments are no JSON object")


def to_json(message: Message) -> Json:
    """A message as the journal keeps it."""
    match message:
        case User():
            return {"k": "user", "text": message.text}
        case Answer():
            calls = [[c.number, c.id, c.name, c.args, c.fault] for c in message.calls]
            record = {"k": "answer", "text": message.text, "calls": calls, "stop": message.stop, "wire": message.wire}
            return record | {"thought": message.thought, "native": message.native, "tokens": message.tokens}
        case Results():
            return {"k": "results", "items": [[r.number, r.id, r.name, r.text, r.ok] for r in message.items]}


def from_json(record: Json) -> Message:
    """The message that `to_json` wrote."""
    match record["k"]:
        case "user":
            return User(record["text"])
        case "results":
            return Results(tuple(Result(*item) for item in record["items"]))
    calls = tuple(Call(*item) for item in record["calls"])
    native, tokens = tuple(record["native"]), record["tokens"]
    return Answer(record["text"], calls, record["thought"], record["stop"], record["wire"], native, tokens)
