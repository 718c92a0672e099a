from __future__ import annotations

from datetime import timedelta

import pytest
from msgspec.structs import replace
from sqlalchemy import update

from handrail.automation import EffectKind, EffectState, Trust
from handrail.commands import effects, outward
from handrail.commands.actor import NOBODY, OWNER
from handrail.commands.desk import Desk
from handrail.errors import Conflict, Forbidden, HandrailError, InvalidInput, NotFound
from handrail.notify import Notice, Occasion
from handrail.runs.plan import Target
from handrail.runs.rooms import Brought, Carried, Refused
from handrail.store import effects as rows
from handrail.store import outbox, tables, workflows
from handrail.store import runs as run_rows
from handrail.store.tables import Delivery
from handrail.store.workflows import WorkflowRow
from handrail.types import Json, RunId, now
from handrail.workspaces.layout import results_of
from tests.commands.desks import begin, proposed, settled
from tests.fake_github import FakeGitHub
from tests.forges.conftest import sh
from tests.notify.servers import Hook, hook


async def test_what_a_person_approves_is_carried_out(desk: Desk, github: FakeGitHub) -> None:
    session = await begin(desk)
    body: Json = {"repository": "acme/shop", "number": 1, "body": "Looks right."}
    row = await proposed(desk, EffectKind.COMMENT, body, session)
    assert [item.id for item in await effects.listed(desk, OWNER, session=None, run=None)] == [row.id]
    done = await effects.decide(desk, OWNER, "f-com", "approve", None)
    assert (done.state, done.decided_by) == (EffectState.CARRIED, "you")
    comments = github.repositories["acme/shop"].texts[1].comments
    assert [comment["body"] for comment in comments] == [f"Looks right.\n\n<!-- handrail:{row.id} -->"]
    assert (done.receipt or {})["url"] == comments[0]["html_url"]
    with pytest.raises(Conflict, match="it is carried by you"):
        await effects.decide(desk, OWNER, row.id, "approve", None)
    assert [item.id for item in await effects.listed(desk, OWNER, session=session, run=None)] == [row.id]


async def test_what_a_person_rejects_is_not(desk: Desk, github: FakeGitHub) -> None:
    body: Json = {"repository": "acme/shop", "number": 1, "body": "x"}
    row = await proposed(desk, EffectKind.COMMENT, body, await begin(desk))
    done = await effects.decide(desk, OWNER, row.id, "reject", "not now")
    assert (done.state, done.because) == (EffectState.REJECTED, "not now")
    assert github.repositories["acme/shop"].texts[1].comments == []
    with pytest.raises(InvalidInput, match="decision"):
        await effects.decide(desk, OWNER, row.id, "maybe", None)
    with pytest.raises(NotFound):
        await effects.show(desk, OWNER, "f-none")


async def test_what_was_under_way_when_the_server_died_is_found_and_not_repeated(
    desk: Desk, github: FakeGitHub
) -> None:
    body: Json = {"repository": "acme/shop", "number": 1, "body": "Once."}
    row = await proposed(desk, EffectKind.COMMENT, body, await begin(desk), state=EffectState.CARRYING)
    await desk.outward.carry(row, desk.config.data)  # the act, whose record the server did not live to write
    await desk.courier.stop()
    await desk.courier.start()
    done = await settled(desk, row, EffectState.CARRIED)
    assert (done.state, (done.receipt or {})["found"]) == (EffectState.CARRIED, True)
    assert len(github.repositories["acme/shop"].texts[1].comments) == 1


async def test_a_failure_has_its_cause(desk: Desk, github: FakeGitHub) -> None:
    github.tokens.clear()
    body: Json = {"repository": "acme/shop", "number": 1, "body": "x"}
    row = await proposed(desk, EffectKind.COMMENT, body, await begin(desk))
    done = await effects.decide(desk, OWNER, row.id, "approve", None)
    assert (done.state, done.cause) == (EffectState.FAILED, "token_refused")
    other = await proposed(desk, EffectKind.ISSUE, {"repository": "acme/shop"}, await begin(desk, "s-2"))
    assert (await effects.decide(desk, OWNER, other.id, "approve", None)).cause == "invalid"
    lone = await proposed(desk, EffectKind.LABEL, {}, await begin(desk, "s-3"), forge="gone")
    assert (await effects.decide(desk, OWNER, lone.id, "approve", None)).state is EffectState.FAILED


SAID: Json = {"channel": "team", "title": "Done", "text": "All\nof it"}


def channels(desk: Desk, far: Hook, kind: str) -> None:
    told = f'secret = "whsec_{"a" * 32}"\nurl' if kind == "webhook" else 'token = "xoxb-1"\nchannel = "#ops"\napi'
    (desk.config.data / "notify.toml").write_text(f'[team]\nkind = "{kind}"\n{told} = "{far.url}"\n')


async def test_a_message_is_carried_out_when_it_was_delivered(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outward, "_DELIVERY", 0.5)  # shorter than until the next try
    async with hook() as far:
        channels(desk, far, "slack")
        far.answers = [(503, b"")]
        row = await proposed(desk, EffectKind.MESSAGE, SAID, await begin(desk), forge=None)
        done = await effects.decide(desk, OWNER, row.id, "approve", None)
        assert (done.state, done.cause, len(far.got)) == (EffectState.APPROVED, "not_delivered", 1)
        assert "it waits for the channel team: 127.0.0.1 answered 503" in str(done.reason)
        (waiting,) = await outbox.newest(desk.store, 1)
        assert waiting.due is not None
        assert done.due is not None
        assert timedelta() < done.due - waiting.due < timedelta(seconds=10), "looked for when it is tried next"
        desk.post.clock = lambda: now() + timedelta(minutes=1)
        monkeypatch.setattr(outward, "_DELIVERY", 20.0)
        again = await desk.outward.carry(replace(row, tries=2), desk.config.data)
        assert isinstance(again, Carried)
        assert (len(far.got), again.receipt["ids"]) == (2, {"outbox": f"message:{row.id}", "channel": "team"})
        other = await proposed(desk, EffectKind.WEBHOOK, SAID, await begin(desk, "s-2"), forge=None)
        assert (await effects.decide(desk, OWNER, other.id, "approve", None)).cause == "unsupported"


@pytest.mark.parametrize("kind", ["slack", "webhook"])
async def test_a_message_whose_answer_was_lost_is_repeated_only_where_it_would_be_known_again(
    desk: Desk, kind: str
) -> None:
    """The server died, or the far side was silent, after the message had left."""
    async with hook() as far:
        channels(desk, far, kind)
        row = await proposed(desk, EffectKind.MESSAGE, SAID, await begin(desk), forge=None)
        at = now()
        notice = Notice(Occasion.MESSAGE, "Done", "All of it", row.session).as_json()
        put = outbox.put(f"message:{row.id}", "team", notice, created=at, due=at)
        begun = update(tables.outbox).values(state=Delivery.SENDING)  # as the sending of it notes beforehand
        await desk.store.log.write(put, *([begun] if kind == "slack" else []))
        (kept,) = await outbox.newest(desk.store, 1)
        came = await desk.outward.carry(replace(row, tries=2), desk.config.data)
        if kind == "webhook":
            assert isinstance(came, Carried)
            assert [got.headers["webhook-id"] for got in far.got] == [f"msg_{int(at.timestamp() * 1e6):x}_{kept.id}"]
            return
        assert isinstance(came, Refused)
        assert (came.cause, came.passing, far.got) == ("unknown", False, [])
        assert came.reason == "team: it may have been delivered: the server ended while it was being sent"
        far.answers = [(0, b"")]
        assert isinstance(
            await desk.outward.carry(replace(row, tries=1), desk.config.data), Refused
        )  # a person said so
        assert isinstance(await desk.outward.carry(replace(row, tries=1), desk.config.data), Carried)
        assert len(far.got) == 2


@pytest.mark.parametrize("run", [None, RunId("r-1")])
async def test_a_person_says_that_a_message_arrived_of_which_nobody_knew(desk: Desk, run: RunId | None) -> None:
    of = {"state": EffectState.FAILED, "run": run, "forge": None}
    row = await proposed(desk, EffectKind.MESSAGE, SAID, await begin(desk), **of, cause="unknown")
    done = await effects.decide(desk, OWNER, row.id, "arrived", None)
    assert (done.state, done.cause, (done.receipt or {})["ids"]) == (EffectState.CARRIED, None, {"said by": "you"})
    with pytest.raises(Conflict, match="is carried: this can be said"):
        await effects.decide(desk, OWNER, row.id, "arrived", None)
    lines = [] if run is None else await run_rows.events(desk.store, run)
    assert [line.kind for line in lines] == ([] if run is None else ["effect.carried"])
    known = await proposed(desk, EffectKind.COMMENT, SAID, row.session, **of, cause="refused")  # type: ignore[arg-type]
    with pytest.raises(Conflict, match="this can be said of one that failed as unknown alone"):
        await effects.decide(desk, OWNER, known.id, "arrived", None)


async def test_a_repository_is_brought_from_its_forge(desk: Desk, github: FakeGitHub) -> None:
    shop = github.repositories["acme/shop"]
    brought = await desk.outward.bring(Target("hub:acme/shop"))
    place = brought.path
    assert brought == Brought(place, await shop.head("main"))
    assert (place / "README.md").is_file()
    newer = await shop.commit("main", {"new.txt": "new\n"}, "More")
    await shop.commit("feature", {"f.txt": "f\n"}, "Feature")
    again = await desk.outward.bring(Target(f"{github.url}/acme/shop.git", number=1))  # an issue's number
    assert again == Brought(place, newer)
    assert (await desk.outward.bring(Target("hub:acme/shop", ref="feature"))).ref == await shop.head("feature")
    sh("git", "update-ref", "refs/pull/2/head", "feature", cwd=shop.path)
    pull = await desk.outward.bring(Target("hub:acme/shop", number=2))
    assert pull == Brought(place, await shop.head("feature"), foreign=True), "anybody can open one"
    config = (place / ".git" / "config").read_text()
    assert github.token not in config
    assert "extraHeader" not in config
    origin = next(line.partition(" = ")[2] for line in config.splitlines() if "url = " in line)
    assert await desk.forges.of_remote(origin) == ("hub", "acme/shop")
    for wrong in (Target("nobody:acme/shop"), Target("hub:acme/none"), Target("hub:acme/shop", ref="none")):
        with pytest.raises(HandrailError, match=r"no forge|no such"):
            await desk.outward.bring(wrong)


async def test_a_workflow_whose_effect_is_rejected_is_trusted_less(desk: Desk) -> None:
    at = now()
    await desk.store.log.write(
        guard=workflows.insert(
            WorkflowRow(name="nightly", source="file", origin=None, version="0", enabled=True, trust=Trust.AUTONOMOUS,
                        accepted=7, created=at, updated=at)
        )
    )  # fmt: skip
    body: Json = {"repository": "acme/shop", "number": 1, "body": "x"}
    of = {"run": RunId("r-1"), "workflow": "nightly"}
    row = await proposed(desk, EffectKind.COMMENT, body, await begin(desk), **of)
    await effects.decide(desk, OWNER, row.id, "reject", "too rude")
    with pytest.raises(Conflict, match="it is rejected by you"):
        await effects.decide(desk, OWNER, row.id, "reject", "once more")
    found = await workflows.get(desk.store, "nightly")
    assert (found.trust, found.accepted, found.fell) == (Trust.SAMPLED, 0, "you rejected a comment: too rude")
    by_hand = await proposed(desk, EffectKind.LABEL, {}, await begin(desk, "s-2"), workflow="nightly")
    await effects.decide(desk, OWNER, by_hand.id, "reject", None)
    assert (await workflows.get(desk.store, "nightly")).trust is Trust.SAMPLED


async def test_who_may_not_does_not(desk: Desk) -> None:
    for act in (
        effects.listed(desk, NOBODY, session=None, run=None),
        effects.show(desk, NOBODY, "x"),
        effects.approve(desk, NOBODY, "x"),
        effects.reject(desk, NOBODY, "x", None),
        effects.arrived(desk, NOBODY, "x"),
    ):
        with pytest.raises(Forbidden):
            await act


async def test_a_session_that_changed_nothing_has_nothing_to_push(desk: Desk) -> None:
    session = await begin(desk)
    body: Json = {"repository": "acme/shop", "head": "x", "base": "main", "title": "T"}
    row = await proposed(desk, EffectKind.PULL_REQUEST, body, session)
    with pytest.raises(Conflict, match="has changed nothing yet"):
        await effects.approve(desk, OWNER, row.id)
    assert (await rows.get(desk.store, row.id)).state is EffectState.WAITING
    assert results_of(desk.config.data, "project-1")
