"""Whether an event starts a workflow, and why, or why not: a pure decision that can be shown before it is saved."""

from __future__ import annotations

import fnmatch
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Protocol

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.parser import ParsedResult

from handrail.types import Json


class Arrived(Protocol):
    """What is matched: a stored event, or a sample."""

    @property
    def source(self) -> str: ...  # noqa: D102
    @property
    def event(self) -> str: ...  # noqa: D102
    @property
    def action(self) -> str | None: ...  # noqa: D102
    @property
    def repository(self) -> str | None: ...  # noqa: D102
    @property
    def payload(self) -> Json: ...  # noqa: D102


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a trigger waits for. Empty tuples want anything.

    Args:
        events: names of events.
        actions: what happened to the thing.
        sources: names of sources.
        repositories: `owner/name`, with `*` and `?`.
        when: a JMESPath expression over the payload that must give something
            (https://jmespath.org/specification.html: null, false and what is empty is nothing).
    """

    events: tuple[str, ...] = ()
    actions: tuple[str, ...] = ()
    sources: tuple[str, ...] = ()
    repositories: tuple[str, ...] = ()
    when: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether it matches, and why, in one clause."""

    matched: bool
    why: str


def judge(wanted: Wanted, arrived: Arrived) -> Verdict:
    """Whether `arrived` is what is `wanted`; says the first thing that is not."""
    named: tuple[tuple[str, str | None, tuple[str, ...]], ...] = (
        ("source", arrived.source, wanted.sources),
        ("event", arrived.event, wanted.events),
        ("action", arrived.action, wanted.actions),
    )
    for name, given, among in named:
        if among and given not in among:
            return Verdict(False, f"the {name} is {given or 'not given'}, not {' or '.join(among)}")
    if wanted.repositories and not any(
        fnmatch.fnmatchcase((arrived.repository or "").lower(), glob.lower()) for glob in wanted.repositories
    ):
        where = arrived.repository or "not given"
        return Verdict(False, f"the repository is {where}, not {' or '.join(wanted.repositories)}")
    return _filtered(wanted.when, arrived.payload)


def _filtered(when: str | None, payload: Json) -> Verdict:
    if when is None:
        return Verdict(True, "it is the event that is wanted")
    expression = _compiled(when)
    try:
        found = expression.search(payload)
    except JMESPathError as error:
        return Verdict(False, f"the filter could not be applied: {' '.join(str(error).split())}")
    if found is None or found is False or found in ("", [], {}):
        missing = next((path for path in _paths(expression.parsed) if _lacks(payload, path)), None)
        hint = "" if missing is None else f"; the event has no {'.'.join(missing)}: is it spelt as the sender does?"
        return Verdict(False, f"the filter gives {_shown(found)}{hint}")
    return Verdict(True, f"the filter gives {_shown(found)}")


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:79] + "…"


@lru_cache(maxsize=1024)
def _compiled(expression: str) -> ParsedResult:
    return jmespath.compile(expression)


def _paths(node: Mapping[str, Any]) -> Iterator[tuple[str, ...]]:
    """The plain paths of fields in an expression, from its root."""
    path = _path(node)
    if path:
        yield path
        return
    if node["type"] in {"projection", "filter_projection", "value_projection", "flatten", "pipe"}:
        yield from _paths(node["children"][0])  # what stands behind is relative to it
        return
    for child in node["children"]:
        yield from _paths(child)


def _path(node: Mapping[str, Any]) -> tuple[str, ...]:
    if node["type"] == "field":
        return (str(node["value"]),)
    if node["type"] == "subexpression":
        parts = [_path(child) for child in node["children"]]
        return tuple(name for part in parts for name in part) if all(parts) else ()
    return ()


def _lacks(payload: object, path: tuple[str, ...]) -> bool:
    for name in path:
        if not isinstance(payload, dict) or name not in payload:
            return True
        payload = payload[name]
    return False
