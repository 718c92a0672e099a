"""What Gitea publishes of the calls that Handrail makes, and the check of requests and answers by it."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable
from functools import cache
from pathlib import Path
from typing import Any

from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

_PAGE = {"limit", "page"}
"""sent with every list; Gitea heeds them in most, and gives the others whole"""


@cache
def _document() -> Any:
    return json.loads(Path(__file__).with_name("gitea.trimmed.json").read_text("utf-8"))


@cache
def _operation(method: str, path: str) -> Any:
    """The operation of a path below the API's base: that with the most words where several fit."""
    fitting = []
    for name, operation in _document()["operations"].items():
        verb, _, template = name.partition(" ")
        if verb == method and re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", template), f"/{path}"):
            fitting.append((template.count("{"), operation))
    return min(fitting, key=lambda item: item[0])[1] if fitting else None


@cache
def _schema(kind: str) -> Draft202012Validator:
    """Of a model, or of a list of them."""
    of_list = kind.startswith("List[")
    one = {"$ref": f"#/$defs/{kind.removeprefix('List[').removesuffix(']')}"}
    return Draft202012Validator(
        {"$defs": _document()["$defs"], **({"type": "array", "items": one} if of_list else one)}
    )


def wrong(call: str, query: Iterable[str], body: Any, answer: Any, status: int) -> list[str]:
    """What is wrong with one exchange.

    Args:
        call: `METHOD path`, below the API's base.
        query: the names in it.
        body: what was sent.
        answer: what was answered.
        status: of the answer; of refusals the answer is not looked at.
    """
    method, _, path = call.partition(" ")
    operation = _operation(method, path)
    if operation is None:
        return [f"{call} is no call of Gitea's"]
    found = [f"{call}?{name}= is not known" for name in sorted({*query} - {*operation["query"]} - _PAGE)]
    if operation["body"] is None:
        found += [f"{call} takes no body"] if body else []
    else:
        found += [f"{call} {item}" for item in _errors(operation["body"], body)]
    if status >= 300:
        return found
    if str(status) not in operation["answers"]:
        return [*found, f"{call} answers {[*operation['answers']]}, not {status}"]
    kind = operation["answers"][str(status)]
    return found if kind is None else [*found, *(f"{call} → {item}" for item in _errors(kind, answer))]


def _errors(kind: str, value: Any) -> list[str]:
    return [f"{'/'.join(map(str, error.absolute_path))}: {error.message}"[:300] for error in _leaves(kind, value)]


def _leaves(kind: str, value: Any) -> Iterable[Any]:
    """The errors themselves: within `anyOf` of something or null, those of the something."""
    waiting = [*_schema(kind).iter_errors(value)]
    while waiting:
        error = waiting.pop()
        inner = [one for one in error.context or () if one.schema_path[0] == 0]
        if not inner:
            yield error
        waiting += inner
