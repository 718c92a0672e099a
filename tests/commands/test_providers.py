from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from handrail.commands import providers
from handrail.commands.actor import OWNER
from handrail.commands.desk import Desk
from handrail.errors import Conflict, InvalidInput, NotFound
from handrail.gateway import Wire
from handrail.store import providers as rows
from tests.commands.desks import open_desk


async def test_a_provider_is_set_seen_and_removed(desk: Desk) -> None:
    listed = await providers.put(
        desk, OWNER, "work", wire="openai", base_url="https://models.example/v1/", key=" sk-secret ", model="big"
    )
    assert (listed.base_url, listed.key, listed.source) == ("https://models.example/v1", "set", "stored")
    assert desk.shelf.registry.get("work").key == "sk-secret"
    row = await rows.get(desk.store, "work")
    assert row is not None
    assert b"sk-secret" not in row.key
    assert [item.name for item in await providers.listed(desk, OWNER)] == ["anthropic", "work"]
    await providers.remove(desk, OWNER, "work")
    with pytest.raises(NotFound):
        desk.shelf.registry.get("work")
    with pytest.raises(NotFound, match="work"):
        await providers.remove(desk, OWNER, "work")


async def test_a_stored_provider_takes_the_environments_place_until_it_is_removed(desk: Desk) -> None:
    await providers.put(desk, OWNER, "anthropic", wire="anthropic", base_url=None, key="mine", model=None)
    assert desk.shelf.registry.get("anthropic").key == "mine"
    assert [item.source for item in await providers.listed(desk, OWNER)] == ["stored"]
    await providers.remove(desk, OWNER, "anthropic")
    assert desk.shelf.registry.get("anthropic").key == "sk-test"
    with pytest.raises(Conflict, match="environment"):
        await providers.remove(desk, OWNER, "anthropic")


@pytest.mark.parametrize(
    ("change", "field"),
    [
        ({"name": "Work"}, "name"),
        ({"name": "a/b"}, "name"),
        ({"wire": "soap"}, "wire"),
        ({"base_url": "ftp://x"}, "base_url"),
        ({"base_url": "http://user@x/"}, "base_url"),
        ({"key": ""}, "key"),
        ({"key": "two words"}, "key"),
        ({"key": "schlüssel"}, "key"),
        ({"model": " "}, "model"),
    ],
)
async def test_what_cannot_be_is_refused_and_no_key_is_shown(desk: Desk, change: dict[str, str], field: str) -> None:
    given = {"name": "work", "wire": "openai", "base_url": None, "key": "sk-1", "model": None} | change
    name = str(given.pop("name"))
    with pytest.raises(InvalidInput, match=field) as refused:
        await providers.put(desk, OWNER, name, **given)  # type: ignore[arg-type]
    if change.get("key"):
        assert change["key"] not in refused.value.message
    assert [item.name for item in await providers.listed(desk, OWNER)] == ["anthropic"]


async def test_providers_outlive_the_server_a_changed_address_and_a_lost_master_key(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    data = tmp_path / "kept"
    async with open_desk(data) as desk:
        await providers.put(desk, OWNER, "work", wire="gemini", base_url=None, key="k", model=None)
    async with open_desk(data) as desk:
        found = desk.shelf.registry.get("work")
        assert (found.key, found.wire) == ("k", Wire.GEMINI)
        row = await rows.get(desk.store, "work")
        assert row is not None
        await rows.put(desk.store, replace(row, base_url="https://elsewhere.example"))
    caplog.clear()
    async with open_desk(data) as desk:  # somebody wrote the database: the key is not sent there
        assert list(desk.shelf.registry) == []
        (told,) = [record.getMessage() for record in caplog.records if record.name == "handrail.providers"]
        assert told.startswith("the provider work is left out: key of work")
        assert (
            "set it again: it was damaged or belongs to another name, or goes with something else than https://else"
            in told
        )
        await providers.put(desk, OWNER, "work", wire="gemini", base_url=None, key="k", model=None)
        assert desk.shelf.registry.get("work").key == "k"
    (data / "master.key").unlink()
    async with open_desk(data) as desk:
        assert list(desk.shelf.registry) == []
        assert [(item.name, item.key) for item in await providers.listed(desk, OWNER)] == [("work", "none")]
