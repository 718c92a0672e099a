"""What is generated from the models: the JSON Schema for editors, and the reference page.

`python -m tests.docs.generate` writes both to `docs/reference`.
"""

from __future__ import annotations

import enum
import json
import types
import typing
from collections.abc import Iterator
from typing import Any

from pydantic import BaseModel
from pydantic.fields import FieldInfo

from handrail.types import Json
from handrail.workflows.document import Workflow
from handrail.workflows.model import Model

HEAD = """# Workflow file

One YAML file a workflow: `.handrail/workflows/*.yaml` in a repository (`handrail workflows sync`), or a file of your
own (`handrail workflows add FILE`). `handrail workflows lint FILE` says what is wrong with one, without a server.
[workflow.schema.json](workflow.schema.json) lets an editor complete and check it:
`# yaml-language-server: $schema=…/workflow.schema.json`.

Times are `90s`, `30m`, `1h30m`, `2d` or seconds; money is US dollars. Where a list stands, one part may stand without
brackets. A field with nothing behind it is as good as left out.

**Templates.** `{{ inputs.NAME }}` and `{{ event.pull_request.title }}`: a
[JMESPath](https://jmespath.org/specification.html) over `inputs` and `event`; `{{ '{{' }}` writes the braces. In a
goal, what comes from an event stands between marks that nobody can guess, and the agent is told that it is data.

**Filters.** `when` is a JMESPath over the event. A missing field is null, and null does not start the workflow.

**Schedules** and daylight saving: [schedules](../explanation/schedules.md).
"""


def schema() -> Json:
    """The schema as JSON values (https://json-schema.org/draft/2020-12)."""
    made = _plain(Workflow.model_json_schema(mode="validation"))
    return {"$schema": "https://json-schema.org/draft/2020-12/schema", "title": "Handrail workflow", **made}


def _plain(part: Any) -> Any:
    """Without the titles that only repeat names."""
    if isinstance(part, list):
        return [_plain(item) for item in part]
    if not isinstance(part, dict):
        return part
    return {key: _plain(value) for key, value in part.items() if key != "title" or not isinstance(value, str)}


def text() -> str:
    """The schema as the file holds it."""
    return json.dumps(schema(), indent=2, ensure_ascii=False) + "\n"


def page() -> str:
    """The reference page: a table for each model, the workflow first."""
    parts = [HEAD]
    for model, path in _models(Workflow, "", {}):
        title = f"## `{path}`" if path else "## Fields"
        rows = [_row(name, field) for name, field in model.model_fields.items()]
        about = "" if not path else f"{(model.__doc__ or '').strip()}\n\n"
        parts.append(
            f"{title}\n\n{about}| field | value | default | |\n| --- | --- | --- | --- |\n" + "\n".join(rows) + "\n"
        )
    return "\n".join(parts)


def _models(model: type[Model], path: str, seen: dict[type[Model], str]) -> Iterator[tuple[type[Model], str]]:
    if model in seen:
        return
    seen[model] = path
    yield model, path
    for name, field in model.model_fields.items():
        for inner in _inner(field.annotation):
            plural = "[]" if _many(field.annotation) else ""
            yield from _models(inner, f"{path}.{name}{plural}" if path else f"{name}{plural}", seen)


def _inner(annotation: Any) -> Iterator[type[Model]]:
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield typing.cast("type[Model]", annotation)
    for argument in typing.get_args(annotation):
        yield from _inner(argument)


def _fields(annotation: Any) -> Iterator[FieldInfo]:
    """What is said of a type where it is named, such as `When`."""
    for argument in typing.get_args(annotation):
        yield from _fields(argument)
        if isinstance(argument, FieldInfo):
            yield argument


def _many(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (tuple, list) or any(
        _many(argument) for argument in typing.get_args(annotation) if typing.get_origin(annotation) is not dict
    )


def _row(name: str, field: FieldInfo) -> str:
    when = next((item.description for item in _fields(field.annotation) if item.description), None)
    about = field.description or when or next((model.__doc__ or "" for model in _inner(field.annotation)), "")
    about = about.strip().splitlines()[0] if about.strip() else ""
    cells = (f"`{name}`", _kind(name, field), _default(field), about)
    return "| " + " | ".join(cell.replace("|", "\\|") for cell in cells) + " |"


def _kind(name: str, field: FieldInfo) -> str:
    if name == "usd":
        return "US dollars"
    if name in ("time", "timeout", "lateness"):
        return "time"
    if name in ("sample", "stop_at_failure_rate"):
        return "share"
    word = _word(field.annotation)
    return f"list of {word}" if _many(field.annotation) else word


def _word(annotation: Any) -> str:
    arguments = [item for item in typing.get_args(annotation) if item not in (type(None), Ellipsis)]
    origin = typing.get_origin(annotation)
    if origin is typing.Literal:
        return ", ".join(map(str, arguments))
    if origin is dict:
        return "fields"
    if origin in (typing.Union, types.UnionType, tuple, list, typing.Annotated):
        return _word(arguments[0])
    if isinstance(annotation, type) and issubclass(annotation, enum.Enum):
        return "word" if len(annotation) > 6 else ", ".join(str(member.value) for member in annotation)
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return "fields"
    return {str: "text", int: "number", float: "number", bool: "true, false"}.get(annotation, "text")


def _default(field: FieldInfo) -> str:
    value = field.default
    if field.is_required():
        return "**required**"
    if value in (None, ()) or isinstance(value, BaseModel | dict):
        return ""
    shown = value.value if isinstance(value, enum.Enum) else str(value).lower() if isinstance(value, bool) else value
    if isinstance(value, float) and value >= 60:
        shown = f"{value / 3600:g}h" if value >= 3600 else f"{value / 60:g}m"
    return f"`{shown}`"
