"""What person, model and tools say to each other, and how four wires say it: as a request, and as a stream of events.

A message is one value in all of them and in the journal, in no wire's words. The wires, at the end:
Chat Completions, and the many servers that speak it: https://platform.openai.com/docs/api-reference/chat.
Responses, without state at the provider: https://platform.openai.com/docs/api-reference/responses.
Anthropic Messages: https://docs.anthropic.com/en/api/messages, /messages-streaming and /prompt-caching.
Gemini: https://ai.google.dev/api/generate-content, streamed as server-sent events.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from msgspec import Struct, field, to_builtins

from handrail import providers
from handrail.text import loads, whole

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


# --- wires ----------------------------------------------------------------------------------------------------------

_STOPS = {"max_tokens": "length", "max_output_tokens": "length", "model_context_window_exceeded": "length"}
_STOPS |= {"length": "length", "content_filter": "refusal", "refusal": "refusal"}
"""why a provider says that it stopped, where that is not the end"""
_BEARER = {"authorization": "Bearer {}"}


class StreamBroken(Exception):
    """The stream said that it failed, or made no sense; the call can be tried again."""


class Wire(Struct, frozen=True):
    """One format, as a table of what differs."""

    name: str
    path: str  # `{}` is the model
    headers: Mapping[str, str]  # `{}` is the token
    head: Callable[[str, str, list[Json], int], Json]
    """(model, system, tools, most tokens of output) → the request; its last value is the list of messages"""
    items: Callable[[Message, list[Json]], list[Json]]
    """(message, what this wire itself said then) → what stands for it in the list"""
    read: Callable[[Message, Json], None]
    """take one event of the stream into the answer"""
    tokens: Callable[[Json], providers.Tokens]
    """what the provider's figures say"""

    def told(self, message: Message) -> str:
        """What stands for `message` in the list, without the brackets."""
        return encode(self.items(message, message.native if message.wire == self.name else []))[1:-1]

    def opening(self, head: Json) -> str:
        """How a request begins, up to the list of messages."""
        return encode({key: value for key, value in head.items() if value or key != "tools"})[:-2]

    def request(self, opening: str, told: Iterable[str]) -> bytes:
        """The whole request. It begins with the bytes of the one before, so that the provider can cache them."""
        return f"{opening}{'' if opening.endswith('[') else ','}{','.join(told)}]}}".encode()

    def take(self, answer: Message, event: Json) -> None:
        """Take one event of the stream into `answer`; StreamBroken where it tells of a failure."""
        failed = event if event.get("type") == "error" else event.get("response") or {}
        if error := event.get("error") or failed.get("error") or failed.get("message"):
            raise StreamBroken(error.get("message", error) if isinstance(error, dict) else error)
        self.read(answer, event)

    def finish(self, answer: Message) -> Message:
        """The answer as it is remembered; StreamBroken where the stream ended before it did."""
        if not answer.stop:
            raise StreamBroken("the answer broke off in mid-stream")
        for call in answer.calls:
            (call.args, call.fault), call.raw = arguments(call.raw), ""
        answer.text, answer.thought, answer.wire = whole(answer.text), whole(answer.thought), self.name
        answer.used = self.tokens(answer.used)._asdict()
        return answer


# --- Chat Completions -------------------------------------------------------------------------------------------------


def _chat_head(model: str, system: str, tools: list[Json], _: int) -> Json:
    request: Json = {"model": model, "stream": True, "stream_options": {"include_usage": True}}
    request["tools"] = [{"type": "function", "function": tool} for tool in tools]
    return request | {"messages": [{"role": "system", "content": system}]}


def _chat_items(message: Message, _: list[Json]) -> list[Json]:
    if message.role == "user":
        return [{"role": "user", "content": message.text}]
    said: Json = {"role": "assistant", "content": message.text or None}
    if message.calls:
        functions = [(call.id, {"name": call.name, "arguments": encode(call.args)}) for call in message.calls]
        said["tool_calls"] = [{"id": one, "type": "function", "function": function} for one, function in functions]
    return [said, *({"role": "tool", "tool_call_id": call.id, "content": call.result} for call in message.calls)]


def _chat_read(answer: Message, event: Json) -> None:
    answer.count(event.get("usage"))
    for choice in event.get("choices", ()):
        delta = choice.get("delta") or {}
        answer.text += delta.get("content") or delta.get("refusal") or ""
        answer.thought += delta.get("reasoning_content") or delta.get("reasoning") or ""
        for piece in delta.get("tool_calls") or ():
            # Some servers leave the index out and send each call whole, with an id.
            index = piece.get("index", len(answer.calls) - (not piece.get("id")))
            call = next((known for known in answer.calls if known.number == index), None)
            if call is None:
                answer.calls.append(call := Call("", "", number=index))
            function = piece.get("function") or {}
            call.id, call.name = piece.get("id") or call.id, function.get("name") or call.name
            call.raw += function.get("arguments") or ""
        if reason := choice.get("finish_reason"):
            answer.stop = _STOPS.get(reason, "end")


CHAT = Wire("openai-chat", "/v1/chat/completions", _BEARER, _chat_head, _chat_items, _chat_read, providers.chat)


# --- Responses --------------------------------------------------------------------------------------------------------

_REASONING = ("o1", "o3", "o4", "gpt-5", "codex")
"""models that hand out their reasoning, encrypted; others refuse to be asked for it"""
_SAYS = ("content", "encrypted_content", "call_id")
"""where an item holds something that can be handed back"""
_KEPT = ("type", "role", "summary", "name", "arguments", *_SAYS)


def _responses_head(model: str, system: str, tools: list[Json], _: int) -> Json:
    request: Json = {"model": model, "stream": True, "store": False, "instructions": system}
    if model.startswith(_REASONING):
        request["include"] = ["reasoning.encrypted_content"]
    return request | {"tools": [{"type": "function", **tool, "strict": False} for tool in tools], "input": []}


def _responses_items(message: Message, native: list[Json]) -> list[Json]:
    if message.role == "user":
        return [_responses_said("user", "input_text", message.text)]
    said = native or [_responses_said("assistant", "output_text", message.text)] * bool(message.text) + [
        {"type": "function_call", "call_id": call.id, "name": call.name, "arguments": encode(call.args)}
        for call in message.calls
    ]
    results = ({"type": "function_call_output", "call_id": call.id, "output": call.result} for call in message.calls)
    return [*said, *results]


def _responses_said(role: str, kind: str, text: str) -> Json:
    return {"type": "message", "role": role, "content": [{"type": kind, "text": text}]}


def _responses_read(answer: Message, event: Json) -> None:
    match event.get("type"):
        case "response.output_text.delta":
            answer.text += event["delta"]
        case "response.refusal.delta":
            answer.text += event["delta"]
            answer.stop = "refusal"
        case "response.reasoning_summary_text.delta" | "response.reasoning_text.delta":
            answer.thought += event["delta"]
        case "response.output_item.done":
            _responses_item(answer, event["item"])
        case "response.completed" | "response.incomplete":
            cut = event["response"].get("incomplete_details") or {}
            answer.stop = answer.stop or _STOPS.get(cut.get("reason", ""), "end")
            answer.count(event["response"].get("usage"))


def _responses_item(answer: Message, item: Json) -> None:
    """Keep an item for the next request, without its id: nothing is stored there that it could name."""
    if item["type"] == "function_call":
        answer.calls.append(Call(item["call_id"], item["name"], item["arguments"]))
    if any(item.get(key) for key in _SAYS):
        answer.native.append({key: item[key] for key in _KEPT if key in item})


_responses = (_responses_head, _responses_items, _responses_read, providers.responses)
RESPONSES = Wire("openai-responses", "/v1/responses", _BEARER, *_responses)


# --- Anthropic --------------------------------------------------------------------------------------------------------

_PIECES = {"text": "text", "thinking": "thinking", "signature": "signature", "partial_json": "input"}
"""what a delta holds → where it belongs in its block"""
_HOLDS = ("id", "data", "signature", "text")
"""where a block holds something"""
_NO_ID = re.compile(r"[^a-zA-Z0-9_-]")
_MARK = {"cache_control": {"type": "ephemeral"}}


def _anthropic_head(model: str, system: str, tools: list[Json], max_output: int) -> Json:
    # Cached is all up to the newest block, by the mark of the request, and tools and system text by another.
    request: Json = {"model": model, "max_tokens": max_output, "stream": True, **_MARK}
    request["system"] = [{"type": "text", "text": system, **_MARK}]
    names = {"name": "name", "description": "description", "parameters": "input_schema"}
    return request | {"tools": [{names[key]: tool[key] for key in names} for tool in tools], "messages": []}


def _anthropic_items(message: Message, native: list[Json]) -> list[Json]:
    text = [{"type": "text", "text": message.text}] if message.text.strip() else []
    if message.role == "user":
        return [{"role": "user", "content": text}]
    calls = [(_NO_ID.sub("_", call.id), call) for call in message.calls]
    uses = [{"type": "tool_use", "id": one, "name": call.name, "input": call.args} for one, call in calls]
    results = [
        {"type": "tool_result", "tool_use_id": one, "content": call.result, "is_error": not call.ok}
        for one, call in calls
    ]
    said: list[Json] = [{"role": "assistant", "content": native or text + uses}]
    return [*said, {"role": "user", "content": results}] if results else said


def _anthropic_read(answer: Message, event: Json) -> None:
    match event.get("type"):
        case "content_block_delta":
            block, delta = answer.native[event["index"]], event["delta"]
            for piece in _PIECES.keys() & delta:
                block[_PIECES[piece]] = block.get(_PIECES[piece], "") + delta[piece]
            answer.text += delta.get("text", "")
            answer.thought += delta.get("thinking", "")
        case "content_block_start":
            block = event["content_block"]
            if block["type"] == "tool_use":
                block = {key: block[key] for key in ("type", "id", "name")} | {"input": ""}
            answer.native.append(block)
        case "message_start":
            answer.count(event["message"].get("usage"))
        case "message_delta":
            answer.count(event.get("usage"))
            if reason := event["delta"].get("stop_reason"):
                answer.stop = _STOPS.get(reason, "end")
                _anthropic_settle(answer)


def _anthropic_settle(answer: Message) -> None:
    """The blocks as they can be handed back: with the input of calls, without those that hold nothing."""
    for block in answer.native:
        if block["type"] == "tool_use":
            answer.calls.append(Call(block["id"], block["name"], block["input"]))
            block["input"] = arguments(block["input"])[0]
    answer.native = [block for block in answer.native if any(str(block.get(key, "")).strip() for key in _HOLDS)]


_VERSION = {"x-api-key": "{}", "anthropic-version": "2023-06-01"}
_anthropic = (_anthropic_head, _anthropic_items, _anthropic_read, providers.anthropic)
ANTHROPIC = Wire("anthropic", "/v1/messages", _VERSION, *_anthropic)


# --- Gemini -----------------------------------------------------------------------------------------------------------

_GEMINI_STOPS = {"STOP": "end", "MAX_TOKENS": "length"}


def _gemini_head(_model: str, system: str, tools: list[Json], _max_output: int) -> Json:
    told = {"systemInstruction": {"parts": [{"text": system}]}, "tools": tools and [{"functionDeclarations": tools}]}
    return told | {"contents": []}


def _gemini_items(message: Message, native: list[Json]) -> list[Json]:
    text: list[Json] = [{"text": message.text}] if message.text else []
    if message.role == "user":
        return [{"role": "user", "parts": text}]
    uses: list[Json] = [{"functionCall": {"name": call.name, "args": call.args}} for call in message.calls]
    said: list[Json] = [{"role": "model", "parts": native or text + uses}]
    results = [{"functionResponse": _gemini_response(call)} for call in message.calls]
    return [*said, {"role": "user", "parts": results}] if results else said


def _gemini_response(call: Call) -> Json:
    response: Json = {"name": call.name, "response": {"output" if call.ok else "error": call.result}}
    return response if call.id.startswith("own_") else {"id": call.id, **response}  # that id was ours, not Gemini's


def _gemini_read(answer: Message, event: Json) -> None:
    answer.count(event.get("usageMetadata"))
    if (event.get("promptFeedback") or {}).get("blockReason"):
        answer.stop = "refusal"
    for candidate in event.get("candidates", ()):
        for part in (candidate.get("content") or {}).get("parts", ()):
            _gemini_part(answer, part)
        if reason := candidate.get("finishReason"):
            if reason == "MALFORMED_FUNCTION_CALL":
                raise StreamBroken("the model wrote a tool call that its provider cannot read")
            answer.stop = _GEMINI_STOPS.get(reason, "refusal")


def _gemini_part(answer: Message, part: Json) -> None:
    """Take one part; a signature of thinking must come back exactly where it stood."""
    if part.get("thought"):
        answer.thought += part.get("text", "")
        return
    answer.text += part.get("text", "")
    if call := part.get("functionCall"):
        answer.calls.append(Call(call.get("id", ""), call["name"], encode(call.get("args") or {})))
    if answer.native and set(answer.native[-1]) == set(part) == {"text"}:
        answer.native[-1]["text"] += part["text"]
    elif call or part.get("text") or part.get("thoughtSignature"):
        answer.native.append(part)


_GEMINI_PATH = "/v1beta/models/{}:streamGenerateContent?alt=sse"
_gemini = (_gemini_head, _gemini_items, _gemini_read, providers.gemini)
GEMINI = Wire("gemini", _GEMINI_PATH, {"x-goog-api-key": "{}"}, *_gemini)

WIRES = {wire.name: wire for wire in (CHAT, RESPONSES, ANTHROPIC, GEMINI)}
