"""The OpenAPI 3.1 document, made from the table and the models: https://spec.openapis.org/oas/v3.1.1.html."""

from __future__ import annotations

import re
from collections.abc import Sequence
from http import HTTPStatus

from pydantic.json_schema import models_json_schema

from handrail import __version__
from handrail.types import Json
from handrail.web.answers import EVENT_STREAM, MODELS
from handrail.web.problems import MEDIA_TYPE
from handrail.web.table import PREFIX, Entry

_REF = "#/components/schemas/{model}"
_PATH_PART = re.compile(r"\{(\w+)\}")
_ALWAYS = (401, 403, 422, 500)
_TAGS = {
    "sessions": "Conversations with agents.",
    "changes": "What a session changed, and where it goes.",
    "approvals": "Questions that wait for a person.",
    "events": "What comes in from outside, and from whom.",
    "notify": "Who is told of what waits and what came out, and how.",
    "agents": "The programs that do the work.",
    "providers": "Where models come from.",
    "secrets": "What tasks need and no agent holds.",
    "inbox": "What ended badly, until somebody knows.",
    "effects": "Acts on the outside world, from the proposal to the receipt.",
    "members": "Who may come in, and with which role.",
    "forges": "Git hosts where effects are carried out.",
    "runs": "What workflows do, a task a repository.",
    "workflows": "What is repeatable, and what starts it.",
    "budgets": "What was spent, what may be, and what models cost.",
    "system": "The server itself.",
}


def document(table: Sequence[Entry], url: str) -> Json:
    """The whole document.

    Args:
        table: every route.
        url: where the server is.
    """
    bodies = {entry.body for entry in table if entry.body is not None}
    models = [*((Entry.model(body), "validation") for body in sorted(bodies))]
    given = [*((answer, "serialization") for answer in MODELS.values())]
    _, definitions = models_json_schema([*models, *given], ref_template=_REF)  # type: ignore[list-item]  # the modes are literals
    paths: dict[str, Json] = {
        "/health": {
            "get": {
                "tags": ["system"],
                "summary": "Say that the server answers.",
                "operationId": "health",
                "security": [],
                "responses": {"200": {"description": "It does.", "content": {"application/json": {"schema": _HEALTH}}}},
            }
        }
    }
    for entry in table:
        paths.setdefault(PREFIX + entry.path, {})[entry.method.lower()] = _operation(entry)
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Handrail",
            "version": __version__,
            "summary": "Prompt coding agents by hand, hand them off, keep the same walls round both.",
            "license": {"name": "MIT", "identifier": "MIT"},
        },
        "servers": [{"url": url}],
        "tags": [{"name": name, "description": text} for name, text in _TAGS.items()],
        "security": [{"token": []}],
        "paths": paths,
        "components": {
            "schemas": definitions.get("$defs", {}),
            "securitySchemes": {
                "token": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "The token in `server.json` of the data directory; the unix socket needs none.",
                }
            },
        },
    }


_HEALTH: Json = {"type": "object", "properties": {"ok": {"const": True}}, "required": ["ok"]}


def _operation(entry: Entry) -> Json:
    parameters: list[Json] = [
        {"name": name, "in": "path", "required": True, "schema": {"type": "string"}}
        for name in _PATH_PART.findall(entry.path)
    ]
    parameters += [
        {"name": query.name, "in": "query", "description": query.means, "schema": {"type": query.type}}
        for query in entry.query
    ]
    if entry.answer == EVENT_STREAM:
        parameters.append({"name": "Last-Event-ID", "in": "header", "schema": {"type": "integer"}})
    operation: Json = {
        "tags": [entry.tag],
        "summary": entry.summary,
        "operationId": _operation_id(entry),
        "parameters": parameters,
        "responses": {str(entry.status): _answer(entry)} | {str(code): _problem(code) for code in _codes(entry)},
    }
    if entry.body is not None:
        operation["requestBody"] = {
            "required": not entry.body_optional,
            "content": {"application/json": {"schema": _ref(entry.body)}},
        }
    return operation


def _answer(entry: Entry) -> Json:
    if entry.answer == EVENT_STREAM:
        schema = {"type": "string", "description": "`data` of each event is an EventShown, `id` its number."}
        return {"description": "Server-sent events.", "content": {"text/event-stream": {"schema": schema}}}
    content = {"application/json": {"schema": _ref(entry.answer)}}
    return {"description": MODELS[entry.answer].__doc__ or entry.answer, "content": content}


def _problem(code: int) -> Json:
    return {"description": HTTPStatus(code).phrase, "content": {MEDIA_TYPE: {"schema": _ref("Problem")}}}


def _codes(entry: Entry) -> list[int]:
    return sorted({*_ALWAYS, *entry.problems})


def _operation_id(entry: Entry) -> str:
    words = [part.strip("{}") for part in entry.path.split("/") if part]
    return "_".join([entry.method.lower(), *words])


def _ref(model: str) -> Json:
    return {"$ref": _REF.format(model=model)}
