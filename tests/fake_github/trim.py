"""Trims GitHub's published OpenAPI document to the operations that the double serves.

    npm pack @octokit/openapi && tar xzf octokit-openapi-*.tgz package/generated/api.github.com.json
    python tests/fake_github/trim.py package/generated/api.github.com.json

writes `api.github.com.trimmed.json` beside this file: `OPERATIONS` with all that they refer to, one example an answer,
no prose.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

TRIMMED = Path(__file__).with_name("api.github.com.trimmed.json")
_REPO = "/repos/{owner}/{repo}"
OPERATIONS: dict[str, tuple[str, ...]] = {
    "/user": ("get",),
    "/app": ("get",),
    "/app/installations/{installation_id}/access_tokens": ("post",),
    "/installation/repositories": ("get",),
    "/orgs/{org}/repos": ("get",),
    "/users/{username}/repos": ("get",),
    _REPO: ("get",),
    f"{_REPO}/actions/runs": ("get",),
    f"{_REPO}/installation": ("get",),
    f"{_REPO}/branches": ("get",),
    f"{_REPO}/branches/{{branch}}": ("get",),
    f"{_REPO}/commits/{{ref}}/check-runs": ("get",),
    f"{_REPO}/commits/{{ref}}/check-suites": ("get",),
    f"{_REPO}/commits/{{ref}}/statuses": ("get",),
    f"{_REPO}/statuses/{{sha}}": ("post",),
    f"{_REPO}/issues": ("get", "post"),
    f"{_REPO}/issues/comments": ("get",),
    f"{_REPO}/issues/events": ("get",),
    f"{_REPO}/issues/{{issue_number}}": ("get",),
    f"{_REPO}/issues/{{issue_number}}/comments": ("get", "post"),
    f"{_REPO}/issues/{{issue_number}}/labels": ("get", "post"),
    f"{_REPO}/issues/{{issue_number}}/labels/{{name}}": ("delete",),
    f"{_REPO}/releases": ("get",),
    f"{_REPO}/pulls": ("get", "post"),
    f"{_REPO}/pulls/comments": ("get",),
    f"{_REPO}/pulls/{{pull_number}}": ("get", "patch"),
    f"{_REPO}/pulls/{{pull_number}}/merge": ("put",),
    f"{_REPO}/pulls/{{pull_number}}/reviews": ("get", "post"),
}
_PROSE = {"description", "summary", "externalDocs", "tags", "x-github", "title", "example", "x-multi-segment"}
_KEPT_UNDER = {"properties", "schemas", "examples", "value", "responses", "parameters", "headers"}


def trim(document: dict[str, Any]) -> dict[str, Any]:
    """`document` with nothing but `OPERATIONS` and what they refer to."""
    paths = {}
    for path, methods in OPERATIONS.items():
        found = document["paths"][path]
        paths[path] = {key: _plain(found[key]) for key in (*methods, "parameters") if key in found}
    components: dict[str, Any] = {}
    waiting = [paths]
    while waiting:
        for reference in _references(waiting.pop()):
            _, kind, name = reference.lstrip("#/").split("/", 2)
            kept = components.setdefault(kind, {})
            if name not in kept:
                plain = _plain(document["components"][kind][name])
                kept[name] = _answer(plain) if kind == "responses" else plain
                waiting.append(kept[name])
    info = {"title": document["info"]["title"], "version": document["info"]["version"], "license": {"name": "MIT"}}
    return {"openapi": document["openapi"], "info": info, "paths": paths, "components": components}


def _plain(value: Any, parent: str = "") -> Any:
    if parent == "value":
        return value  # an example as it was published
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {}
    for key, item in value.items():
        if parent not in _KEPT_UNDER and key in _PROSE and not (key == "description" and "content" in value):
            continue
        kept[key] = dict([*item.items()][:1]) if key == "examples" and isinstance(item, dict) else item
        kept[key] = _plain(kept[key], key)
    if parent == "responses":
        return {code: _answer(answer) for code, answer in kept.items()}
    return kept


def _answer(answer: dict[str, Any]) -> dict[str, Any]:
    return answer if "$ref" in answer else {"description": "", **answer}


def _references(value: Any) -> list[str]:
    if isinstance(value, list):
        return [found for item in value for found in _references(item)]
    if not isinstance(value, dict):
        return []
    own = [value["$ref"]] if isinstance(value.get("$ref"), str) else []
    return own + [found for item in value.values() for found in _references(item)]


if __name__ == "__main__":
    source = json.loads(Path(sys.argv[1]).read_text("utf-8"))
    TRIMMED.write_text(json.dumps(trim(source), separators=(",", ":"), sort_keys=True) + "\n", "utf-8")
    print(f"{TRIMMED}: {TRIMMED.stat().st_size} bytes")
