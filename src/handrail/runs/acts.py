"""What a session did, read from its log in the terms of the policy, and how far that lay outside one. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence

from msgspec import Struct, field

from handrail.clean import one_line
from handrail.kinds import Kind
from handrail.policy import Action, Request, Verdict
from handrail.policy.decide import decide
from handrail.policy.layers import Policy
from handrail.policy.normalise import normalise
from handrail.types import Event, Json

_MOVES = frozenset({"edit", "delete", "move"})
"""kinds of tools whose paths are what they change"""
_SHOWN = 160


class Act(Struct, frozen=True):
    """One thing that an agent did, or wanted to do.

    Args:
        call: its tool call; empty for what the egress proxy saw.
        title: as the agent told it.
        requests: the same for the policy.
        refused: a person or a policy said no.
        passed: it came to a good end.
    """

    call: str
    title: str
    requests: tuple[Request, ...]
    refused: bool
    passed: bool


class Outside(Struct, frozen=True):
    """Something that a policy would not let pass without a question."""

    what: str
    verdict: Verdict
    reason: str
    named: bool
    """a rule names it: whoever wrote the policy expects it"""


class _Card(Struct):
    title: str
    tool: str | None
    given: Json
    paths: list[str] = field(default_factory=list)
    status: str = ""
    refused: bool = False


def acts(events: Iterable[Event], workspace: str) -> list[Act]:
    """What an agent did, in order, each tool call once, and the hosts that were reached.

    Args:
        events: the log of its session.
        workspace: absolute path of the session's workspace.
    """
    cards: dict[tuple[int | None, str], _Card] = {}
    found: list[Act | _Card] = []
    calls: list[str] = []
    for event in events:
        data = event.data
        if event.kind == Kind.NETWORK_DECIDED:
            found.append(_reached(data))
            calls.append("")
            continue
        key = (event.turn, str(data.get("call") or ""))
        if event.kind == Kind.TOOL_STARTED:
            cards[key] = _Card(str(data.get("title") or ""), None, {})
            found.append(cards[key])
            calls.append(key[1])
        card = cards.get(key)
        if card is not None:
            _fold(card, event.kind, data)
    return [_act(item, call, workspace) if isinstance(item, _Card) else item
            for item, call in zip(found, calls, strict=True)]  # fmt: skip


def _fold(card: _Card, kind: str, data: Mapping[str, object]) -> None:
    if kind == Kind.APPROVAL_ANSWERED:
        card.refused = card.refused or data.get("decision") != "allow"
        return
    if kind not in (Kind.TOOL_STARTED, Kind.TOOL_UPDATED, Kind.TOOL_ENDED, Kind.APPROVAL_ASKED):
        return
    given, diffs, paths = data.get("input"), data.get("diffs"), data.get("paths")
    card.tool = str(data["tool"]) if data.get("tool") else card.tool
    card.title = str(data.get("title") or card.title)
    card.given = {**card.given, **given} if isinstance(given, dict) else card.given
    if isinstance(diffs, list):
        card.paths += [str(diff["path"]) for diff in diffs if isinstance(diff, dict) and diff.get("path")]
    if isinstance(paths, list) and card.tool in _MOVES:
        card.paths += [str(path) for path in paths]
    if kind == Kind.TOOL_ENDED:
        card.status = str(data.get("status") or "")
        card.refused = card.refused or card.status == "denied"


def _act(card: _Card, call: str, workspace: str) -> Act:
    paths = list(dict.fromkeys(card.paths))
    requests = normalise(card.tool, card.title, card.given, workspace=workspace, paths=paths)
    return Act(call, card.title, requests, card.refused, card.status == "completed")


def _reached(data: Mapping[str, object]) -> Act:
    target = f"{data.get('host')}:{data.get('port')}"
    allowed = data.get("verdict") == "allowed"
    return Act("", target, (Request(Action.NETWORK, target),), refused=not allowed, passed=allowed)


def outside(policy: Policy, done: Sequence[Act]) -> list[Outside]:
    """What of this the policy does not let pass, each thing once."""
    found: dict[str, Outside] = {}
    for act in done:
        for request in act.requests:
            decision = decide(policy, request)
            if decision.verdict is not Verdict.ALLOW:
                what = said(request)
                found.setdefault(what, Outside(what, decision.verdict, decision.reason, decision.rule is not None))
    return list(found.values())


def said(request: Request) -> str:
    """A request in a few words."""
    if request.action is Action.SHELL:
        return f"shell: {one_line(request.target, _SHOWN)}"
    if request.action in (Action.READ, Action.WRITE):
        target = (
            request.target.removeprefix(request.workspace.rstrip("/") + "/") if request.workspace else request.target
        )
        return f"{request.action}: {one_line(target, _SHOWN)}"
    return f"{request.action}: {one_line(request.target, _SHOWN)}"
