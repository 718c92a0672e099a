from __future__ import annotations

import asyncio
import json

import pytest

from handrail.gateway.pots import dollars
from handrail.types import NanoUSD
from tests.fake_provider import prompt
from tests.fake_provider.forms import FORMATS, Format
from tests.gateway.conftest import SESSION, Lab, until

ALL = pytest.mark.parametrize("form", FORMATS.values(), ids=FORMATS)
USAGE = {"input": 1000, "output": 200}
COST = 1000 * 3_000 + 200 * 15_000
SCRIPT = prompt([{"text": "x", "usage": USAGE}])


@ALL
async def test_at_the_cap_nothing_leaves_and_the_wires_own_error_is_given(lab: Lab, form: Format) -> None:
    lab.grant(budget=2_000_000_000, spent=2_000_000_000 - 2 * COST)
    for _ in range(2):
        assert (await lab.ask(form, SCRIPT)).status_code == 200
        await lab.told(1)
    await lab.told(2)
    assert lab.gateway.exhausted(SESSION)
    upstream = len(lab.fake.calls)
    refused = [await lab.ask(form, SCRIPT, stream=stream) for stream in (False, True)]
    assert len(lab.fake.calls) == upstream == 2
    for response in refused:
        assert response.status_code == (429 if form.name == "responses" else 400)
        assert response.headers["x-should-retry"] == "false"
        error = response.json()["error"]
        assert error["message"] == "Handrail: the budget of $2.00 is spent"
        kind = {"anthropic": "invalid_request_error", "gemini": "INVALID_ARGUMENT"}.get(form.name, "insufficient_quota")
        assert error["status" if form.name == "gemini" else "type"] == kind
    assert len(lab.ledger) == 2


async def test_a_raised_cap_lets_calls_through_again(lab: Lab) -> None:
    lab.grant(budget=0)
    assert lab.gateway.exhausted(SESSION)
    assert (await lab.ask(FORMATS["chat"], SCRIPT)).status_code == 400
    lab.gateway.set_budget(SESSION, NanoUSD(1))
    assert not lab.gateway.exhausted(SESSION)
    assert (await lab.ask(FORMATS["chat"], SCRIPT)).status_code == 200
    await lab.told()
    assert lab.gateway.exhausted(SESSION)
    lab.gateway.set_budget(SESSION, None)
    assert (await lab.ask(FORMATS["chat"], SCRIPT)).status_code == 200


async def test_an_estimate_alone_never_refuses(lab: Lab) -> None:
    lab.grant(budget=1)
    response = await lab.ask(FORMATS["anthropic"], SCRIPT)
    assert response.status_code == 200
    (call,) = await lab.told()
    assert call.cost == COST
    assert lab.gateway.spent(SESSION) == COST


@pytest.mark.parametrize("maximum", [200, None], ids=["small estimates", "large estimates"])
async def test_thirty_calls_at_once_stay_under_the_cap(lab: Lab, maximum: int | None) -> None:
    form = FORMATS["chat"]
    lab.grant(budget=10 * COST)
    script = prompt([{"text": "x", "usage": USAGE, "delay": 0.02}])
    body = json.loads(form.body(script)) | ({"max_tokens": maximum} if maximum else {})
    sends = [lab.client.post(lab.url + form.path, json=body, headers=form.headers(lab.token)) for _ in range(30)]
    codes = [response.status_code for response in await asyncio.gather(*sends)]
    ledger = await lab.told(codes.count(200))
    assert codes.count(200) + codes.count(400) == 30
    assert len(lab.fake.calls) == codes.count(200)
    assert sum(call.cost or 0 for call in ledger) == lab.gateway.spent(SESSION)
    # Each call's usage is above what its body lets expect, so calls that left together may pass the cap together;
    # where the estimate covers the cost they cannot.
    if maximum is None:
        assert codes.count(200) == 10
    assert lab.gateway.exhausted(SESSION)


async def test_calls_within_their_estimates_never_pass_the_cap(lab: Lab) -> None:
    form = FORMATS["chat"]
    body = json.loads(form.body(prompt([{"text": "x", "usage": {"input": 60, "output": 200}, "delay": 0.02}])))
    body |= {"max_tokens": 200}
    cost = 60 * 3_000 + 200 * 15_000
    lab.grant(budget=10 * cost + 1)
    sends = [lab.client.post(lab.url + form.path, json=body, headers=form.headers(lab.token)) for _ in range(30)]
    codes = [response.status_code for response in await asyncio.gather(*sends)]
    # The eleventh leaves alone, for a nano-dollar is left: the last call's own overrun.
    assert codes.count(200) == 11
    assert lab.gateway.spent(SESSION) == 11 * cost


async def test_waiting_calls_end_with_their_client(lab: Lab) -> None:
    form = FORMATS["chat"]
    lab.grant(budget=COST)
    first = asyncio.create_task(lab.ask(form, prompt([{"fault": "no_answer"}])))
    await until(lambda: len(lab.fake.calls) == 1)
    second = asyncio.create_task(lab.ask(form, SCRIPT))
    await asyncio.sleep(0.1)
    assert len(lab.fake.calls) == 1
    for task in (second, first):
        task.cancel()
    await asyncio.gather(first, second, return_exceptions=True)
    await lab.told()
    lab.gateway.set_budget(SESSION, NanoUSD(100 * COST))
    assert (await lab.ask(form, SCRIPT)).status_code == 200


async def test_unpriced_models_leave_unreserved(lab: Lab) -> None:
    form = FORMATS["chat"]
    lab.grant(budget=1)
    body = {**json.loads(form.body(SCRIPT)), "model": "mystery"}
    for _ in range(2):
        response = await lab.client.post(lab.url + form.path, json=body, headers=form.headers(lab.token))
        assert response.status_code == 200
    assert [call.cost for call in await lab.told(2)] == [None, None]
    assert not lab.gateway.exhausted(SESSION)


@pytest.mark.parametrize(
    ("amount", "text"),
    [
        (2_000_000_000, "$2.00"),
        (0, "$0.00"),
        (29_610_000, "$0.02961"),
        (1, "$0.000000001"),
        (12_345_000_000, "$12.345"),
    ],
)
def test_dollars(amount: int, text: str) -> None:
    assert dollars(amount) == text
