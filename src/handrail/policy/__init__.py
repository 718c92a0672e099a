"""Policy: answers allow, ask or deny to what an agent wants to do.

A courtesy on top of the walls, never instead of them: it spares a person needless questions and stops honest mistakes.
What an agent must not be able to do is held by sandbox, egress proxy and gateway, whatever it is called here.

`normalise` turns a permission request of any agent into requests, `document` reads the rules, `layers` puts the rules
of team, workflow and session one over the other, and `decide` answers. No clock, no I/O, no state.
"""

from __future__ import annotations

from enum import StrEnum

from msgspec import Struct


class Verdict(StrEnum):
    """What to do about a request."""

    ALLOW = "allow"
    ASK = "ask"
    DENY = "deny"


STRICTNESS = {Verdict.ALLOW: 0, Verdict.ASK: 1, Verdict.DENY: 2}
"""the higher one wins"""


class Action(StrEnum):
    """What kind of thing an agent wants to do."""

    SHELL = "shell"
    READ = "read"
    WRITE = "write"
    NETWORK = "network"
    EFFECT = "effect"
    OTHER = "other"


class Request(Struct, frozen=True):
    """One thing that an agent wants to do: an action on a target."""

    action: Action
    target: str
    """a path, `host:port`, the name of an effect or of a tool; for `shell` the script, where it is one"""
    argv: tuple[str, ...] | None = None
    """`shell` of an agent that gives words instead of a script"""
    workspace: str = ""
    """absolute path of the workspace, which relative paths start from"""
    folder: str | None = None
    """`shell`: the directory that the command starts in, when it is not the workspace"""


class Decision(Struct, frozen=True):
    """The answer to a request, and where it comes from."""

    verdict: Verdict
    rule: str | None
    """the rule as it stands in the policy; None where no rule names the request"""
    layer: str
    """team, workflow, session or built-in"""
    reason: str
    """one sentence for a person"""


def strictest(decisions: list[Decision]) -> Decision:
    """The strictest of several decisions; the first one of equals. `decisions` is not empty."""
    if len(decisions) == 1:
        return decisions[0]
    return max(decisions, key=lambda decision: STRICTNESS[decision.verdict])
