"""What a policy asks of the walls of a session: held inside them, or refused before anything is made."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from handrail.errors import InvalidInput, SandboxError
from handrail.kinds import Kind
from handrail.policy.layers import stack
from handrail.sandbox import Guarantee
from handrail.sandbox.arguments import mounts
from handrail.sessions.rules import CEILING
from handrail.sessions.walling import Place, check, needs, resources, walls
from handrail.types import Check, Goal, Permissions, SandboxKind
from tests.fake_provider import prompt
from tests.sessions.conftest import House

NOTHING = "limits: {turns: 3, budget: 1, seconds: 60}"


def test_the_smallest_limit_of_all_layers_is_the_walls() -> None:
    policy = stack(
        Permissions.ASK,
        team="limits: {processes: 90, tmp: 2MiB, cpus: 2}",
        session="limits: {processes: 40, memory: 1g}",
    )
    found = resources(policy.limits)
    assert (found.processes, found.tmp_bytes, found.memory_bytes, found.cpus) == (40, 2 << 20, 1 << 30, 2.0)
    usual = resources(stack(Permissions.ASK, session=NOTHING).limits)
    assert (usual.processes, usual.tmp_bytes, usual.memory_bytes, usual.cpus) == (512, 1 << 30, None, None)


@pytest.mark.parametrize(
    ("text", "field"),
    [
        ("limits: {memory: 1g}", "limits.memory"),
        ("limits: {cpus: 1}", "limits.cpus"),
        ("limits: {processes: 9}", "limits.processes"),
        ("limits: {tmp: 9m}", "limits.tmp"),
        ("network: {deny: [pypi]}", "network"),
    ],
)
def test_what_walls_do_not_hold_is_named_with_its_mend(text: str, field: str) -> None:
    policy = stack(Permissions.ASK, session=text)
    check(policy, SandboxKind.BUBBLEWRAP, ~Guarantee.NOTHING)
    with pytest.raises(SandboxError, match=rf"policy: {field} cannot be held .*choose --sandbox bubblewrap"):
        check(policy, SandboxKind.NONE, Guarantee.NOTHING)
    with pytest.raises(SandboxError, match=rf"{field} cannot be held by the walls \(bubblewrap\)"):
        check(policy, SandboxKind.BUBBLEWRAP, ~needs(policy)[field])
    check(stack(Permissions.ASK, session=NOTHING), SandboxKind.NONE, Guarantee.NOTHING)


async def test_a_policy_that_needs_more_than_holds_makes_nothing(house: House, tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match=r"limits\.processes cannot be held"):
        await house.new(sandbox=SandboxKind.NONE, policy="limits: {processes: 40}")
    ceiling = tmp_path / "data" / CEILING
    ceiling.write_text("network: {allow: [pypi]}\n")
    with pytest.raises(SandboxError, match="network cannot be held"):
        await house.new(sandbox=SandboxKind.NONE)
    with pytest.raises(InvalidInput, match=r"'npm' cannot be used: .*not among the hosts that the team policy allows"):
        await house.new(network=("npm",))
    ceiling.write_text("network: {deny: ['*.example.com']}\n")
    with pytest.raises(InvalidInput, match=r"the team policy says deny: its rule `\*\.example\.com` names"):
        await house.new(network=("api.example.com",))
    assert not (tmp_path / "data" / "sessions").exists()
    assert not (tmp_path / "data" / "workspaces").exists()


async def test_limits_hold_for_the_agent_and_the_checks_and_a_tool_chain_is_seen(house: House, tmp_path: Path) -> None:
    (tmp_path / "data" / CEILING).write_text("limits: {tmp: 2MiB, processes: 60}\n")
    chain = tmp_path / "chain" / "bin"
    chain.mkdir(parents=True)
    (chain / "of-the-user").write_text("#!/bin/sh\necho found in the tool chain\n: > $0\n")
    (chain / "of-the-user").chmod(0o755)
    fill = "head -c 3000000 /dev/zero > /tmp/fill || echo no room"
    forks = f"{sys.executable} -c 'import os,time;[os.fork() or time.sleep(1) or os._exit(0) for _ in range(90)]'"
    check_ = Check(f"! head -c 3000000 /dev/zero > /tmp/fill && ! {forks} 2>/dev/null")
    steps: list[dict[str, object]] = [{"shell": fill}, {"shell": f"{forks} 2>&1 | tail -1"}, {"shell": "echo > made"}]
    steps.append({"shell": "of-the-user"})
    session = await house.hand_off(
        Goal(prompt([*steps, {"text": "done"}]), (check_,)), policy="limits: {processes: 40}", tools=(chain.parent,)
    )
    assert (await house.outcome(session)).data["outcome"] == "done"
    told = [*await house.events(session, Kind.TOOL_UPDATED), *await house.events(session, Kind.TOOL_ENDED)]
    output = "".join(str(event.data.get("output")) for event in told)  # what was shown on the way is not said again
    assert "no room" in output
    assert "Resource temporarily unavailable" in output
    assert "found in the tool chain" in output
    assert "of-the-user: Read-only file system" in output


async def test_a_changed_ceiling_holds_from_the_next_start(house: House, tmp_path: Path) -> None:
    session = await house.new()
    await house.say(session, [{"text": "first"}])
    await house.until(session, Kind.TURN_ENDED)
    ceiling = tmp_path / "data" / CEILING
    ceiling.write_text("limits: {tmp: soon}\n")
    async with house.sessions.actors.use(session) as actor:  # its agent idles for minutes otherwise
        await actor.workplace.stop_agent(kill=True)
        await house.say(session, [{"text": "second"}])
        ended = await house.until(session, Kind.TURN_ENDED, count=2)
        assert "policy of the data directory cannot be used, so nothing was started" in str(ended.data["error"])
        ceiling.write_text("limits: {tmp: 2MiB}\n")
        await house.say(session, [{"text": "third"}])
        await house.until(session, Kind.TURN_ENDED, count=3)
        box = await actor.workplace.box()
        assert box.walls.limits.tmp_bytes == 2 << 20
        clone = actor.workplace.workspace
        place = Place(clone.path, box.walls.home, clone.protected, clone.read_only, box.walls.uid)
        assert clone.path / ".git" / "config" in clone.protected
        run = walls(place, resources(actor.workplace.terms.policy().limits))  # as `sandbox run` makes them
        assert mounts(box.walls) == mounts(run)
        assert box.walls.limits == run.limits
