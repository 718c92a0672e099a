from __future__ import annotations

from datetime import UTC, datetime

from handrail.kinds import Kind
from handrail.policy import Action, Verdict
from handrail.policy.layers import stack
from handrail.runs.acts import acts, outside, said
from handrail.types import Event, Json, Permissions, SessionId

PLACE = "/data/workspace/project"


def log(*events: tuple[Kind, Json]) -> list[Event]:
    at = datetime(2026, 9, 1, tzinfo=UTC)
    return [Event(SessionId("s-1"), seq, at, kind, data, 1) for seq, (kind, data) in enumerate(events, 1)]


def test_a_tool_call_is_one_act_however_many_lines_tell_of_it() -> None:
    done = acts(
        log(
            (Kind.TOOL_STARTED, {"call": "1", "title": "Edit", "tool": "other"}),
            (Kind.TOOL_UPDATED, {"call": "1", "tool": "edit", "diffs": [{"path": f"{PLACE}/a.py", "new": "x"}]}),
            (Kind.TOOL_ENDED, {"call": "1", "status": "completed"}),
            (Kind.TOOL_STARTED, {"call": "2", "title": "rm", "tool": "execute", "input": {"command": "rm a"}}),
            (Kind.APPROVAL_ANSWERED, {"call": "2", "decision": "deny", "by": "alice"}),
            (Kind.NETWORK_DECIDED, {"host": "pypi.org", "port": 443, "verdict": "denied"}),
            (Kind.TOOL_ENDED, {"call": "lost", "status": "completed"}),
        ),
        PLACE,
    )
    assert [(act.requests[0].action, act.refused, act.passed) for act in done] == [
        (Action.WRITE, False, True), (Action.SHELL, True, False), (Action.NETWORK, True, False),
    ]  # fmt: skip
    assert [said(act.requests[0]) for act in done] == ["write: a.py", "shell: rm a", "network: pypi.org:443"]


def test_what_lies_outside_a_policy_is_told_once_and_whether_a_rule_names_it() -> None:
    policy = stack(
        Permissions.ALLOW, session='shell:\n  ask: ["git push *"]\n  deny: ["rm *"]\n  allow: [ls]\nrest: ask\n'
    )
    lines: list[tuple[Kind, Json]] = [
        (Kind.TOOL_STARTED, {"call": str(at), "title": "x", "tool": "execute", "input": {"command": command}})
        for at, command in enumerate(["ls", "git push", "rm a", "make", "make"])
    ]
    found = outside(policy, acts(log(*lines), PLACE))
    assert [(one.what, one.verdict, one.named) for one in found] == [
        ("shell: git push", Verdict.ASK, True),
        ("shell: rm a", Verdict.DENY, True),
        ("shell: make", Verdict.ASK, False),
    ]  # fmt: skip
