"""Requests as agents make them, one set a wire format: what tests of the fake and of the gateway send."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Body = dict[str, Any]
_SCHEMA = {"type": "object", "properties": {"command": {"type": "string"}}, "required": ["command"]}


@dataclass(frozen=True, slots=True)
class Format:
    """How one wire format asks. `make(prompt, stream)` gives the body of a first call that offers a shell tool."""

    name: str
    path: str
    stream_path: str
    key_header: tuple[str, str]
    """name and template of the header that carries the key"""
    make: Callable[[str, bool], Body]
    answer: Callable[[Body, int], list[Body]]
    """(the history's list, number) → the items of one finished tool round"""
    history: str

    def url(self, base: str, *, stream: bool) -> str:
        return base + (self.stream_path if stream else self.path)

    def headers(self, key: str) -> dict[str, str]:
        return {self.key_header[0]: self.key_header[1].format(key), "content-type": "application/json"}

    def body(self, prompt: str, *, stream: bool = False, rounds: int = 0) -> bytes:
        """A call after `rounds` tool rounds of the same prompt."""
        body = self.make(prompt, stream)
        for number in range(rounds):
            body[self.history] += self.answer(body, number)
        return json.dumps(body).encode()


def _anthropic(prompt: str, stream: bool) -> Body:
    tools = [{"name": "Bash", "description": "Run", "input_schema": _SCHEMA}]
    messages = [{"role": "user", "content": [{"type": "text", "text": prompt}]}]
    return {"model": "claude-sonnet-4-5", "max_tokens": 1000, "stream": stream, "tools": tools, "messages": messages}


def _anthropic_round(_: Body, number: int) -> list[Body]:
    use = {"type": "tool_use", "id": f"toolu_{number}", "name": "Bash", "input": {"command": "true"}}
    result = {"type": "tool_result", "tool_use_id": f"toolu_{number}", "content": "fine"}
    return [{"role": "assistant", "content": [use]}, {"role": "user", "content": [result]}]


def _chat(prompt: str, stream: bool) -> Body:
    tools = [{"type": "function", "function": {"name": "bash", "parameters": _SCHEMA}}]
    return {"model": "gpt-4o", "stream": stream, "tools": tools, "messages": [{"role": "user", "content": prompt}]}


def _chat_round(_: Body, number: int) -> list[Body]:
    call = {"id": f"c{number}", "type": "function", "function": {"name": "bash", "arguments": '{"command":"true"}'}}
    result = {"role": "tool", "tool_call_id": f"c{number}", "content": "fine"}
    return [{"role": "assistant", "content": None, "tool_calls": [call]}, result]


def _responses(prompt: str, stream: bool) -> Body:
    tools = [{"type": "function", "name": "exec_command", "parameters": {"properties": {"cmd": {"type": "string"}}}}]
    message = {"type": "message", "role": "user", "content": [{"type": "input_text", "text": prompt}]}
    return {"model": "gpt-5", "stream": stream, "tools": tools, "input": [message]}


def _responses_round(_: Body, number: int) -> list[Body]:
    call = {"type": "function_call", "name": "exec_command", "arguments": "{}", "call_id": f"c{number}"}
    return [call, {"type": "function_call_output", "call_id": f"c{number}", "output": "fine"}]


def _gemini(prompt: str, stream: bool) -> Body:  # noqa: ARG001  # the path says it
    declaration = {"name": "run_shell_command", "parametersJsonSchema": _SCHEMA}
    contents = [{"role": "user", "parts": [{"text": prompt}]}]
    return {"contents": contents, "tools": [{"functionDeclarations": [declaration]}]}


def _gemini_round(_: Body, number: int) -> list[Body]:
    call = {"functionCall": {"name": "run_shell_command", "args": {"command": f"echo {number}"}}}
    result = {"functionResponse": {"name": "run_shell_command", "response": {"output": "fine"}}}
    return [{"role": "model", "parts": [call]}, {"role": "user", "parts": [result]}]


_GEMINI = "/v1beta/models/gemini-2.5-pro:"
_MESSAGES, _CHAT, _RESPONSES = "/v1/messages?beta=true", "/v1/chat/completions", "/v1/responses"
_BEARER = ("authorization", "Bearer {}")
_ALL = (
    Format("anthropic", _MESSAGES, _MESSAGES, ("x-api-key", "{}"), _anthropic, _anthropic_round, "messages"),
    Format("chat", _CHAT, _CHAT, _BEARER, _chat, _chat_round, "messages"),
    Format("responses", _RESPONSES, _RESPONSES, _BEARER, _responses, _responses_round, "input"),
    Format(
        "gemini",
        f"{_GEMINI}generateContent",
        f"{_GEMINI}streamGenerateContent?alt=sse",
        ("x-goog-api-key", "{}"),
        _gemini,
        _gemini_round,
        "contents",
    ),
)
FORMATS = {item.name: item for item in _ALL}
