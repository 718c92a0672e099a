from __future__ import annotations

import re
from typing import Any

import httpx2
import pytest

CONTRACT = {
    "GET /status",
    "GET /doctor",
    "POST /shutdown",
    "POST /sessions",
    "GET /sessions",
    "GET /sessions/{id}",
    "GET /sessions/{id}/events",
    "GET /sessions/{id}/stream",
    "POST /sessions/{id}/prompts",
    "DELETE /sessions/{id}/prompts/{prompt}",
    "POST /sessions/{id}/cancel",
    "POST /sessions/{id}/handoff",
    "POST /sessions/{id}/take",
    "POST /sessions/{id}/end",
    "POST /sessions/{id}/seen",
    "POST /runs/{id}/seen",
    "GET /unseen",
    "POST /runs/retry",
    "GET /sessions/{id}/diff",
    "GET /sessions/{id}/files",
    "GET /rules",
    "POST /rules/remove",
    "POST /sessions/{id}/branch",
    "POST /sessions/{id}/undo",
    "POST /sessions/{id}/apply",
    "GET /approvals",
    "GET /approvals/{id}",
    "POST /approvals/{id}",
    "GET /events",
    "GET /events/{event}",
    "POST /events/{event}/replay",
    "GET /sources",
    "PUT /sources/{name}",
    "PUT /sources/{name}/polls",
    "POST /events/sample",
    "DELETE /sources/{name}",
    "GET /notify",
    "POST /notify/{name}/test",
    "GET /agents",
    "POST /agents/{name}/install",
    "POST /agents/{name}/check",
    "GET /providers",
    "PUT /providers/{name}",
    "DELETE /providers/{name}",
    "GET /budgets",
    "PUT /budgets/{scope}",
    "DELETE /budgets/{scope}",
    "GET /prices",
    "PUT /prices",
    "DELETE /prices",
    "GET /spend",
    "GET /secrets",
    "PUT /secrets/{name}",
    "DELETE /secrets/{name}",
    "GET /members",
    "POST /members",
    "POST /members/{name}/link",
    "DELETE /members/{name}",
    "GET /forges",
    "GET /effects",
    "GET /effects/{id}",
    "POST /effects/{id}",
    "PUT /forges/{name}",
    "POST /forges/{name}/check",
    "DELETE /forges/{name}",
    "GET /runs",
    "GET /runs/{id}",
    "GET /runs/{id}/events",
    "POST /runs/{id}/cancel",
    "POST /runs/{id}/rerun",
    "POST /runs/{id}/resume",
    "GET /tasks/{id}",
    "POST /tasks/{id}/take",
    "POST /tasks/{id}/handoff",
    "GET /workflows",
    "POST /workflows",
    "POST /workflows/sync",
    "GET /workflows/{name}",
    "GET /workflows/{name}/versions",
    "POST /workflows/{name}/enable",
    "POST /workflows/{name}/disable",
    "POST /workflows/{name}/trust",
    "POST /workflows/{name}/rehearse",
    "GET /workflows/{name}/rehearsal",
    "POST /sessions/{id}/promote",
    "POST /workflows/{name}/start",
    "DELETE /workflows/{name}",
    "GET /gallery",
    "POST /gallery/{name}",
}


@pytest.fixture
async def document(client: httpx2.AsyncClient) -> dict[str, Any]:
    answer = await client.get("/openapi.json")
    assert answer.status_code == 200
    told: dict[str, Any] = answer.json()
    return told


def test_the_contracts_routes_exist(document: dict[str, Any]) -> None:
    told = {
        f"{method.upper()} {path.removeprefix('/api/v1')}"
        for path, item in document["paths"].items()
        for method in item
    }
    assert CONTRACT | {"GET /health"} == told


def test_every_operation_is_complete(document: dict[str, Any]) -> None:
    tags = {tag["name"] for tag in document["tags"]}
    seen = set()
    for path, item in document["paths"].items():
        for operation in item.values():
            assert operation["summary"].endswith("."), path
            assert set(operation["tags"]) <= tags
            assert operation["operationId"] not in seen
            seen.add(operation["operationId"])
            assert any(code.startswith("2") for code in operation["responses"])
            if path != "/health":
                assert {"403", "422", "500"} <= set(operation["responses"])
            parts = set(re.findall(r"{(\w+)}", path))
            told = {given["name"] for given in operation.get("parameters", []) if given["in"] == "path"}
            assert parts == told


def test_every_reference_leads_somewhere(document: dict[str, Any]) -> None:
    schemas = document["components"]["schemas"]

    def look(value: object) -> None:
        if isinstance(value, dict):
            if isinstance(reference := value.get("$ref"), str):
                assert reference.removeprefix("#/components/schemas/") in schemas, reference
            for item in value.values():
                look(item)
        elif isinstance(value, list):
            for item in value:
                look(item)

    look(document)
    assert {"Session", "Problem", "SessionBody", "EventShown"} <= set(schemas)


def test_a_check_may_be_a_text_and_a_budget_a_number(document: dict[str, Any]) -> None:
    goal = document["components"]["schemas"]["GoalBody"]["properties"]
    assert {"type": "string"} in goal["checks"]["items"]["anyOf"]
    kinds = str(goal["budget_usd"])
    assert "number" in kinds
    assert "string" in kinds
