from __future__ import annotations

import httpx2

from handrail.web.answers import MODELS
from handrail.workflows import gallery

TEXT = "name: nightly\non: {schedule: {cron: '0 3 * * *'}}\ngoal: x\nrepositories: /src/x\n"
BASE = "/api/v1/workflows"


def kept(answer: httpx2.Response, model: str, status: int = 200) -> None:
    assert answer.status_code == status, answer.text
    MODELS[model].model_validate_json(answer.content)


async def test_answers_keep_to_their_models(client: httpx2.AsyncClient) -> None:
    kept(await client.post(BASE, json={"text": TEXT, "origin": "nightly.yaml"}), "WorkflowShown", 201)
    kept(await client.post(f"{BASE}/nightly/enable", json={"unproven": True}), "WorkflowShown")
    kept(await client.get(BASE), "WorkflowList")
    kept(await client.get(f"{BASE}/nightly?next=3"), "WorkflowWhole")
    kept(await client.get(f"{BASE}/nightly/versions"), "VersionList")
    files = [{"name": "a.yaml", "text": "name: a\ngoal: b\n"}, {"name": "b.yaml", "text": "x"}]
    kept(await client.post(f"{BASE}/sync", json={"origin": "/src/x", "files": files}), "SyncShown")
    kept(await client.post(f"{BASE}/nightly/disable", json={}), "WorkflowShown")
    kept(await client.delete(f"{BASE}/nightly"), "Removed")
    kept(await client.get("/api/v1/gallery"), "GalleryList")
    for name in gallery.names():
        kept(await client.post(f"/api/v1/gallery/{name}"), "WorkflowShown", 201)


async def test_problems(client: httpx2.AsyncClient) -> None:
    answer = await client.post(BASE, json={"text": "name: x\ngaol: y\n"})
    assert answer.status_code == 422
    assert answer.json()["field"] == "workflow:2: gaol"
    assert (await client.get(f"{BASE}/none")).status_code == 404
    assert (await client.get(f"{BASE}/none?next=0")).status_code == 422
    await client.post(BASE, json={"text": TEXT})
    assert (await client.post(f"{BASE}/nightly/enable")).status_code == 409
