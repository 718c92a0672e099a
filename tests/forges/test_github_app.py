from __future__ import annotations

import pytest

from handrail.errors import InvalidInput
from handrail.forges import effects as e
from handrail.forges import faults
from handrail.forges.github import GitHub
from handrail.forges.github_app import App
from tests.forges.conftest import SHOP, Stage


async def test_an_app_acts_by_tokens_that_it_asks_for(stage: Stage) -> None:
    key = stage.github.apps.add("4711", "handrail-app", "acme")
    app = App(stage.http, stage.github.url, "4711", key)
    stage.forge = GitHub(stage.http, stage.github.url, app)
    await stage.carry(e.Issue(SHOP, "One", "1"), "k1")
    await stage.carry(e.Issue(SHOP, "Two", "2"), "k2")
    await stage.carry(e.Push(SHOP, "x", stage.commit("a.txt", "a")), "k3")
    asked = [call for call in stage.github.calls if call.endswith("access_tokens")]
    assert len(asked) == 1
    assert [text.login for text in stage.shop.texts.values()] == ["handrail-app[bot]"] * 2
    found = await stage.forge.check(SHOP)
    assert (found.login, found.writable) == ("handrail-app[bot]", True)
    assert "pull_requests:write" in (found.scopes or ())


async def test_a_token_is_asked_for_anew_before_it_ends(stage: Stage) -> None:
    key = stage.github.apps.add("4711", "handrail-app", "acme")
    stage.github.apps.life = 200.0  # less than is kept to spare
    app = App(stage.http, stage.github.url, "4711", key)
    first, second = await app.token(SHOP), await app.token(SHOP)
    assert first != second


async def test_an_app_that_is_not_installed_or_not_known_says_so(stage: Stage) -> None:
    key = stage.github.apps.add("4711", "handrail-app", "somebody-else")
    with pytest.raises(faults.NotThere, match="asking for the App's token"):
        await App(stage.http, stage.github.url, "4711", key).token(SHOP)
    with pytest.raises(faults.TokenRefused):
        await App(stage.http, stage.github.url, "9", key).token(SHOP)


@pytest.mark.parametrize("key", ["", "no key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"])
async def test_what_is_no_key_is_refused_and_never_shown(stage: Stage, key: str) -> None:
    with pytest.raises(InvalidInput, match=r"\.pem file") as caught:
        App(stage.http, stage.github.url, "1", key)
    assert not key or key not in caught.value.message
