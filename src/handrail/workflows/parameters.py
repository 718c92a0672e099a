"""Literal values in a prompt that look like parameters: links, numbers of issues, versions, dates, branches. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct

MOST = 20
"""parameters of one workflow; more would be noise"""
_SCRIPT = re.compile(r"```.*?```", re.DOTALL)

# name, type, and where the value stands in a match; of two that overlap the earlier one in this list counts
_LOOKS: tuple[tuple[str, str, re.Pattern[str]], ...] = (
    ("url", "text", re.compile(r"(?P<v>https?://[^\s<>\"'`)\]}]+[^\s<>\"'`)\]}.,;:!?])")),
    ("date", "text", re.compile(r"(?<![\w-])(?P<v>\d{4}-\d{2}-\d{2})(?![\w-])")),
    ("branch", "text", re.compile(
        r"(?<![\w./-])(?P<v>(?:feature|feat|fix|bugfix|hotfix|release|chore|dependabot)/[\w.-]+(?:/[\w.-]+)*\w)(?![\w/])")),
    ("branch", "text", re.compile(
        r"\bbranch\s+(?:called\s+|named\s+)?[`'\"](?P<v>[\w][\w./-]{0,200})[`'\"]", re.IGNORECASE)),
    ("pull_request", "integer", re.compile(
        r"\b(?:pull request|merge request|PR|MR)\s+[#!]?(?P<v>\d{1,9})\b(?![.]\d)", re.IGNORECASE)),
    ("issue", "integer", re.compile(r"\b(?:issue|ticket|bug)\s+#?(?P<v>\d{1,9})\b(?![.]\d)", re.IGNORECASE)),
    ("issue", "integer", re.compile(r"(?<![\w#&])#(?P<v>\d{1,9})\b")),
    ("version", "text", re.compile(
        r"(?<![\w./-])(?P<v>v?\d+\.\d+(?:\.\d+)*(?:-?(?:a|b|rc|alpha|beta|dev|post)\.?\d*)?)(?![\w/-])(?!\.\d)")),
)  # fmt: skip


class Parameter(Struct, frozen=True):
    """One value that may differ the next time; `name` is that of its input."""

    name: str
    type: str
    value: str


class _Found(Struct, frozen=True):
    start: int
    end: int
    name: str
    type: str
    value: str


def parametrised(texts: Sequence[str]) -> tuple[tuple[str, ...], tuple[Parameter, ...]]:
    """Texts as templates, with what looked like a parameter made an input.

    Filled in with the values that stood there, each template gives its text again.
    """
    parameters: dict[tuple[str, str], Parameter] = {}
    templates = tuple(_template(text, parameters) for text in texts)
    return templates, tuple(parameters.values())


def _template(text: str, parameters: dict[tuple[str, str], Parameter]) -> str:
    out: list[str] = []
    at = 0
    for found in _all(text):
        key = (found.type, found.value)
        if key not in parameters:
            if len(parameters) >= MOST:
                continue
            parameters[key] = Parameter(_free(found.name, parameters), found.type, found.value)
        out += [literal(text[at : found.start]), f"{{{{ inputs.{parameters[key].name} }}}}"]
        at = found.end
    return "".join([*out, literal(text[at:])])


def literal(text: str) -> str:
    """A text as a template that gives just this text."""
    return text.replace("{{", "{{ '{{' }}")


def _all(text: str) -> list[_Found]:
    taken: list[tuple[int, int]] = [match.span() for match in _SCRIPT.finditer(text)]
    found: list[_Found] = []
    for name, kind, look in _LOOKS:
        for match in look.finditer(text):
            start, end = match.span("v")
            value = match["v"]
            if any(start < other and begin < end for begin, other in taken):
                continue
            if kind == "integer" and str(int(value)) != value:
                continue  # a number with a nought before it would come back without it
            taken.append((start, end))
            found.append(_Found(start, end, name, kind, value))
    return sorted(found, key=lambda item: item.start)


def _free(name: str, parameters: dict[tuple[str, str], Parameter]) -> str:
    used = {parameter.name for parameter in parameters.values()}
    return next(one for one in (name, *(f"{name}_{at}" for at in range(2, MOST + 2))) if one not in used)
