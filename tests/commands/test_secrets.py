from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from handrail.commands import secrets
from handrail.commands.actor import OWNER
from handrail.commands.desk import Desk
from handrail.errors import InvalidInput, NotFound
from handrail.store import secrets as rows
from tests.commands.desks import open_desk

VALUE = "live-0123456789"
GIVEN = {"host": "api.example.com", "header": "Authorization: Bearer {}", "value": VALUE}


async def test_a_secret_is_set_seen_and_removed(desk: Desk) -> None:
    listed = await secrets.put(desk, OWNER, "SEARCH_KEY", **GIVEN, permits=("GET /v1", "/open"))
    assert (listed.host, listed.header) == ("api.example.com:443", "Authorization: Bearer {}")
    (broker,) = desk.vault.chosen(("SEARCH_KEY",))
    assert (broker.name, broker.upstream, broker.value) == (
        "search-key",
        "https://api.example.com:443",
        f"Bearer {VALUE}",
    )
    assert [(permit.method, permit.path) for permit in broker.permits] == [("GET", "/v1"), ("*", "/open")]
    row = await rows.get(desk.store, "SEARCH_KEY")
    assert row is not None
    assert VALUE.encode() not in row.value
    assert VALUE not in repr((row, broker, listed))
    await secrets.put(desk, OWNER, "SEARCH_KEY", **(GIVEN | {"value": "another-value"}))
    assert [broker.secret for broker in desk.vault.chosen(("SEARCH_KEY",))] == ["another-value"]
    await secrets.remove(desk, OWNER, "SEARCH_KEY")
    assert list(desk.vault.chosen(("SEARCH_KEY",))) == []
    assert await secrets.listed(desk, OWNER) == []
    with pytest.raises(NotFound, match="SEARCH_KEY"):
        await secrets.remove(desk, OWNER, "SEARCH_KEY")


async def test_it_is_there_again_and_bound_to_its_row(tmp_path: Path) -> None:
    async with open_desk(tmp_path) as desk:
        await secrets.put(desk, OWNER, "SEARCH_KEY", **GIVEN)
    async with open_desk(tmp_path) as desk:
        assert "SEARCH_KEY" in desk.vault
        row = await rows.get(desk.store, "SEARCH_KEY")
        assert row is not None
        # whoever can write the database cannot send it elsewhere
        for changed in (
            replace(row, host="evil.example.org:443"),
            replace(row, header="X-Leak: {}"),
            replace(row, name="OTHER"),
        ):
            await rows.put(desk.store, changed)
            assert changed.name not in await secrets.load(desk.store, desk.shelf.master)
            await rows.put(desk.store, row)
        assert "SEARCH_KEY" in await secrets.load(desk.store, desk.shelf.master)


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "search_key"}, "name"),
        ({"name": "PATH"}, "name"),
        ({"name": "LD_PRELOAD"}, "name"),
        ({"name": "HTTPS_PROXY"}, "name"),
        ({"name": "KEY_"}, "name"),
        ({"host": "*.example.com"}, "host"),
        ({"host": "pypi"}, "host"),
        ({"host": "https://api.example.com"}, "host"),
        ({"host": "api.example.com:0"}, "host"),
        ({"header": "Authorization"}, "header"),
        ({"header": "Authorization: {} {}"}, "header"),
        ({"header": "Host: {}"}, "broker.header"),
        ({"value": "short"}, "broker.secret"),
        ({"value": "line\nbreak-0123"}, "broker.secret"),
        ({"value": "x" * 9000}, "value"),
        ({"permits": ("FETCH it",)}, "broker.permits"),
        ({"permits": ("GET /a/../b",)}, "broker.permits"),
    ],
)
async def test_what_cannot_be_is_refused_and_no_value_is_shown(desk: Desk, change: dict[str, str], field: str) -> None:
    given = {"name": "SEARCH_KEY", **GIVEN} | change
    with pytest.raises(InvalidInput) as refused:
        await secrets.put(desk, OWNER, **given)
    assert refused.value.field == field
    assert given["value"] not in refused.value.message
    assert await secrets.listed(desk, OWNER) == []
