from __future__ import annotations

import httpx2

from handrail.web.answers import sums


async def test_budgets_and_prices_over_http(client: httpx2.AsyncClient) -> None:
    put = await client.put("/api/v1/budgets/member:you", json={"money_usd": 20, "period": "day"})
    assert put.status_code == 200, put.text
    assert sums.BudgetShown.model_validate_json(put.content).money_nano == 20 * 10**9
    listed = sums.BudgetList.model_validate_json((await client.get("/api/v1/budgets")).content)
    assert [item.scope for item in listed.budgets] == ["member:you"]
    page = await client.get("/spend", headers={"accept": "text/html"})
    assert page.status_code == 200
    assert "member:you" in page.text
    gone = await client.delete("/api/v1/budgets/member:you?period=day")
    assert gone.json() == {"name": "member:you", "removed": True}
    assert (await client.delete("/api/v1/budgets/member:you")).status_code == 404
    assert (await client.put("/api/v1/budgets/member:you", json={"money_usd": "much"})).status_code == 422

    price = {"model": "work/my-model", "input": "3", "output": 15}
    put = await client.put("/api/v1/prices", json=price)
    assert sums.PriceShown.model_validate_json(put.content).output == "15"
    assert len(sums.PriceList.model_validate_json((await client.get("/api/v1/prices")).content).prices) == 1
    assert (await client.delete("/api/v1/prices?model=work/my-model")).json()["removed"]
    assert (await client.delete("/api/v1/prices")).status_code == 404
