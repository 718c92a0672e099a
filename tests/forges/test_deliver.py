from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys

import pytest

from handrail.commands.pushing import Pushing
from handrail.forges import Effect, faults
from handrail.forges import effects as e
from handrail.forges.deliver import Patience, carry_out
from tests.forges.conftest import SHOP, Stage, sh

# Carries an effect out in a process of its own, which dies by SIGKILL once the forge has acted and before anything
# could be kept; a second argument of "live" lets it live.
CHILD = """
import asyncio, json, os, signal, sys
from pathlib import Path
from handrail.commands.pushing import Pushing
from handrail.forges.deliver import carry_out
from handrail.forges.effects import parse
from handrail.forges.github import GitHub, Token
from handrail.forges.http import client

async def main():
    told = json.loads(sys.argv[1])
    async with client() as http:
        forge = GitHub(http, told["url"], Token(told["token"]))
        effect = parse(told["kind"], told["effect"])
        receipt = await carry_out(forge, effect, told["key"], push=Pushing(), source=Path(told["source"]))
    os.kill(os.getpid(), signal.SIGKILL)

asyncio.run(main())
"""


async def killed(stage: Stage, effect: Effect, key: str) -> None:
    told = {
        "url": stage.github.url, "token": stage.github.token, "kind": effect.kind, "effect": e.as_json(effect),
        "key": key, "source": str(stage.source),
    }  # fmt: skip
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", CHILD, json.dumps(told), stderr=subprocess.PIPE, env={**os.environ}
    )
    _, err = await process.communicate()
    assert process.returncode == -signal.SIGKILL, err.decode()


def world(stage: Stage) -> object:
    """All that acts can change."""
    texts = [
        (text.title, text.body, text.state, sorted(text.labels), len(text.comments), len(text.reviews), text.merged)
        for text in stage.shop.texts.values()
    ]
    heads = sh("git", "for-each-ref", "--format=%(refname) %(objectname)", cwd=stage.shop.path)
    return texts, heads, {sha: len(kept) for sha, kept in stage.shop.statuses.items()}


@pytest.fixture
async def number(stage: Stage) -> int:
    """An open pull request whose head is the branch `open`."""
    commit = stage.commit("open.txt", "open\n")
    pull = e.PullRequest(SHOP, "open", "main", "Open", commit=commit)
    return int(str((await stage.carry(pull, "before")).ids["number"]))


KINDS = ["push", "pull_request", "comment", "review", "label", "status", "merge", "issue"]


@pytest.mark.parametrize("kind", KINDS)
async def test_killed_between_act_and_record_repeats_nothing(stage: Stage, number: int, kind: str) -> None:
    head = stage.shop.texts[number].head_sha
    commit = stage.commit("new.txt", "new\n")
    effects: dict[str, Effect] = {
        "push": e.Push(SHOP, "feature", commit),
        "pull_request": e.PullRequest(SHOP, "feature", "main", "Feature", "Body", commit=commit),
        "comment": e.Comment(SHOP, number, "Hello"),
        "review": e.Review(SHOP, number, head, "Good", comments=(e.LineComment("open.txt", 1, "Here"),)),
        "label": e.Label(SHOP, number, ("ready",)),
        "status": e.Status(SHOP, head, "handrail", "success"),
        "merge": e.Merge(SHOP, number, head),
        "issue": e.Issue(SHOP, "Title", "Body"),
    }
    effect = effects[kind]
    before = world(stage)
    await killed(stage, effect, "key-1")
    once = world(stage)
    assert once != before
    receipt = await stage.carry(effect, "key-1")
    assert world(stage) == once
    assert receipt.found or kind == "label"  # setting a label again is the same label


@pytest.mark.parametrize("kind", KINDS)
async def test_an_answer_that_is_lost_repeats_nothing(stage: Stage, number: int, kind: str) -> None:
    head = stage.shop.texts[number].head_sha
    commit = stage.commit("new.txt", "new\n")
    acts: dict[str, tuple[Effect, str]] = {
        "push": (e.Push(SHOP, "feature", commit), r"POST .*/git-receive-pack"),
        "pull_request": (e.PullRequest(SHOP, "feature", "main", "F", commit=commit), r"POST .*/pulls$"),
        "comment": (e.Comment(SHOP, number, "Hello"), r"POST .*/comments"),
        "review": (e.Review(SHOP, number, head, "Good"), r"POST .*/reviews"),
        "label": (e.Label(SHOP, number, ("ready",)), r"POST .*/labels"),
        "status": (e.Status(SHOP, head, "handrail", "success"), r"POST .*/statuses"),
        "merge": (e.Merge(SHOP, number, head), r"PUT .*/merge"),
        "issue": (e.Issue(SHOP, "Title", "Body"), r"POST .*/issues$"),
    }
    effect, call = acts[kind]
    fault = stage.github.fail(call, 502, times=1, after=True)
    receipt = await stage.carry(effect, "key-1")
    assert fault.seen == 1
    assert receipt.found or kind == "label"
    once = world(stage)
    await stage.carry(effect, "key-1")
    assert world(stage) == once


async def test_another_effect_of_the_same_words_is_another_act(stage: Stage, number: int) -> None:
    await stage.carry(e.Comment(SHOP, number, "Hello"), "key-1")
    await stage.carry(e.Comment(SHOP, number, "Hello <!-- handrail:key-3 -->"), "key-2")
    await stage.carry(e.Comment(SHOP, number, "Hello"), "key-3")
    assert len(stage.shop.texts[number].comments) == 3  # a marker that the text brought along hides nothing


async def test_a_forge_that_fails_is_tried_again_and_then_given_up(stage: Stage, number: int) -> None:
    passing = stage.github.fail(r"GET .*/comments", 500, times=2)
    await stage.carry(e.Comment(SHOP, number, "Hello"), "key-1")
    assert passing.seen == 2
    lasting = stage.github.fail(r"GET .*/comments", 500)
    with pytest.raises(faults.ForgeDown, match="answered 500"):
        await stage.carry(e.Comment(SHOP, number, "Hello"), "key-2")
    assert lasting.seen == 3
    assert len(stage.shop.texts[number].comments) == 1


@pytest.mark.parametrize(
    ("status", "headers", "message"),
    [
        (429, {"retry-after": "7"}, "Too many"),
        (403, {"retry-after": "7"}, "You have exceeded a secondary rate limit."),
    ],
)
async def test_it_waits_as_long_as_it_is_told(
    stage: Stage, number: int, status: int, headers: dict[str, str], message: str
) -> None:
    slept: list[float] = []

    async def sleep(seconds: float) -> None:
        slept.append(seconds)

    stage.github.fail(r"POST .*/comments", status, times=1, headers=headers, message=message)
    patience = Patience(tries=2, first=0.01, sleep=sleep)
    await carry_out(stage.forge, e.Comment(SHOP, number, "Hello"), "k", push=Pushing(), patience=patience)
    assert slept == [7.0]
    stage.github.fail(r"POST .*/comments", status, times=1, headers={"retry-after": "3600"}, message=message)
    with pytest.raises(faults.RateLimited) as caught:  # an hour is the caller's to wait
        await carry_out(stage.forge, e.Comment(SHOP, number, "Hello"), "k2", push=Pushing(), patience=patience)
    assert (caught.value.wait, caught.value.cause) == (3600.0, "rate_limited")


async def test_a_branch_that_somebody_moved_is_left_alone(stage: Stage) -> None:
    theirs = await stage.shop.commit("feature", {"theirs": "x"}, "Theirs")
    with pytest.raises(faults.StaleHead, match="the branch is at"):
        await stage.carry(e.Push(SHOP, "feature", stage.commit("new.txt", "new")))
    assert await stage.shop.head("feature") == theirs
    commit = stage.commit("new.txt", "new")
    await stage.carry(e.Push(SHOP, "feature", commit, "0" * 40, replaces=("1" * 40, theirs)))  # as it may be, besides
    assert await stage.shop.head("feature") == commit


async def test_no_credential_is_in_an_address_or_a_file(stage: Stage) -> None:
    remote = await stage.forge.remote(SHOP)
    assert stage.github.token not in remote.url
    assert "Authorization" not in repr(remote)
    await stage.carry(e.Push(SHOP, "feature", stage.commit("new.txt", "new")))
    secret = remote.settings[f"http.{stage.github.url}/.extraHeader"].split()[-1].encode()
    for file in stage.source.rglob("*"):
        if file.is_file():
            assert secret not in file.read_bytes()
