from __future__ import annotations

from pathlib import Path

import pytest

from handrail.commands import forges
from handrail.commands.actor import NOBODY, OWNER
from handrail.commands.desk import Desk
from handrail.commands.forges import Given
from handrail.errors import Forbidden, ForgeError, InvalidInput, NotFound
from handrail.store import forges as rows
from tests.commands.desks import open_desk
from tests.fake_github import FakeGitHub


async def test_a_forge_is_set_tried_seen_and_removed(desk: Desk, tmp_path: Path) -> None:
    async with FakeGitHub(tmp_path / "github") as github:
        await github.create("acme/shop")
        given = Given("github", f"{github.url}/", f" {github.token}\n")
        shown = await forges.put(desk, OWNER, "hub", given)
        assert (shown.url, shown.credential) == (github.url, "token")
        row = await rows.get(desk.store, "hub")
        assert row is not None
        assert row.secret is not None
        assert github.token.encode() not in row.secret
        found = await forges.check(desk, OWNER, "hub", "acme/shop")
        assert (found.login, found.writable) == ("handrail-bot", True)
        assert [item.account for item in await forges.listed(desk, OWNER)] == ["handrail-bot"]
        assert await desk.forges.get("hub") is await desk.forges.get("hub")
        assert await desk.forges.of_remote(f"{github.url}/acme/shop.git") == ("hub", "acme/shop")
        assert await desk.forges.of_remote("https://elsewhere.example/acme/shop.git") is None
    await forges.remove(desk, OWNER, "hub")
    with pytest.raises(NotFound, match="handrail forges set"):
        await desk.forges.get("hub")
    with pytest.raises(NotFound, match="hub"):
        await forges.remove(desk, OWNER, "hub")


async def test_a_new_token_is_used_at_once(desk: Desk) -> None:
    await forges.put(desk, OWNER, "hub", Given("github", secret="one"))
    before = await desk.forges.get("hub")
    await forges.put(desk, OWNER, "hub", Given("github", secret="two"))
    assert await desk.forges.get("hub") is not before


async def test_a_secret_moved_to_another_row_or_address_cannot_be_opened(desk: Desk) -> None:
    await forges.put(desk, OWNER, "one", Given("github", secret="secret-of-one"))
    await desk.forges.get("one")
    row = await rows.get(desk.store, "one")
    assert row is not None
    for name, url in (("two", row.url), ("one", "https://elsewhere.example")):
        await rows.put(desk.store, rows.ForgeRow(name, row.kind, url, None, {}, row.secret, row.created))
        with pytest.raises(InvalidInput, match="belongs to another name, or goes with something else than https://"):
            await desk.forges.get(name)


@pytest.mark.parametrize(
    ("name", "given", "field"),
    [
        ("Hub!", Given("github", secret="x"), "name"),
        ("hub", Given("bitbucket", secret="x"), "kind"),
        ("hub", Given("github", "ftp://x", "x"), "url"),
        ("hub", Given("github", "https://me:pw@github.com", "x"), "url"),
        ("hub", Given("git"), "url"),
        ("hub", Given("github", secret=""), "secret"),
        ("hub", Given("github", secret="two words"), "secret"),
        ("hub", Given("gitlab", secret="x", app_id="1"), "app_id"),
        ("hub", Given("github", secret="no pem", app_id="1"), "key"),
    ],
)
async def test_what_cannot_be_used_is_named_and_nothing_is_kept(
    desk: Desk, name: str, given: Given, field: str
) -> None:
    with pytest.raises(InvalidInput) as caught:
        await forges.put(desk, OWNER, name, given)
    assert caught.value.field == field
    assert "two words" not in caught.value.message
    assert await rows.everything(desk.store) == []


async def test_a_forge_that_does_not_answer_is_told_with_its_cause(desk: Desk) -> None:
    await forges.put(desk, OWNER, "hub", Given("github", "http://127.0.0.1:9", "x"))
    with pytest.raises(ForgeError) as caught:
        await forges.check(desk, OWNER, "hub", None)
    assert caught.value.cause == "forge_down"


async def test_who_may_not_does_not(tmp_path: Path) -> None:
    async with open_desk(tmp_path / "data") as desk:
        for act in (
            forges.listed(desk, NOBODY),
            forges.put(desk, NOBODY, "hub", Given("github", secret="x")),
            forges.check(desk, NOBODY, "hub", None),
            forges.remove(desk, NOBODY, "hub"),
        ):
            with pytest.raises(Forbidden):
                await act
