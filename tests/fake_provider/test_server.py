from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx2
import pytest

from tests.fake_provider import FakeProvider, anthropic, prompt
from tests.fake_provider.forms import FORMATS, Format

ALL = pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)


@pytest.fixture
async def fake() -> AsyncIterator[FakeProvider]:
    async with FakeProvider() as provider:
        yield provider


@pytest.fixture
async def client() -> AsyncIterator[httpx2.AsyncClient]:
    async with httpx2.AsyncClient(trust_env=False, timeout=5) as made:
        yield made


async def ask(
    client: httpx2.AsyncClient, base: str, form: Format, text: str, *, stream: bool = False, rounds: int = 0
) -> httpx2.Response:
    body = form.body(text, stream=stream, rounds=rounds)
    return await client.post(form.url(base, stream=stream), content=body, headers=form.headers("any"))


def events(response: httpx2.Response) -> list[dict[str, Any]]:
    assert response.headers["content-type"] == "text/event-stream"
    data = [line[6:] for line in response.text.splitlines() if line.startswith("data: ")]
    return [json.loads(item) for item in data if item != "[DONE]"]


def spoken(form: Format, body: dict[str, Any]) -> tuple[str, list[tuple[str, Any]]]:
    """Text and calls of a whole answer."""
    match form.name:
        case "anthropic":
            content = body["content"]
            text = "".join(item["text"] for item in content if item["type"] == "text")
            return text, [(item["name"], item["input"]) for item in content if item["type"] == "tool_use"]
        case "chat":
            message = body["choices"][0]["message"]
            found = [item["function"] for item in message.get("tool_calls", [])]
            return message["content"] or "", [(item["name"], json.loads(item["arguments"])) for item in found]
        case "responses":
            text = "".join(p["text"] for i in body["output"] if i["type"] == "message" for p in i["content"])
            found = [item for item in body["output"] if item["type"] == "function_call"]
            return text, [(item["name"], json.loads(item["arguments"])) for item in found]
        case _:
            parts = body["candidates"][0]["content"]["parts"]
            found = [part["functionCall"] for part in parts if "functionCall" in part]
            text = "".join(part.get("text", "") for part in parts if not part.get("thought"))
            return text, [(item["name"], item["args"]) for item in found]


def streamed(form: Format, items: list[dict[str, Any]]) -> tuple[str, str]:
    """Text and the JSON of call arguments of a streamed answer."""
    match form.name:
        case "anthropic":
            deltas = [item["delta"] for item in items if item["type"] == "content_block_delta"]
            return "".join(d.get("text", "") for d in deltas), "".join(d.get("partial_json", "") for d in deltas)
        case "chat":
            deltas = [choice["delta"] for item in items for choice in item["choices"]]
            found = [call["function"] for delta in deltas for call in delta.get("tool_calls", [])]
            text = "".join(delta.get("content", "") for delta in deltas)
            return text, "".join(call["arguments"] for call in found)
        case "responses":
            text = "".join(item["delta"] for item in items if item["type"] == "response.output_text.delta")
            kind = "response.function_call_arguments.delta"
            return text, "".join(item["delta"] for item in items if item["type"] == kind)
        case _:
            parts = [part for item in items for part in item["candidates"][0]["content"]["parts"]]
            found = [json.dumps(p["functionCall"]["args"]) for p in parts if "functionCall" in p]
            return "".join(p.get("text", "") for p in parts if not p.get("thought")), "".join(found)


COMMANDS = {"anthropic": "Bash", "chat": "bash", "responses": "exec_command", "gemini": "run_shell_command"}


@ALL
async def test_script_is_played_step_by_step(fake: FakeProvider, client: httpx2.AsyncClient, form: Format) -> None:
    script = prompt([{"think": "hm"}, {"text": "first", "shell": "ls"}, {"shell": "pwd"}, {"text": "last"}], "Do it.")
    seen = []
    for rounds in range(4):
        response = await ask(client, fake.url, form, script, rounds=rounds)
        assert response.status_code == 200
        seen.append(spoken(form, response.json()))
    field = "cmd" if form.name == "responses" else "command"
    name = COMMANDS[form.name]
    assert seen == [("first", [(name, {field: "ls"})]), ("", [(name, {field: "pwd"})]), ("last", []), ("done", [])]


@ALL
async def test_stream_says_the_same(fake: FakeProvider, client: httpx2.AsyncClient, form: Format) -> None:
    script = prompt([{"text": "some words in pieces", "chunks": 4, "shell": "ls"}])
    response = await ask(client, fake.url, form, script, stream=True)
    text, arguments = streamed(form, events(response))
    assert text == "some words in pieces"
    assert json.loads(arguments) in ({"command": "ls"}, {"cmd": "ls"})


@ALL
async def test_parallel_calls_count_as_one_round(fake: FakeProvider, client: httpx2.AsyncClient, form: Format) -> None:
    script = prompt([{"tools": [{"shell": "a"}, {"tool": "other", "args": {"x": 1}}]}, {"text": "after"}])
    _, made = spoken(form, (await ask(client, fake.url, form, script)).json())
    assert [name for name, _ in made] == [COMMANDS[form.name], "other"]
    body = json.loads(form.body(script, rounds=1))
    history = body[form.history]
    if form.name == "responses":
        history[1:] = [history[1], {**history[1], "call_id": "x"}, history[2], {**history[2], "call_id": "x"}]
    elif form.name == "chat":
        history.append({"role": "tool", "tool_call_id": "x", "content": "fine"})
    response = await client.post(fake.url + form.path, json=body)
    assert spoken(form, response.json())[0] == "after"


@ALL
@pytest.mark.parametrize("fault", ["429", "500", "401", "400"])
async def test_fault_with_times_lets_the_retry_through(
    fake: FakeProvider, client: httpx2.AsyncClient, form: Format, fault: str
) -> None:
    script = prompt([{"fault": fault, "times": 2, "retry_after": 1}, {"text": "got through"}])
    answers = [await ask(client, fake.url, form, script, stream=n % 2 == 0) for n in range(4)]
    assert [answer.status_code for answer in answers] == [int(fault), int(fault), 200, 200]
    assert answers[0].json()["error"]["message"]
    assert answers[0].headers["retry-after"] == "1"
    assert spoken(form, answers[3].json())[0] == "got through"


@ALL
@pytest.mark.parametrize("stream", [False, True])
async def test_broken_answers(fake: FakeProvider, client: httpx2.AsyncClient, form: Format, stream: bool) -> None:
    with pytest.raises(httpx2.RemoteProtocolError):
        await ask(client, fake.url, form, prompt([{"fault": "drop"}]), stream=stream)
    response = await ask(client, fake.url, form, prompt([{"fault": "broken_sse"}]), stream=stream)
    with pytest.raises(json.JSONDecodeError):
        events(response) if stream else response.json()
    for fault in ("stall", "no_answer"):
        body = form.body(prompt([{"fault": fault}]), stream=stream)
        with pytest.raises(httpx2.ReadTimeout):
            await client.post(form.url(fake.url, stream=stream), content=body, timeout=0.2)
    assert fake.calls[-1].status == 0
    refused = await ask(client, fake.url, form, prompt([{"fault": "refuse"}]), stream=stream)
    assert any(word in refused.text for word in ("refusal", "SAFETY"))


async def test_delay_is_kept_between_pieces(fake: FakeProvider, client: httpx2.AsyncClient) -> None:
    form = FORMATS["anthropic"]
    started = time.monotonic()
    script = prompt([{"text": "abcd", "chunks": 4, "delay": 0.05}])
    await ask(client, fake.url, form, script, stream=True)
    assert time.monotonic() - started >= 0.2
    await ask(client, fake.url, form, script)
    assert time.monotonic() - started >= 0.4


async def test_repeat_think_usage_and_model(fake: FakeProvider, client: httpx2.AsyncClient) -> None:
    form = FORMATS["anthropic"]
    usage = {"input": 100, "output": 7, "cached": 60, "cache_write": 10}
    script = prompt(
        [{"repeat": 3, "step": {"shell": "echo {i}"}}, {"think": "why", "text": "x", "usage": usage, "model": "other"}]
    )
    third = await ask(client, fake.url, form, script, rounds=2)
    assert spoken(form, third.json()) == ("", [("Bash", {"command": "echo 2"})])
    last = (await ask(client, fake.url, form, script, rounds=3)).json()
    assert last["content"][0]["thinking"] == "why"
    assert last["model"] == "other"
    assert last["usage"] == {
        "input_tokens": 30,
        "cache_read_input_tokens": 60,
        "cache_creation_input_tokens": 10,
        "output_tokens": 7,
    }


async def test_chat_tells_usage_in_a_stream_only_when_asked(fake: FakeProvider, client: httpx2.AsyncClient) -> None:
    form = FORMATS["chat"]
    body = json.loads(form.body(prompt([{"text": "x"}]), stream=True))
    silent = events(await client.post(fake.url + form.path, json=body))
    asked = events(await client.post(fake.url + form.path, json={**body, "stream_options": {"include_usage": True}}))
    assert not any("usage" in item for item in silent)
    assert asked[-1]["usage"]["completion_tokens"] == 1


@ALL
async def test_side_calls_spend_nothing_of_the_script(
    fake: FakeProvider, client: httpx2.AsyncClient, form: Format
) -> None:
    body = json.loads(form.body(prompt([{"fault": "500", "times": 1}, {"text": "x"}])))
    titled = await client.post(fake.url + form.path, json={k: v for k, v in body.items() if k != "tools"})
    assert spoken(form, titled.json())[0] == "ok"
    assert (await client.post(fake.url + form.path, json=body)).status_code == 500
    plain = json.loads(form.body("no script here"))
    assert spoken(form, (await client.post(fake.url + form.path, json=plain)).json())[0] == "ok"


async def test_json_is_given_where_a_schema_asks_for_it(fake: FakeProvider, client: httpx2.AsyncClient) -> None:
    properties = {"title": {"type": "string"}, "risk": {"enum": ["low", "high"]}, "sure": {"type": "boolean"}}
    schema = {"type": "object", "properties": properties, "required": ["title", "risk", "sure"]}
    fits = {"title": "scripted", "risk": "low", "sure": False}
    asks: dict[str, dict[str, Any]] = {
        "chat": {"response_format": {"type": "json_schema", "json_schema": {"name": "x", "schema": schema}}},
        "responses": {"text": {"format": {"type": "json_schema", "name": "x", "schema": schema}}},
        "anthropic": {"output_format": {"type": "json_schema", "schema": schema}},
        "gemini": {"generationConfig": {"responseMimeType": "application/json", "responseJsonSchema": schema}},
    }
    for name, extra in asks.items():
        form = FORMATS[name]
        body = {**json.loads(form.body("x")), **extra}
        del body["tools"]
        text, _ = spoken(form, (await client.post(fake.url + form.path, json=body)).json())
        assert json.loads(text) == fits
    forced = {
        **json.loads(FORMATS["chat"].body("x")),
        "tool_choice": {"type": "function", "function": {"name": "bash"}},
    }
    _, made = spoken(FORMATS["chat"], (await client.post(fake.url + FORMATS["chat"].path, json=forced)).json())
    assert made == [("bash", {"command": "scripted"})]


async def test_look_ups(fake: FakeProvider, client: httpx2.AsyncClient) -> None:
    assert (await client.head(fake.url + "/")).status_code == 200
    assert (await client.get(fake.url + "/v1/models")).json()["data"][0]["id"] == "fake-model"
    assert (await client.get(fake.url + "/v1beta/models")).json()["models"]
    counted = await client.post(fake.url + "/v1/messages/count_tokens?beta=true", json={"messages": []})
    assert counted.json() == {"input_tokens": 3}
    total = await client.post(fake.url + "/v1beta/models/x:countTokens", json={})
    assert total.json() == {"totalTokens": 0}
    assert (await client.post(fake.url + "/v1/unknown", json={})).status_code == 404
    assert len(fake.calls) == 6
    assert fake.model_calls == []


async def test_bad_script_is_said(fake: FakeProvider, client: httpx2.AsyncClient) -> None:
    response = await ask(client, fake.url, FORMATS["chat"], "@@[{]@@")
    assert response.status_code == 400
    assert "script" in response.json()["error"]["message"]
    assert (await ask(client, fake.url, FORMATS["chat"], '@@[{"fault": "nonsense"}]@@')).status_code == 400


async def test_wrong_key_is_refused(client: httpx2.AsyncClient) -> None:
    async with FakeProvider(key="right") as fake:
        for form in FORMATS.values():
            url = form.url(fake.url, stream=False)
            assert (await client.post(url, content=form.body("x"), headers=form.headers("wrong"))).status_code == 401
            assert (await client.post(url, content=form.body("x"), headers=form.headers("right"))).status_code == 200


async def test_a_long_history_is_answered(client: httpx2.AsyncClient) -> None:
    form = FORMATS["anthropic"]
    async with FakeProvider(keep=False) as fake:
        body = form.body(prompt([{"repeat": 400, "step": {"shell": "echo {i}"}}]), stream=True, rounds=399)
        for _ in range(3):
            fake.model.reply(anthropic, body, model=None, stream=None)
        assert "echo 399" in (await client.post(fake.url + form.path, content=body)).text


async def test_as_a_program(tmp_path: Path) -> None:
    log, path = tmp_path / "log", tmp_path / "sock"
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "tests.fake_provider", "--log", str(log), "--unix", str(path)),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout
    try:
        url = (await process.stdout.readline()).decode().strip()
        async with httpx2.AsyncClient(trust_env=False) as client:
            await ask(client, url, FORMATS["chat"], prompt([{"text": "x"}]))
        async with httpx2.AsyncClient(transport=httpx2.AsyncHTTPTransport(uds=str(path))) as client:
            await ask(client, "http://fake", FORMATS["gemini"], prompt([{"text": "x"}]))
    finally:
        process.terminate()
        await process.wait()
    lines = [json.loads(line) for line in log.read_text().splitlines()]
    assert [line["path"] for line in lines] == [FORMATS["chat"].path, FORMATS["gemini"].path]
    assert lines[0]["arrived"] <= lines[0]["answered"]
