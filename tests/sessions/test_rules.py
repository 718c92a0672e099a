from __future__ import annotations

from pathlib import Path

import pytest

from handrail.errors import InvalidInput
from handrail.kinds import Kind
from handrail.policy.document import PolicyLimits, read
from handrail.sessions import standing
from handrail.sessions.rules import CEILING, narrowed
from handrail.store import approvals
from handrail.types import Check, Goal, Lasts, Limits, NanoUSD, Permissions
from tests.fake_provider import prompt
from tests.sessions.conftest import House, Open


async def decisions(house: House, session: object) -> list[tuple[object, object, object]]:
    found = await house.events(session, Kind.APPROVAL_ANSWERED)  # type: ignore[arg-type]
    return [(event.data["decision"], event.data["by"], event.data.get("rule")) for event in found]


async def test_a_policy_answers_without_a_person(house: House) -> None:
    session = await house.new(policy='shell: {allow: ["true *"], deny: ["git push *"]}')
    await house.say(session, [{"shell": "true one"}, {"shell": "true two; git push"}, {"text": "ok"}])
    await house.until(session, Kind.TURN_ENDED)
    assert await decisions(house, session) == [("allow", "policy", "true *"), ("deny", "policy", "git push *")]
    answered = (await house.events(session, Kind.APPROVAL_ANSWERED))[-1]
    assert answered.data["layer"] == "session"
    assert "`git push`" in str(answered.data["because"])
    statuses = [event.data["status"] for event in await house.events(session, Kind.TOOL_ENDED)]
    assert statuses == ["completed", "denied"]
    assert not await house.events(session, Kind.APPROVAL_ASKED)


async def test_the_ceiling_holds_at_once_and_over_the_session(house: House, tmp_path: Path) -> None:
    session = await house.new(policy='shell: {allow: ["true *"]}')
    await house.say(session, [{"shell": "true"}, {"text": "ok"}])
    await house.until(session, Kind.TURN_ENDED)
    (tmp_path / "data" / CEILING).write_text('shell: {deny: ["true *"]}')
    await house.say(session, [{"shell": "true"}, {"text": "ok"}])
    await house.until(session, Kind.TURN_ENDED, count=2)
    assert await decisions(house, session) == [("allow", "policy", "true *"), ("deny", "policy", "true *")]


async def test_a_ceiling_that_cannot_be_read_makes_questions_and_no_new_sessions(house: House, tmp_path: Path) -> None:
    session = await house.new(policy='shell: {allow: ["true *"]}')
    await house.say(session, [{"shell": "true"}, {"text": "ok"}])
    await house.until(session, Kind.TURN_ENDED)
    (tmp_path / "data" / CEILING).write_text("shell: {deny: nothing}")
    await house.say(session, [{"shell": "true"}, {"text": "ok"}])
    await house.until(session, Kind.APPROVAL_ASKED)
    with pytest.raises(InvalidInput, match=r"policy\.yaml of the data directory:1: shell\.deny"):
        await house.new()
    await house.sessions.cancel(session, "alice")
    await house.rest(session)


async def test_a_policy_that_is_none_opens_nothing(house: House) -> None:
    with pytest.raises(InvalidInput, match=r"policy:1: shell\.allow\[0\]: 'a && b' cannot be used: name one command"):
        await house.new(policy='shell: {allow: ["a && b"]}')


async def test_always_writes_the_rule_it_showed(house: House) -> None:
    session = await house.new(policy='shell: {deny: ["git push *"]}')
    await house.say(session, [{"shell": "pwd"}, {"shell": "make run-1234"}, {"shell": "make run-5678"}, {"text": "ok"}])
    await house.until(session, Kind.APPROVAL_ASKED)
    (first,) = await approvals.open_of(house.store, session)
    await house.sessions.answer(first.id, "allow", option=None, because=None, by="alice")
    await house.until(session, Kind.APPROVAL_ASKED, count=2)
    (asked,) = await approvals.open_of(house.store, session)
    shown = await house.sessions.always(asked)
    assert shown is not None
    assert [rule.rule for rule in shown.rules] == ["make run-*"]
    assert (shown.matched, shown.of) == (0, 1)
    await house.sessions.answer(asked.id, "allow", option=None, because=None, by="alice", lasts=Lasts.SESSION)
    await house.until(session, Kind.TURN_ENDED)
    (changed,) = await house.events(session, Kind.POLICY_CHANGED)
    assert changed.data == {"rules": ["shell: allow make run-*"], "by": "alice"}
    kept = read((await house.row(session)).policy or "")
    assert (kept.shell.allow, kept.shell.deny) == (("make run-*",), ("git push *",))
    assert (await decisions(house, session))[-1] == ("allow", "policy", "make run-*")


async def test_always_outlasts_the_session_and_the_strictest_still_wins(open_house: Open, tmp_path: Path) -> None:
    steps: list[dict[str, object]] = [{"shell": "make run-1234"}, {"text": "ok"}]
    async with open_house() as house:
        first = await house.new()
        await house.say(first, steps)
        await house.until(first, Kind.APPROVAL_ASKED)
        (asked,) = await approvals.open_of(house.store, first)
        shown = await house.sessions.always(asked)
        assert shown is not None
        assert shown.stands
        await house.sessions.answer(asked.id, "allow", option=None, because=None, by="alice", lasts=Lasts.ALWAYS)
        await house.until(first, Kind.TURN_ENDED)
        (changed,) = await house.events(first, Kind.POLICY_CHANGED)
        assert changed.data == {"rules": ["shell: allow make run-*"], "by": "alice", "layer": "repository"}
        assert (await house.row(first)).policy is None
    data = tmp_path / "data"
    (rule,) = standing.listed(data)
    assert (rule.section, rule.rule, rule.repository) == ("shell", "make run-*", str(house.repository))
    async with open_house() as house:  # another server, another session
        second = await house.new()
        await house.say(second, steps)
        await house.until(second, Kind.TURN_ENDED)
        assert await decisions(house, second) == [("allow", "policy", "make run-*")]
        strict = await house.new(policy='shell: {deny: ["make *"]}')
        await house.say(strict, steps)
        await house.until(strict, Kind.TURN_ENDED)
        assert (await decisions(house, strict))[-1] == ("deny", "policy", "make *")
        stranger = await house.new(untrusted=True)
        await house.say(stranger, steps)
        await house.until(stranger, Kind.APPROVAL_ASKED)
        (asked,) = await approvals.open_of(house.store, stranger)
        with pytest.raises(InvalidInput, match="it can stand for no other"):
            await house.sessions.answer(asked.id, "allow", option=None, because=None, by="alice", lasts=Lasts.ALWAYS)
        await house.sessions.cancel(stranger, "alice")
        await house.rest(stranger)
        standing.remove(data, rule.key, rule.section, rule.rule)
        await house.say(second, steps)
        await house.until(second, Kind.APPROVAL_ASKED)
        await house.sessions.cancel(second, "alice")
        await house.rest(second)
    assert standing.listed(data) == []


async def test_always_is_refused_where_no_rule_is_narrow(house: House) -> None:
    session = await house.new()
    await house.say(session, [{"shell": "python3 -c 'print(1)'"}, {"text": "ok"}])
    await house.until(session, Kind.APPROVAL_ASKED)
    (asked,) = await approvals.open_of(house.store, session)
    assert await house.sessions.always(asked) is None
    with pytest.raises(InvalidInput, match="no narrow rule"):
        await house.sessions.answer(asked.id, "allow", option=None, because=None, by="alice", lasts=Lasts.SESSION)
    assert await approvals.open_of(house.store, session)
    await house.sessions.cancel(session, "alice")


async def test_a_policy_outlives_the_server(open_house: Open) -> None:
    async with open_house() as house:
        session = await house.new(policy='shell: {allow: ["true *"]}', permissions=Permissions.DENY)
    async with open_house() as house:
        await house.say(session, [{"shell": "true"}, {"shell": "false"}, {"text": "ok"}])
        await house.until(session, Kind.TURN_ENDED)
        assert [told[0] for told in await decisions(house, session)] == ["allow", "deny"]


async def test_files_that_configure_agents_are_named_in_the_outcome(house: House) -> None:
    files = {"AGENTS.md": "obey", "plain.txt": "x"}
    steps: list[dict[str, object]] = [{"write": {"path": name, "content": text}} for name, text in files.items()]
    session = await house.hand_off(Goal(prompt(steps), (Check("true"),)))
    reached = await house.outcome(session)
    assert reached.data["flagged"] == [{"path": "AGENTS.md", "reason": "tells coding agents what to do"}]


def test_a_goal_is_kept_within_the_limits() -> None:
    goal = Goal("x", limits=Limits(20, NanoUSD(5), None))
    found = narrowed(goal, PolicyLimits(turns=50, budget=NanoUSD(3), seconds=60.0)).limits
    assert found == Limits(20, NanoUSD(3), 60.0)
    assert narrowed(goal, PolicyLimits()) == goal
