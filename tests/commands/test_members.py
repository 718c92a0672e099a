from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from handrail.commands import members, sessions, workflows
from handrail.commands.actor import NOBODY, OWNER, person
from handrail.commands.desk import Desk
from handrail.commands.sessions import Wanted
from handrail.errors import Conflict, Forbidden, InvalidInput, NotFound
from handrail.types import Role
from tests.commands.desks import ask, begin

ALICE = person("alice", Role.MEMBER)


async def test_owners_add_invite_and_remove(desk: Desk) -> None:
    made = await members.add(desk, OWNER, "alice", "member")
    assert made.link.startswith("http://127.0.0.1:7171/open?token=")
    assert [(one.name, one.role) for one in members.listed(desk, OWNER)] == [("you", "owner"), ("alice", "member")]
    assert (await members.invite(desk, OWNER, "alice")).link != made.link
    await members.remove(desk, OWNER, "alice")
    assert [one.name for one in members.listed(desk, OWNER)] == ["you"]
    with pytest.raises(NotFound):
        await members.remove(desk, OWNER, "alice")
    with pytest.raises(Conflict, match="this machine"):
        await members.remove(desk, OWNER, "you")
    with pytest.raises(InvalidInput, match="role"):
        await members.add(desk, OWNER, "alice", "king")


async def test_members_may_not(desk: Desk) -> None:
    for actor in (ALICE, NOBODY):
        with pytest.raises(Forbidden, match="an owner can"):
            members.listed(desk, actor)
        with pytest.raises(Forbidden):
            await members.add(desk, actor, "eve", "owner")
        with pytest.raises(Forbidden):
            await members.remove(desk, actor, "alice")


async def test_what_is_somebody_elses_says_who_can(desk: Desk) -> None:
    await members.add(desk, OWNER, "bob", "member")
    session = await begin(desk, "s-bob", by="bob")
    asked = await ask(desk, session)
    await members.must_own(desk, person("bob", Role.MEMBER), "session", session)
    await members.must_own(desk, OWNER, "session", "no such session")
    for kind, word in (("session", session), ("session", "last"), ("approval", asked)):
        with pytest.raises(Forbidden, match="bob can"):
            await members.must_own(desk, ALICE, kind, word)
    for kind in ("session", "run", "task", "approval", "effect"):
        with pytest.raises(NotFound):
            await members.must_own(desk, ALICE, kind, "nothing")


@pytest.mark.parametrize(
    ("over", "why"),
    [
        ({"sandbox": "none"}, "without walls"),
        ({"login": True}, "login"),
        ({"tools": ("/home/you",)}, "tools"),
        ({"secrets": ("KEY",)}, "secrets"),
        ({"include_uncommitted": True}, "uncommitted"),
        ({"scopes": ("member:bob",)}, "expense"),
        ({"repository": "/home/you/private"}, "no owner has started one there"),
        ({"repository": "/src/of-a-member"}, "no owner has started one there"),
    ],
)
async def test_a_session_of_a_member_reaches_nothing_of_the_owner(desk: Desk, over: dict[str, Any], why: str) -> None:
    await begin(desk, "s-you")
    await begin(desk, "s-alice", by="alice", repository="/src/of-a-member")
    with pytest.raises(Forbidden, match=why):
        await sessions.create(desk, ALICE, replace(Wanted("/src/project"), **over))


async def test_a_member_starts_what_is_switched_on_as_it_stands(desk: Desk) -> None:
    await workflows.add(desk, OWNER, "name: greet\non:\n  manual: {}\ngoal: Greet\nrepositories: /src/x\n")
    with pytest.raises(Forbidden, match="switched off"):
        await workflows.start(desk, ALICE, "greet", inputs={})
    with pytest.raises(Forbidden, match="other repositories"):
        await workflows.start(desk, ALICE, "greet", inputs={}, repositories=["/src/y"])
