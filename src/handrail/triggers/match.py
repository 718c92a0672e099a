"""Whether an event starts a workflow, and why, or why not: a pure decision that can be shown before it is saved."""

from __future__ import annotations

import fnmatch
import json
from typing import TYPE_CHECKING, Protocol

from msgspec import Struct

from handrail.types import Json
from handrail.workflows import expressions

if TYPE_CHECKING:
    from handrail.workflows.starts import On


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


class Wanted(Struct, frozen=True):
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


class Verdict(Struct, frozen=True):
    """Whether it matches, and why, in one clause."""

    matched: bool
    why: str


def wanted_by(on: On) -> tuple[Wanted, ...]:
    """What the triggers of a workflow wait for."""
    return (
        *(Wanted(item.events, item.actions, _named(item.forge), (), item.when) for item in on.forge),
        *(Wanted(sources=(item.source,), when=item.when) for item in on.webhook),
        *(Wanted(("alert",), sources=_named(item.source), when=item.when) for item in on.alert),
    )


def _named(word: str | None) -> tuple[str, ...]:
    return () if word is None else (word,)


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
    try:
        found = expressions.find(when, payload)
    except ValueError as error:
        return Verdict(False, f"the filter could not be applied: {error}")
    if expressions.truth(found):
        return Verdict(True, f"the filter gives {_shown(found)}")
    missing = next((path for path in expressions.paths(when) if _lacks(payload, path)), None)
    hint = "" if missing is None else f"; the event has no {'.'.join(missing)}: is it spelt as the sender does?"
    return Verdict(False, f"the filter gives {_shown(found)}{hint}")


def _shown(value: object) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 80 else text[:79] + "…"


def _lacks(payload: object, path: tuple[str, ...]) -> bool:
    for name in path:
        if not isinstance(payload, dict) or name not in payload:
            return True
        payload = payload[name]
    return False
