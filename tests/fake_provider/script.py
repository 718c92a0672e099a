"""The script in the prompt: finding it, expanding it, and knowing which step comes next."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Any

Step = dict[str, Any]

FAULTS = {
    "429": "rate limit, with `retry-after` when the step says so",
    "500": "server error",
    "401": "wrong key",
    "400": "request refused as malformed",
    "stall": "half the answer, then silence",
    "no_answer": "the request is read and never answered",
    "broken_sse": "half the answer, then an event that is not JSON, then a clean end",
    "drop": "half the answer, then the connection is cut",
    "refuse": "the model refuses, in the wire's own way; counts as a round like any answer",
}


class ScriptError(ValueError):
    """The text between `@@[` and `]@@` is not a list of steps."""


@dataclass(slots=True)
class Script:
    """The expanded steps of one script text, and how often each of its faults was served."""

    steps: list[Step]
    served: dict[int, int] = field(default_factory=dict)

    def step(self, rounds: int) -> Step | None:
        """The step after `rounds` rounds; None when the script is over. Serving a fault is counted."""
        seen = 0
        for index, step in enumerate(self.steps):
            fault = step.get("fault")
            if fault and fault != "refuse":
                if seen == rounds and self.served.get(index, 0) < step.get("times", 1 << 60):
                    self.served[index] = self.served.get(index, 0) + 1
                    return step
                continue
            if seen == rounds:
                return step
            seen += 1
        return None


def prompt(steps: list[Step], text: str = "") -> str:
    """A prompt that carries `steps`, after `text`."""
    return f"{text} @@{json.dumps(steps)}@@".strip()


def find(body: bytes, cache: dict[bytes, Script]) -> tuple[Script, int] | None:
    """The newest script in a request and where it ends in `body`; None without one.

    Raises:
        ScriptError: there are candidates, but none is a list of steps.
    """
    end = len(body)
    error: ScriptError | None = None
    while (start := body.rfind(b"@@[", 0, end)) >= 0:
        stop = body.find(b"]@@", start)
        if stop >= 0:
            raw = body[start + 2 : stop + 1]
            if raw not in cache:
                try:
                    cache[raw] = Script(_expand(_decode(raw)))
                except ScriptError as problem:
                    error = problem
            if raw in cache:
                return cache[raw], stop + 3
        end = start
    if error:
        raise error
    return None


def _decode(raw: bytes) -> list[Step]:
    try:
        steps = json.loads(json.loads(b'"' + raw + b'"'))
    except ValueError as error:
        raise ScriptError(f"the script is not JSON: {error}") from error
    if not all(isinstance(step, dict) for step in steps):
        raise ScriptError("every step of a script is an object")
    for step in steps:
        if "fault" in step and step["fault"] not in FAULTS:
            raise ScriptError(f"no such fault: {step['fault']}")
    return list(steps)


def _expand(steps: list[Step]) -> list[Step]:
    flat: list[Step] = []
    thoughts: list[str] = []
    for step in steps:
        if "repeat" in step:
            pattern = json.dumps(step["steps"] if "steps" in step else [step["step"]])
            for i in range(step["repeat"]):
                flat += _expand(json.loads(pattern.replace("{i}", str(i))))
        elif set(step) == {"think"}:
            thoughts.append(step["think"])
        elif thoughts:
            flat.append({**step, "think": "".join([*thoughts, step.get("think", "")])})
            thoughts = []
        else:
            flat.append(step)
    if thoughts:
        flat.append({"think": "".join(thoughts), "text": "done"})
    return flat


def rounds(body: bytes, start: int) -> int:
    """How many turns of the assistant stand in `body` after `start`: runs of its items, whatever came between.

    Counts by the structural JSON strings (`"role": "assistant"`, `"type": "function_call"`), which cannot occur inside
    a JSON string without backslashes; parsing long histories would cost more than all the rest of the fake.
    """
    marks: list[tuple[int, bool]] = []
    at = body.find(b'"role"', start)
    while at >= 0:
        after = body[at + 6 : at + 22].replace(b" ", b"")
        if after.startswith((b':"assistant', b':"model"')):
            marks.append((at, True))
        elif after.startswith((b':"user"', b':"tool"', b':"function"')):
            marks.append((at, False))
        at = body.find(b'"role"', at + 6)
    at = body.find(b'_call"', start)
    while at >= 0:
        if body[at - 20 : at].rpartition(b'"')[2] in _CALLS:
            marks.append((at, True))
        at = body.find(b'_call"', at + 6)
    at = body.find(b'_call_output"', start)
    while at >= 0:
        marks.append((at, False))
        at = body.find(b'_call_output"', at + 13)
    marks.sort()
    count, speaking = 0, False
    for _, assistant in marks:
        count += assistant and not speaking
        speaking = assistant
    return count


_CALLS = {b"function", b"custom_tool", b"local_shell"}
"""item types of OpenAI Responses that end in `_call`"""
