"""JMESPath, held to what can be carried out: filters (`when`) and the placeholders of templates.

https://jmespath.org/specification.html. A misspelt function would fail only when an event comes, so it is looked for
when the file is read.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from typing import Any

import jmespath
from jmespath.exceptions import JMESPathError
from jmespath.functions import Functions

LONGEST = 2000
"""characters of an expression"""
_DOTTED = ("subexpression", "index_expression", "projection", "value_projection", "filter_projection")
_KNOWN: dict[str, Any] = Functions.FUNCTION_TABLE


def check(text: str) -> None:
    """Whether an expression can be used.

    Raises:
        ValueError: it cannot; the message says what to write instead.
    """
    if len(text) > LONGEST:
        raise ValueError(f"write at most {LONGEST} characters")
    try:
        parsed = jmespath.compile(text).parsed
    except (JMESPathError, RecursionError) as error:
        raise ValueError(f"write a JMESPath expression: {_short(error)}") from error
    for node in _nodes(parsed):
        if node["type"] == "function_expression":
            _function(node)
        if node["type"] in _DOTTED and node["children"][0]["type"] == "not_expression":
            # `!a.b` is `(!a).b`, which is null whatever b says
            raise ValueError("put brackets behind the !, such as !(a.b): it binds tighter than the dot")


def holds(text: str, value: object) -> bool:
    """Whether a filter lets `value` pass: null, false, and what is empty do not (JMESPath's truth).

    Raises:
        ValueError: a function got what it cannot take.
    """
    return truth(find(text, value))


def truth(found: object) -> bool:
    """JMESPath's truth: null, false and what is empty are not true; a number is."""
    return bool(found) or (isinstance(found, int | float) and not isinstance(found, bool))


def paths(text: str) -> list[tuple[str, ...]]:
    """The plain paths of fields that an expression begins with at the root, such as `pull_request.draft`."""
    return list(_paths(jmespath.compile(text).parsed))


def find(text: str, value: object) -> Any:
    """What an expression finds in `value`; None where there is nothing.

    Raises:
        ValueError: a function got what it cannot take, or the expression is none.
    """
    try:
        return jmespath.search(text, value)
    except (JMESPathError, RecursionError, TypeError) as error:
        raise ValueError(_short(error)) from error


def _function(node: dict[str, Any]) -> None:
    name = node["value"]
    known = _KNOWN.get(name)
    if known is None:
        near = difflib.get_close_matches(name, _KNOWN, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise ValueError(f"the function {name} is none of {', '.join(sorted(_KNOWN))}{hint}")
    signature = known["signature"]
    given, wanted = len(node["children"]), len(signature)
    variadic = bool(signature) and signature[-1].get("variadic", False)
    if given < wanted or (given > wanted and not variadic):
        raise ValueError(f"{name} takes {wanted} argument{'s' if wanted != 1 else ''}, not {given}")


def _nodes(node: Any) -> Iterator[dict[str, Any]]:
    if isinstance(node, dict):
        yield node
        for child in node.get("children", ()):
            yield from _nodes(child)


def _paths(node: Any) -> Iterator[tuple[str, ...]]:
    path = _path(node)
    if path:
        yield path
        return
    relative = {"projection", "filter_projection", "value_projection", "flatten", "pipe", "subexpression"}
    children = node["children"][:1] if node["type"] in relative else node["children"]  # what is behind is no root
    for child in children:
        if isinstance(child, dict):
            yield from _paths(child)


def _path(node: Any) -> tuple[str, ...]:
    if node["type"] == "field":
        return (str(node["value"]),)
    if node["type"] == "subexpression":
        parts = [_path(child) for child in node["children"]]
        return tuple(name for part in parts for name in part) if all(parts) else ()
    return ()


def _short(error: BaseException) -> str:
    return (str(error).splitlines() or [type(error).__name__])[0][:200]
