from __future__ import annotations

import asyncio
import json
import logging
import socket
import time
from pathlib import Path

import httpx2
import pytest
from msgspec.structs import replace

from handrail.errors import InvalidInput, NotFound, StorageFull
from handrail.gateway import ModelCall, Provider, Wire
from handrail.gateway.accounts import BEHIND
from handrail.types import NanoUSD, SessionId
from tests.fake_provider import prompt
from tests.fake_provider.forms import FORMATS, Format
from tests.gateway.conftest import REAL_KEY, SESSION, Lab, listening, providers, until
from tests.gateway.test_upstream import END, far

ALL = pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
BOTH = pytest.mark.parametrize("stream", [False, True], ids=["whole", "stream"])
USAGE = {"input": 1000, "output": 200, "cached": 400}
COST = (600 * 3_000) + (400 * 300) + (200 * 15_000)
"""nano-dollars of USAGE at the lab's price"""


@ALL
@BOTH
async def test_bytes_pass_unchanged_and_the_key_is_swapped(lab: Lab, form: Format, stream: bool) -> None:
    script = prompt([{"think": "hm"}, {"text": "some wörds", "chunks": 3, "shell": "ls"}])
    passed = await lab.ask(form, script, stream=stream)
    sent = lab.fake.calls[0]
    direct = await lab.client.post(
        form.url(lab.fake.url, stream=stream), content=sent.raw, headers=form.headers(REAL_KEY)
    )
    assert (passed.status_code, passed.content) == (200, direct.content)
    assert passed.headers["content-type"] == direct.headers["content-type"]
    if form.name == "chat" and stream:
        assert json.loads(sent.raw) == {
            **json.loads(form.body(script, stream=True)),
            "stream_options": {"include_usage": True},
        }
    else:
        assert sent.raw == form.body(script, stream=stream)
    assert sent.path == (form.stream_path if stream else form.path)
    assert REAL_KEY in sent.headers[form.key_header[0]]
    assert lab.token not in json.dumps(sent.headers)
    assert sent.headers["accept-encoding"] == "identity"
    assert sent.headers["host"] == lab.fake.url.removeprefix("http://")


@ALL
@BOTH
async def test_usage_and_cost_are_metered(lab: Lab, form: Format, stream: bool) -> None:
    script = prompt([{"text": "some words", "usage": {**USAGE, "reasoning": 50}}])
    await lab.ask(form, script, stream=stream)
    (call,) = await lab.told()
    assert (call.input_tokens, call.cached_tokens, call.output_tokens) == (1000, 400, 200)
    assert call.cost == COST
    assert (call.status, call.partial, call.error, call.session, call.turn) == (200, False, None, SESSION, None)
    assert call.model == json.loads(form.body("")).get("model", "gemini-2.5-pro")
    assert 0 < call.seconds < 5
    assert lab.gateway.spent(SESSION) == COST


@ALL
async def test_every_place_for_the_token_is_read(lab: Lab, form: Format) -> None:
    url, body = form.url(lab.url, stream=False), form.body("hi")
    for headers in ({"x-api-key": lab.token}, {"authorization": f"bearer {lab.token}"}, {"x-goog-api-key": lab.token}):
        assert (await lab.client.post(url, content=body, headers=headers)).status_code == 200
    mark = "&" if "?" in url else "?"
    assert (await lab.client.post(f"{url}{mark}key={lab.token}", content=body)).status_code == 200
    assert not any("key=" in call.path for call in lab.fake.calls)


@ALL
async def test_unknown_and_revoked_tokens_are_refused_in_the_wires_shape(lab: Lab, form: Format) -> None:
    good, lab.token = lab.token, "nonsense"
    unknown = await lab.ask(form, "hi")
    lab.token = good
    lab.gateway.revoke(SESSION)
    lab.gateway.revoke(SESSION)
    revoked = await lab.ask(form, "hi")
    assert unknown.status_code == revoked.status_code == 401
    assert unknown.json() == revoked.json()
    error = unknown.json()["error"]
    assert error["message"] == "Handrail: the session's token is missing, unknown or no longer valid"
    kinds = {"anthropic": "authentication_error", "gemini": "UNAUTHENTICATED"}
    assert error["status" if form.name == "gemini" else "type"] == kinds.get(form.name, "authentication_error")
    assert lab.fake.calls == []
    assert lab.ledger == []


@ALL
@BOTH
@pytest.mark.parametrize("fault", ["429", "500", "401", "400"])
async def test_errors_of_the_provider_come_through_as_they_are(
    lab: Lab, form: Format, stream: bool, fault: str
) -> None:
    text = prompt([{"fault": fault, "retry_after": 7}])
    response = await lab.ask(form, text, stream=stream)
    direct = await lab.client.post(
        form.url(lab.fake.url, stream=stream), content=form.body(text, stream=stream), headers=form.headers(REAL_KEY)
    )
    assert response.content == direct.content, "an agent reads its own vendor's words"
    assert response.headers["content-type"] == direct.headers["content-type"]
    assert response.status_code == direct.status_code == int(fault)
    assert response.headers["retry-after"] == "7"
    assert response.json()["error"]["message"].startswith("scripted")
    (call,) = await lab.told()
    assert (call.status, call.cost, call.input_tokens, call.partial) == (int(fault), 0, 0, False)
    assert call.error
    assert call.error.startswith(f"HTTP {fault}: ")


@ALL
@BOTH
async def test_a_dropped_answer_is_seen_as_broken_and_metered_as_partial(lab: Lab, form: Format, stream: bool) -> None:
    with pytest.raises(httpx2.RemoteProtocolError):
        await lab.ask(form, prompt([{"fault": "drop"}]), stream=stream)
    (call,) = await lab.told()
    assert call.partial
    assert call.status == 200
    assert call.error == "RemoteProtocolError within the answer"
    assert call.input_tokens == len(lab.fake.calls[0].raw) // 4
    assert call.cost
    if stream:
        assert call.output_tokens > 0


@ALL
async def test_broken_events_pass_and_are_metered_as_partial(lab: Lab, form: Format) -> None:
    response = await lab.ask(form, prompt([{"fault": "broken_sse"}]), stream=True)
    assert response.text.endswith('data: {"type": "broken\n\n')
    (call,) = await lab.told()
    assert (call.partial, call.status, call.error) == (True, 200, None)


@ALL
@pytest.mark.parametrize("fault", ["stall", "no_answer"])
async def test_a_silent_provider_ends_at_the_idle_timeout(lab: Lab, form: Format, fault: str) -> None:
    started = time.monotonic()
    if fault == "stall":
        with pytest.raises(httpx2.RemoteProtocolError):
            await lab.ask(form, prompt([{"fault": fault}]), stream=True)
    else:
        response = await lab.ask(form, prompt([{"fault": fault}]), stream=True)
        assert response.status_code == 502
        assert "could not be reached (ReadTimeout)" in response.json()["error"]["message"]
    assert 1.9 < time.monotonic() - started < 4
    (call,) = await lab.told()
    assert call.partial
    assert call.input_tokens > 0


@ALL
async def test_nonsense_of_a_provider_is_said_or_passes_and_is_metered_as_partial(lab: Lab, form: Format) -> None:
    head = b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n"
    garbage = b"\x00\xff HTTP what?\r\n\r\n"
    no_json = head + b"content-length: 8\r\n\r\nnonsense"
    cut = head + b"transfer-encoding: chunked\r\n\r\n8\r\nnon" + END
    async with far(garbage, no_json, cut) as (_, _, origin):
        for provider in providers(f"http://127.0.0.1:{origin.port}"):
            lab.gateway.providers.add(provider)
        said = await lab.ask(form, "hi")
        passed = await lab.ask(form, "hi")
        with pytest.raises(httpx2.RemoteProtocolError):
            await lab.ask(form, "hi")
    error = said.json()["error"]
    assert said.status_code == 502
    assert "could not be reached (RemoteProtocolError)" in error["message"]
    kinds = {"anthropic": ("type", "api_error"), "gemini": ("status", "UNAVAILABLE")}
    where, kind = kinds.get(form.name, ("type", "server_error"))
    assert error[where] == kind
    assert (passed.status_code, passed.content) == (200, b"nonsense")
    for provider in providers(lab.fake.url):
        lab.gateway.providers.add(provider)
    assert (await lab.ask(form, "hi")).status_code == 200
    told = await lab.told(4)
    assert [(call.status, call.partial) for call in told] == [(502, True), (200, True), (200, True), (200, False)]
    assert all(call.input_tokens > 0 for call in told)


@ALL
async def test_an_unreachable_provider_is_said_and_costs_nothing(lab: Lab, form: Format) -> None:
    sock = listening()
    dead = f"http://127.0.0.1:{sock.getsockname()[1]}"
    sock.close()
    for provider in providers(dead):
        lab.gateway.providers.add(provider)
    response = await lab.ask(form, "hi")
    assert response.status_code == 502
    assert "could not be reached (ConnectError)" in response.json()["error"]["message"]
    assert REAL_KEY not in response.text
    (call,) = await lab.told()
    assert (call.status, call.cost, call.input_tokens, call.partial) == (502, 0, 0, False)


async def test_a_client_that_leaves_ends_the_call_upstream_and_is_metered(lab: Lab) -> None:
    form = FORMATS["anthropic"]
    body = form.body(prompt([{"text": "slow words", "chunks": 10, "delay": 0.2}]), stream=True)
    async with lab.client.stream("POST", lab.url + form.path, content=body, headers=form.headers(lab.token)) as answer:
        await anext(answer.aiter_raw())
    (call,) = await lab.told()
    assert (call.partial, call.status) == (True, 200)
    await until(lambda: lab.fake.calls[0].disconnected)


async def test_revoking_cuts_calls_under_way(lab: Lab) -> None:
    waiting = asyncio.create_task(lab.ask(FORMATS["chat"], prompt([{"fault": "no_answer"}])))
    await until(lambda: len(lab.fake.calls) > 0)
    lab.gateway.revoke(SESSION)
    with pytest.raises(httpx2.RemoteProtocolError):
        await waiting
    (call,) = await lab.told()
    assert (call.status, call.partial) == (0, True)


async def test_streams_are_not_held_back(lab: Lab) -> None:
    form = FORMATS["anthropic"]
    body = form.body(prompt([{"text": "abcd", "chunks": 4, "delay": 0.15}]), stream=True)
    seen = []
    async with lab.client.stream("POST", lab.url + form.path, content=body, headers=form.headers(lab.token)) as answer:
        started = time.monotonic()
        async for data in answer.aiter_raw():
            seen += [time.monotonic() - started] * data.count(b"text_delta")
    assert len(seen) == 4
    assert seen[-1] - seen[0] > 0.3  # they did not come all at the end


async def test_headers_are_kept_but_for_ours_and_the_hops(lab: Lab) -> None:
    form = FORMATS["anthropic"]
    headers = {
        **form.headers(lab.token),
        "anthropic-beta": "context-1m",
        "anthropic-version": "2023-06-01",
        "user-agent": "claude-cli/1",
        "x-claude-code-session-id": "abc",
        "cookie": "a=b",
        "connection": "keep-alive, x-hop",
        "x-hop": "1",
        "te": "trailers",
    }
    response = await lab.client.post(lab.url + form.path, content=form.body("hi"), headers=headers)
    sent = lab.fake.calls[0].headers
    assert {name: sent[name] for name in ("anthropic-beta", "anthropic-version", "user-agent")} == {
        "anthropic-beta": "context-1m",
        "anthropic-version": "2023-06-01",
        "user-agent": "claude-cli/1",
    }
    assert not {"cookie", "x-hop", "te", "authorization"} & set(sent)
    assert response.headers["request-id"] == "fake"


async def test_look_ups_pass_unmetered_even_when_the_budget_is_spent(lab: Lab) -> None:
    lab.grant(budget=0)
    key = {"x-api-key": lab.token}
    assert (await lab.client.head(lab.url + "/")).status_code == 200
    assert (await lab.client.get(lab.url + "/v1/models", headers=key)).json()["data"]
    google = {"x-goog-api-key": lab.token}
    assert (await lab.client.get(lab.url + "/v1beta/models", headers=google)).json()["models"]
    counted = await lab.client.post(lab.url + "/v1/messages/count_tokens?beta=true", headers=key, json={"a": 1})
    assert counted.json() == {"input_tokens": 1}
    assert (await lab.client.get(lab.url + "/v1/models")).status_code == 401
    assert lab.ledger == []


async def test_unknown_paths_are_never_forwarded(lab: Lab) -> None:
    for path in ("/v1/files", "/v1/messages/batches", "/v1beta/models/../x:generateContent", "//", "/v1/models/a/b"):
        response = await lab.client.post(lab.url + path, headers={"x-api-key": lab.token}, content=b"{}")
        assert response.status_code == 404
        assert "is not a path of the gateway" in response.json()["error"]["message"]
    assert lab.fake.calls == []


async def test_a_wire_without_provider_is_said(lab: Lab) -> None:
    lab.gateway.providers.remove("gemini")
    response = await lab.ask(FORMATS["gemini"], "hi")
    assert response.status_code == 400
    assert "no provider speaks gemini here" in response.json()["error"]["message"]


async def test_a_session_may_name_its_provider(lab: Lab) -> None:
    lab.gateway.providers.add(Provider("mine", Wire.OPENAI, lab.fake.url + "/openai/v1", REAL_KEY))
    grant = lab.gateway.grant(SESSION, budget=None, spent=NanoUSD(0), on_call=lab.note, provider="mine")
    lab.token = grant.token
    await lab.ask(FORMATS["chat"], "hi")
    await lab.ask(FORMATS["anthropic"], "hi")
    assert [call.path for call in lab.fake.calls] == ["/openai/v1/chat/completions", "/v1/messages?beta=true"]
    assert [call.provider for call in await lab.told(2)] == ["mine", "anthropic"]
    with pytest.raises(NotFound):
        lab.gateway.grant(SESSION, budget=None, spent=NanoUSD(0), on_call=lab.note, provider="nobody")


async def test_an_unknown_model_is_unpriced_and_the_requested_one_is_the_fallback(lab: Lab) -> None:
    form = FORMATS["chat"]
    body = json.loads(form.body(prompt([{"text": "x", "usage": USAGE}])))
    await lab.client.post(lab.url + form.path, json={**body, "model": "mystery"}, headers=form.headers(lab.token))
    await lab.ask(form, prompt([{"text": "x", "usage": USAGE, "model": "renamed-by-the-provider"}]))
    unpriced, fallen_back = await lab.told(2)
    assert (unpriced.model, unpriced.cost, unpriced.input_tokens) == ("mystery", None, 1000)
    assert (fallen_back.model, fallen_back.cost) == ("renamed-by-the-provider", COST)


@pytest.mark.parametrize(
    ("budget", "spent", "waits"),
    [(None, 0, False), (10_000_000_000, 0, False), (10_000_000_000, 9_100_000_000, True)],
    ids=["no cap", "far from the cap", "near the cap"],
)
async def test_near_the_cap_the_next_call_waits_for_the_ledger(
    lab: Lab, budget: int | None, spent: int, waits: bool
) -> None:
    order, release = [], asyncio.Event()

    async def slow(call: ModelCall) -> None:
        await release.wait()
        order.append(call.status)

    cap = None if budget is None else NanoUSD(budget)
    lab.token = lab.gateway.grant(SESSION, budget=cap, spent=NanoUSD(spent), on_call=slow).token
    await lab.ask(FORMATS["chat"], "one")
    assert lab.gateway.spent(SESSION) > spent
    second = asyncio.create_task(lab.ask(FORMATS["chat"], "two"))
    await asyncio.wait({second}, timeout=0.3)
    assert second.done() is not waits
    release.set()
    await second
    await lab.gateway.close()
    assert order == [200, 200]


async def test_the_ledger_is_never_far_behind(lab: Lab) -> None:
    told, release = [], asyncio.Event()

    async def stuck(call: ModelCall) -> None:
        await release.wait()
        told.append(call.output_tokens)

    lab.token = lab.gateway.grant(SESSION, budget=None, spent=NanoUSD(0), on_call=stuck).token
    for number in range(BEHIND):
        await lab.ask(FORMATS["chat"], prompt([{"text": "x", "usage": {"input": 1, "output": number}}]))
    last = asyncio.create_task(lab.ask(FORMATS["chat"], prompt([{"text": "x", "usage": {"input": 1, "output": 99}}])))
    await asyncio.wait({last}, timeout=0.3)
    assert not last.done()
    release.set()
    await last
    await lab.gateway.told(SESSION)
    assert told == [*range(BEHIND), 99]


async def test_a_ledger_that_fails_stops_the_session_and_forgets_nothing(
    lab: Lab, caplog: pytest.LogCaptureFixture
) -> None:
    full = True

    async def failing(call: ModelCall) -> None:
        if full:
            raise StorageFull("No room left in the data directory")
        lab.ledger.append(call)

    lab.token = lab.gateway.grant(SESSION, budget=None, spent=NanoUSD(0), on_call=failing).token
    with caplog.at_level(logging.CRITICAL, "handrail.gateway.server"):
        assert (await lab.ask(FORMATS["chat"], "one")).status_code == 200
        refused = await lab.ask(FORMATS["chat"], "two")
        assert refused.status_code == 500
        assert "the ledger cannot be written: No room left" in refused.json()["error"]["message"]
        full = False
        assert (await lab.ask(FORMATS["chat"], "three")).status_code == 200
    await lab.told(2)
    assert len(lab.fake.calls) == 2


async def test_a_new_grant_replaces_the_old_one(lab: Lab) -> None:
    old = lab.token
    lab.grant()
    new, lab.token = lab.token, old
    assert (await lab.ask(FORMATS["chat"], "hi")).status_code == 401
    lab.token = new
    assert (await lab.ask(FORMATS["chat"], "hi")).status_code == 200


async def test_keys_and_tokens_stay_out_of_logs_and_errors(lab: Lab, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        await lab.ask(FORMATS["chat"], "hi")
        for provider in list(lab.gateway.providers):
            lab.gateway.providers.add(replace(provider, key="sk-other-key"))
        await lab.ask(FORMATS["chat"], prompt([{"fault": "400", "text": "your key sk-other-key is odd"}]))
        response = await lab.ask(FORMATS["chat"], "hi")
    assert response.status_code == 401
    ours = "".join(r.getMessage() for r in caplog.records if r.name.startswith("handrail"))
    assert REAL_KEY not in ours + repr(lab.ledger) + repr(list(lab.gateway.providers))
    assert "sk-other-key" not in repr(lab.ledger) + repr(list(lab.gateway.providers))


async def test_a_key_that_the_provider_repeats_is_struck_out(lab: Lab) -> None:
    text = f"your key {REAL_KEY} is odd"
    response = await lab.ask(FORMATS["chat"], prompt([{"fault": "400", "text": text}]))
    # The prompt itself holds the key here; what counts is what came back.
    assert REAL_KEY not in response.text
    assert "your key ****" in response.text
    assert REAL_KEY not in repr(await lab.told())


async def test_doors_open_and_close_by_themselves(lab: Lab, tmp_path: Path) -> None:
    path = tmp_path / "door"
    sock = socket.socket(socket.AF_UNIX)
    sock.bind(str(path))
    sock.listen(16)
    close = await lab.gateway.serve(sock)
    transport = httpx2.AsyncHTTPTransport(uds=str(path))
    form = FORMATS["anthropic"]
    async with httpx2.AsyncClient(transport=transport) as client:
        url = "http://gateway" + form.path
        assert (await client.post(url, content=form.body("hi"), headers=form.headers(lab.token))).status_code == 200
        await close()
        await close()
        with pytest.raises(httpx2.TransportError):
            await client.post(url, content=form.body("hi"), headers=form.headers(lab.token))
    assert (await lab.ask(form, "hi")).status_code == 200


async def test_what_sessions_cannot_ask_for(lab: Lab) -> None:
    with pytest.raises(InvalidInput):
        lab.gateway.set_budget(SESSION, NanoUSD(-1))
    lab.gateway.set_budget(SessionId("nobody"), NanoUSD(1))
    assert not lab.gateway.exhausted(SessionId("nobody"))
    assert lab.gateway.spent(SessionId("nobody")) == 0
