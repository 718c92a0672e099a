"""Effects that a person approved and that belong to no run: what each way of failing comes to."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from datetime import timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from handrail.automation import EffectKind, EffectState
from handrail.commands import courier, effects, forges
from handrail.commands.actor import OWNER
from handrail.commands.courier import Courier
from handrail.commands.desk import Desk
from handrail.commands.forges import Given
from handrail.errors import Conflict
from handrail.kinds import Kind
from handrail.runs.rooms import Carried, Refused
from handrail.runs.verdict import Pace
from handrail.store import effects as rows
from handrail.store import outbox
from handrail.store.effects import EffectRow
from handrail.types import Json, SessionId, now
from handrail.workspaces.layout import results_of
from tests.commands.desks import begin, proposed, settled
from tests.fake_github import FakeGitHub
from tests.forges.conftest import sh

COMMENT: Json = {"repository": "acme/shop", "number": 1, "body": "Once."}


@pytest.fixture
async def approved(desk: Desk, github: FakeGitHub) -> EffectRow:
    """A comment that waits for its yes; what fails in passing is tried again soon."""
    desk.courier._pace = Pace(forge=0.05)  # a test does not wait for minutes
    assert github.repositories["acme/shop"].texts[1].comments == []
    return await proposed(desk, EffectKind.COMMENT, COMMENT, await begin(desk))


def comments(github: FakeGitHub) -> int:
    return len(github.repositories["acme/shop"].texts[1].comments)


async def notices(desk: Desk) -> list[str]:
    return [str(one.data["text"]) for one in await desk.store.log.read(SessionId("s-alice")) if one.kind == Kind.NOTICE]


@pytest.mark.parametrize("after", [False, True])
async def test_forge_500_is_tried_again_until_it_is_done_once(
    desk: Desk, github: FakeGitHub, approved: EffectRow, *, after: bool
) -> None:
    down = github.fail(r"POST .*/comments", 500, times=3, after=after)
    await effects.approve(desk, OWNER, approved.id)
    done = await settled(desk, approved, EffectState.CARRIED)
    assert (comments(github), done.cause, done.reason) == (1, None, None)
    if after:  # the forge had taken it, and only its answer was lost
        assert (down.seen, (done.receipt or {})["found"]) == (1, True)
    else:
        assert (down.seen, done.tries) == (3, 2)
        assert "is tried again: GitHub: commenting on acme/shop#1 failed: the forge answered 500" in "\n".join(
            await notices(desk)
        )


async def test_forge_429_waits_as_long_as_it_says_and_can_be_taken_back_meanwhile(
    desk: Desk, github: FakeGitHub, approved: EffectRow
) -> None:
    github.fail(r"POST .*/comments", 429, headers={"retry-after": "3600"}, message="Too many")
    row = await effects.approve(desk, OWNER, approved.id)
    assert (row.state, row.cause) == (EffectState.APPROVED, "rate_limited")
    assert row.due is not None
    assert timedelta(seconds=3500) < row.due - now() < timedelta(seconds=3700)
    with pytest.raises(Conflict, match="it is approved by you"):
        await effects.approve(desk, OWNER, row.id)
    assert (await effects.reject(desk, OWNER, row.id, "too late now")).state is EffectState.REJECTED
    assert comments(github) == 0


async def test_a_revoked_token_fails_for_good_and_is_tried_anew_with_another(
    desk: Desk, github: FakeGitHub, approved: EffectRow
) -> None:
    github.tokens.clear()
    row = await effects.approve(desk, OWNER, approved.id)
    assert (row.state, row.cause, row.due) == (EffectState.FAILED, "token_refused", None)
    assert "set a new one" in str(row.reason)
    assert (await notices(desk))[-1].startswith("failed: comment in acme/shop: GitHub: commenting on acme/shop#1")
    told = [line for line in await outbox.newest(desk.store) if line.key.startswith(f"failed:{row.id}")]
    assert len(told) == len([name for name, one in desk.post.settings().channels.items() if "outcomes" in one.events])
    github.tokens["ghp_new"] = "handrail-bot"
    await forges.put(desk, OWNER, "hub", Given("github", github.url, "ghp_new"))
    row = await effects.approve(desk, OWNER, approved.id)
    assert (row.state, row.cause, comments(github)) == (EffectState.CARRIED, None, 1)


async def test_a_protected_branch_fails_for_good(desk: Desk, github: FakeGitHub) -> None:
    shop, source = github.repositories["acme/shop"], results_of(desk.config.data, "project-1")
    await shop.protect("main")
    source.parent.mkdir(parents=True, exist_ok=True)
    sh("git", "clone", "-q", "--bare", str(shop.path), str(source), cwd=desk.config.data)
    tree = sh("git", "rev-parse", "main^{tree}", cwd=source)
    commit = sh("git", "-c", "user.name=H", "-c", "user.email=h@x", "commit-tree", tree, "-p", "main", "-m", "W",
                cwd=source)  # fmt: skip
    body: Json = {"repository": "acme/shop", "branch": "main", "commit": commit, "expected": await shop.head("main")}
    row = await proposed(desk, EffectKind.PUSH, body, await begin(desk))
    row = await effects.approve(desk, OWNER, row.id)
    assert (row.state, row.cause) == (EffectState.FAILED, "protected_branch")
    assert "is forbidden by the rules of the branch" in str(row.reason)


async def test_a_merge_conflict_and_what_cannot_be_processed_fail_for_good(desk: Desk, github: FakeGitHub) -> None:
    shop = github.repositories["acme/shop"]
    sh("git", "branch", "work", "main", cwd=shop.path)
    await shop.commit("work", {"README.md": "mine\n"}, "Mine")
    await shop.commit("main", {"README.md": "theirs\n"}, "Theirs")
    pull = shop.add("Mine", "", "alice", head="work", base="main", head_sha=await shop.head("work"))
    merge: Json = {"repository": "acme/shop", "number": pull.number, "head": await shop.head("work")}
    row = await effects.approve(desk, OWNER, (await proposed(desk, EffectKind.MERGE, merge, await begin(desk))).id)
    assert (row.state, row.cause) == (EffectState.FAILED, "merge_conflict")
    github.fail(r"POST .*/comments", 422, message="Validation Failed: body is spam")
    comment = await proposed(desk, EffectKind.COMMENT, COMMENT, SessionId("s-alice"))
    row = await effects.approve(desk, OWNER, comment.id)
    assert (row.state, row.cause) == (EffectState.FAILED, "refused")
    assert "(422): Validation Failed: body is spam" in str(row.reason)


class Slow:
    """Carries nothing out before it is let."""

    def __init__(self) -> None:
        self.let = asyncio.Event()
        self.asked = 0

    async def carry(self, effect: EffectRow, source: Path) -> Carried | Refused:  # noqa: ARG002  # see Carrier
        self.asked += 1
        await self.let.wait()
        return Carried({"kept": effect.id})


@pytest.fixture
async def hands(desk: Desk) -> AsyncIterator[tuple[Courier, Slow]]:
    """Another server's hand on the same database."""
    slow = Slow()
    other = Courier(desk.store, desk.config.data, slow, lambda _notice, _key: ())
    yield other, slow
    await other.stop()


async def test_an_effect_is_in_one_hand_and_a_hand_that_lost_it_writes_nothing(
    desk: Desk, hands: tuple[Courier, Slow], monkeypatch: pytest.MonkeyPatch
) -> None:
    other, slow = hands
    await desk.courier.stop()
    row = await proposed(desk, EffectKind.REPORT, {"title": "T", "body": "B"}, await begin(desk), forge=None,
                         state=EffectState.APPROVED)  # fmt: skip
    trying = asyncio.create_task(other.carry(row.id))
    held = await settled(desk, row, EffectState.CARRYING)
    assert held.due is not None
    assert held.due > now()
    assert await rows.due(desk.store, now()) == []  # nobody else takes it while it is held
    # the machine sleeps: the lease runs out, and the next server carries it out
    await desk.store.log.write(guard=rows.settle(held, due=now() - timedelta(seconds=1)))
    await desk.courier.start()
    done = await settled(desk, row, EffectState.CARRIED)
    assert (done.epoch, slow.asked) == (2, 1)
    monkeypatch.setattr(courier, "LEASE", 0.05)  # the first hand wakes up, and has lost it
    slow.let.set()
    await trying
    assert await rows.get(desk.store, row.id) == done
    with pytest.raises(Conflict):
        await desk.store.log.write(guard=rows.settle(replace(held), state=EffectState.FAILED))
