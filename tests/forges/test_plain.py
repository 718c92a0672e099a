from __future__ import annotations

import pytest

from handrail.errors import InvalidInput
from handrail.forges import effects as e
from handrail.forges import faults
from handrail.forges.plain import Plain
from tests.forges.conftest import SHOP, Stage


async def test_a_branch_goes_to_a_bare_repository_by_path(stage: Stage) -> None:
    stage.forge = Plain(str(stage.github.root))  # type: ignore[assignment]  # another forge on the same stage
    commit = stage.commit("a.txt", "a")
    receipt = await stage.carry(e.Push(SHOP, "feature", commit))
    assert receipt.url == str(stage.shop.path)
    again = await stage.carry(e.PullRequest(SHOP, "feature", "main", "Title", commit=commit))
    assert await stage.shop.head("feature") == commit
    assert again.ids == {"branch": "feature", "commit": commit}
    assert await Plain(str(stage.github.root)).repositories("acme") == [SHOP]


async def test_a_branch_goes_over_http_with_a_password(stage: Stage) -> None:
    stage.forge = Plain(stage.github.url, "who", stage.github.token)  # type: ignore[assignment]
    commit = stage.commit("a.txt", "a")
    await stage.carry(e.Push(SHOP, "feature", commit))
    assert await stage.shop.head("feature") == commit


async def test_what_plain_git_has_not_is_said(stage: Stage) -> None:
    forge = Plain(str(stage.github.root))
    with pytest.raises(faults.Unsupported, match="plain git has no comment"):
        await forge.act(e.Comment(SHOP, 1, "x"), "k")
    with pytest.raises(faults.NotThere, match="there is no repository"):
        await forge.remote("acme/none")
    with pytest.raises(faults.Unsupported):
        await Plain(stage.github.url).repositories("acme")


@pytest.mark.parametrize("url", ["relative/path", "ssh://x/y", "https://user:pw@x/", "https://x/?q", "file:///x"])
def test_an_address_that_cannot_be_used(url: str) -> None:
    with pytest.raises(InvalidInput, match="url") as caught:
        Plain(url)
    assert "pw" not in caught.value.message
