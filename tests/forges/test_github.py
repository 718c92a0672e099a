from __future__ import annotations

import pytest

from handrail.forges import effects as e
from handrail.forges import faults
from handrail.forges.github import GitHub, Token
from tests.forges.conftest import SHOP, Stage


def pull_request(commit: str | None, **more: object) -> e.PullRequest:
    said = {"title": "Raise the price", "body": "It was too low.", "head": "handrail/s1", "base": "main", **more}
    return e.PullRequest(SHOP, commit=commit, **said)  # type: ignore[arg-type]


async def opened(stage: Stage, name: str = "a.txt") -> tuple[int, str]:
    """A pull request that is open, and its head."""
    commit = stage.commit(name, "a\n")
    receipt = await stage.carry(pull_request(commit), "opening")
    return int(str(receipt.ids["number"])), commit


async def test_a_change_becomes_a_branch_and_a_pull_request(stage: Stage) -> None:
    commit = stage.commit("a.txt", "a\n")
    receipt = await stage.carry(pull_request(commit))
    assert receipt.url == f"{stage.github.url}/{SHOP}/pull/1"
    assert (receipt.ids["number"], receipt.found) == (1, False)
    assert await stage.shop.head("handrail/s1") == commit
    assert stage.shop.texts[1].body == "It was too low.\n\n<!-- handrail:k1 -->"


async def test_the_open_pull_request_of_the_branch_is_brought_up_to_date(stage: Stage) -> None:
    first = stage.commit("a.txt", "a\n")
    await stage.carry(pull_request(first), "k1")
    second = stage.commit("b.txt", "b\n", first)
    receipt = await stage.carry(pull_request(second, expected=first, title="Raise it more"), "k2")
    assert receipt.ids["number"] == 1
    assert [(text.title, text.head_sha) for text in stage.shop.texts.values()] == [("Raise it more", second)]


async def test_every_other_act(stage: Stage) -> None:
    number, commit = await opened(stage)
    issue = await stage.carry(e.Issue(SHOP, "Prices", "Look at them.", ("bug",)), "k2")
    await stage.carry(e.Comment(SHOP, number, "Looks right."), "k3")
    line = e.LineComment("a.txt", 1, "Why?")
    await stage.carry(e.Review(SHOP, number, commit, "One question.", "request_changes", (line,)), "k4")
    await stage.carry(e.Label(SHOP, number, ("ready",), ("never there",)), "k5")
    await stage.carry(e.Status(SHOP, commit, "handrail/review", "success", "read"), "k6")
    merged = await stage.carry(e.Merge(SHOP, number, commit), "k7")
    pull = stage.shop.texts[number]
    assert issue.ids["number"] == 2
    assert stage.shop.texts[2].labels == ["bug"]
    assert [comment["body"] for comment in pull.comments] == ["Looks right.\n\n<!-- handrail:k3 -->"]
    assert [(item["state"], item["commit_id"]) for item in pull.reviews] == [("CHANGES_REQUESTED", commit)]
    assert [(item["path"], item["line"]) for item in pull.review_comments] == [("a.txt", 1)]
    assert pull.labels == ["ready"]
    assert stage.shop.statuses[commit][0]["state"] == "success"
    assert merged.ids["commit"] == await stage.shop.head("main") == pull.merged


async def test_a_merge_is_of_the_head_that_was_looked_at(stage: Stage) -> None:
    number, commit = await opened(stage)
    await stage.shop.commit("handrail/s1", {"evil.py": "x\n"}, "Slip something in")
    stage.shop.texts[number].head_sha = await stage.shop.head("handrail/s1")
    with pytest.raises(faults.StaleHead, match="its head is"):
        await stage.carry(e.Merge(SHOP, number, commit))
    # moved between our look and the merge: GitHub itself refuses
    stage.github.fail(
        r"PUT .*/merge", 409, times=1, message="Head branch was modified. Review and try the merge again."
    )
    with pytest.raises(faults.StaleHead):
        await stage.carry(e.Merge(SHOP, number, stage.shop.texts[number].head_sha))
    assert stage.shop.texts[number].merged is None


async def test_a_conflict_and_a_protected_branch_have_their_names(stage: Stage) -> None:
    number, commit = await opened(stage, "price.py")
    await stage.shop.commit("main", {"price.py": "PRICE = 3\n"}, "Change it otherwise")
    with pytest.raises(faults.MergeConflict, match="cannot be merged"):
        await stage.carry(e.Merge(SHOP, number, commit))
    await stage.shop.protect("main")
    with pytest.raises(faults.ProtectedBranch, match="approving review"):
        await stage.carry(e.Merge(SHOP, number, commit))
    with pytest.raises(faults.ProtectedBranch, match="GH006"):
        await stage.carry(e.Push(SHOP, "main", commit, await stage.shop.head("main")))


async def test_what_is_not_there_and_what_is_empty(stage: Stage) -> None:
    with pytest.raises(faults.NotThere, match="commenting on acme/shop#99"):
        await stage.carry(e.Comment(SHOP, 99, "Hello?"))
    with pytest.raises(faults.NotThere, match="no such repository"):
        await stage.carry(e.Push("acme/nothing", "x", stage.commit("a", "a")))
    main = await stage.shop.head("main")
    with pytest.raises(faults.EmptyChange):
        await stage.carry(pull_request(main))
    with pytest.raises(faults.Refused, match="No commit found"):
        await stage.carry(e.Status(SHOP, "0" * 40, "c", "success"))


async def test_somebody_elses_open_pull_request_of_another_base_is_left_alone(stage: Stage) -> None:
    commit = stage.commit("a.txt", "a\n")
    await stage.shop.commit("old", {"o": "o\n"}, "Old")
    await stage.carry(pull_request(commit, base="old"), "k1")
    await stage.carry(pull_request(commit, expected=commit), "k2")
    assert [text.base for text in stage.shop.texts.values()] == ["old", "main"]


async def test_a_revoked_token_is_said_by_api_and_git(stage: Stage) -> None:
    commit = stage.commit("a.txt", "a\n")
    stage.github.tokens.clear()
    for effect in (e.Comment(SHOP, 1, "x"), e.Push(SHOP, "x", commit)):
        with pytest.raises(faults.TokenRefused, match="set a new one") as caught:
            await stage.carry(effect)
        assert caught.value.cause == "token_refused"


async def test_check_tells_whose_token_it_is_and_what_it_may_do(stage: Stage) -> None:
    found = await stage.forge.check(SHOP)
    assert (found.login, found.scopes, found.writable) == ("handrail-bot", ("repo", "read:org"), True)
    stage.shop.archived = True
    assert (await stage.forge.check(SHOP)).writable is False
    with pytest.raises(faults.TokenRefused):
        await GitHub(stage.http, stage.github.url, Token("ghp_wrong")).check(None)
    with pytest.raises(faults.ForgeDown, match="no answer"):
        await GitHub(stage.http, "http://127.0.0.1:9", Token("x")).check(None)


async def test_the_repositories_of_an_owner_over_pages(stage: Stage) -> None:
    for number in range(3):
        await stage.github.create(f"acme/r{number}")
    stage.github.repositories["acme/r1"].archived = True
    assert await stage.forge.repositories("acme") == ["acme/r0", "acme/r2", SHOP]
