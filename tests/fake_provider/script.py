"""The script in the prompt: finding it, expanding it, and knowing which step comes next."""

from __future__ import annotations

import json
import re
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
    _lasts: list[int] = field(init=False)
    """where the step of each round stands: those that are no fault"""

    def __post_init__(self) -> None:
        self._lasts = [index for index, step in enumerate(self.steps) if not _breaks(step)]

    def step(self, rounds: int) -> Step | None:
        """The step after `rounds` rounds; None when the script is over. Serving a fault is counted."""
        if rounds > len(self._lasts):
            return None
        first = self._lasts[rounds - 1] + 1 if rounds else 0
        for index in range(first, len(self.steps)):
            step = self.steps[index]
            if not _breaks(step):
                return step
            if self.served.get(index, 0) < step.get("times", 1 << 60):
                self.served[index] = self.served.get(index, 0) + 1
                return step
        return None


def _breaks(step: Step) -> bool:
    """Whether the step fails a call and so makes no round of its own."""
    return str(step.get("fault", "refuse")) != "refuse"


def read(text: str) -> Script:
    """A script from a file's text: a JSON list of steps.

    Raises:
        ScriptError: it is not one.
    """
    return Script(_expand(_decode(json.dumps(text)[1:-1].encode())))


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
    tail = body[start:]
    if b'_call_output"' not in tail:
        return len(_RUNS.findall(b"".join(_ROLES.findall(tail))))
    marks = [(match.start(), match[1]) for match in _ROLES.finditer(tail)]
    marks += [(match.start(), b"u" if match[2] else b"a") for match in _CALLS.finditer(tail)]
    return len(_RUNS.findall(b"".join(mark for _, mark in sorted(marks))))


_ROLES = re.compile(rb'"role"\s*:\s*"([amutf])')
"""first letters: assistant, model; user, tool, function. Others (system, developer) may stand within a turn"""
_RUNS = re.compile(rb"[am]+")
_CALLS = re.compile(rb'"type"\s*:\s*"(function|custom_tool|local_shell)_call(_output)?"')
