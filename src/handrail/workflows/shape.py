"""The shape of a workflow file: its values as the models of `document`, or what does not fit. Brings pydantic along."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from pydantic import ValidationError
from pydantic_core import ErrorDetails

from handrail.workflows.document import Workflow
from handrail.workflows.meant import guess
from handrail.workflows.sound import Fault

_MENDS = {
    "missing": "give this field",
    "string_type": "write a text",
    "bool_parsing": "write true or false",
    "bool_type": "write true or false",
    "int_parsing": "write a whole number",
    "int_type": "write a whole number",
    "float_parsing": "write a number",
    "tuple_type": "write a list",
    "dict_type": "write fields",
    "list_type": "write a list",
    "string_too_short": "say something",
    "string_pattern_mismatch": "give one line; names take lower case letters, digits and . _ -",
}


def shaped(value: object) -> Workflow | list[Fault]:
    """The workflow that the values of a file make, or all that does not fit."""
    try:
        return Workflow.model_validate(value)
    except ValidationError as error:
        return list(_complaints(error))


def _complaints(error: ValidationError) -> Iterator[Fault]:
    for item in error.errors(include_url=False):
        kind, context = item["type"], item.get("ctx", {})
        if kind == "unknown":
            key = str(context["key"])
            yield Fault((*item["loc"], key), key, str(context["mend"]))
        else:
            yield Fault(item["loc"], None if kind == "missing" else item["input"], _mend(item, context))


def _mend(item: ErrorDetails, context: dict[str, Any]) -> str:
    kind = item["type"]
    if kind == "value_error":
        return str(context["error"])
    if kind in ("enum", "literal_error"):
        return guess(str(item["input"]), re.findall(r"'([^']*)'", str(context["expected"])))
    if kind in ("greater_than_equal", "less_than_equal"):
        return f"give at {'least' if kind == 'greater_than_equal' else 'most'} {next(iter(context.values()))}"
    if kind in ("too_long", "string_too_long"):
        return f"give at most {context['max_length']} {'characters' if kind == 'string_too_long' else 'parts'}"
    return _MENDS.get(kind, item["msg"][:1].lower() + item["msg"][1:])
