"""The walls of a session, and what a policy asks of them: limits and hosts, refused where they do not hold them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct

from handrail.egress import HostPort
from handrail.egress.vault import Vault
from handrail.errors import InvalidInput, SandboxError
from handrail.policy import Decision, Verdict
from handrail.policy.decide import reach
from handrail.policy.document import PolicyLimits
from handrail.policy.layers import SESSION, TEAM, Policy
from handrail.policy.places import host_rule
from handrail.sandbox import Guarantee, ResourceLimits, Walls
from handrail.sandbox.paths import python_paths
from handrail.types import SandboxKind

_HELD_BY = {
    "processes": Guarantee.PIDS,
    "memory": Guarantee.MEMORY,
    "cpus": Guarantee.CPU,
    "tmp": Guarantee.WRITES,
    "disk": Guarantee.DISK,
}
"""limit of a policy → what the walls must have been measured to hold for it"""
_DELEGATE = "run the server where it may make control groups (`systemd-run --user --scope -p Delegate=yes`)"


class Place(Struct, frozen=True):
    """What is worked on, before a policy bounds it: the paths are those of `Walls`."""

    workspace: Path
    home: Path
    protected: tuple[Path, ...] = ()
    read_only: tuple[Path, ...] = ()
    uid: int | None = None


def walls(place: Place, limits: ResourceLimits) -> Walls:
    """The walls of a session and of `handrail sandbox run`, which shall be the same: both are made here.

    Args:
        place: with what only this session sees among `read_only`; Handrail's own Python is added.
        limits: of its policy (`resources`).
    """
    return Walls(
        workspace=place.workspace,
        home=place.home,
        read_only=tuple(dict.fromkeys((*place.read_only, *python_paths()))),
        protected=place.protected,
        uid=place.uid,
        limits=limits,
    )


def resources(limits: PolicyLimits) -> ResourceLimits:
    """The caps of one box, from a policy's limits; the usual ones where it names none."""
    usual = ResourceLimits()
    return ResourceLimits(
        processes=usual.processes if limits.processes is None else limits.processes,
        tmp_bytes=usual.tmp_bytes if limits.tmp is None else limits.tmp,
        memory_bytes=limits.memory,
        cpus=limits.cpus,
        disk_bytes=limits.disk,
    )


def needs(policy: Policy) -> dict[str, Guarantee]:
    """What of a policy only walls can hold: its field, and the guarantee that it takes."""
    found = {f"limits.{name}": flag for name, flag in _HELD_BY.items() if getattr(policy.limits, name) is not None}
    return found | ({"network": Guarantee.NETWORK} if policy.rules_hosts else {})


def check(policy: Policy, kind: SandboxKind, held: Guarantee) -> None:
    """Return if walls of `kind`, which were measured to hold `held`, hold all that the policy needs.

    Raises:
        SandboxError: they do not; names what they lack and what to do.
    """
    for field, flag in needs(policy).items():
        if flag not in held:
            grouped = flag in Guarantee.MEMORY | Guarantee.CPU
            mend = _DELEGATE if grouped else "let `handrail doctor` show why"
            if kind is SandboxKind.NONE:
                mend = "choose --sandbox bubblewrap"
            raise SandboxError(
                f"policy: {field} cannot be held by the walls ({kind}) on this machine, so nothing was started:"
                f" {mend}, or take {field} out of the policy"
            )


def check_wish(policy: Policy, words: tuple[str, ...]) -> None:
    """Return if each place that a session wants to reach (`--network`) lies within its policy.

    Raises:
        InvalidInput: a layer denies one; names layer and rule.
    """
    for word in words:
        try:
            rule = host_rule(word)
        except ValueError as error:
            raise InvalidInput("network", word, str(error)) from error
        for place in rule.hosts:
            if place.name.startswith("*") or place.port is None:
                continue  # a part of it may be allowed: that is judged when it is asked for
            decision = reach(policy, str(place))
            if decision.verdict is Verdict.DENY:
                mend = "change that policy" if decision.layer == SESSION else "leave it out, or change that policy"
                raise InvalidInput("network", word, f"{decision.reason}; {mend}")


def given(policy: Policy, names: Sequence[str], vault: Vault) -> tuple[str, ...]:
    """The secrets of a session: those it was told, and those that its own or its workflow's policy names.

    A policy above bounds them where it names any, and gives none by itself.

    Raises:
        InvalidInput: one is not set, or a layer above does not let it be given.
    """
    own = [name for layer in policy.layers if layer.name != TEAM for name in layer.document.secrets or ()]
    found = tuple(dict.fromkeys((*names, *own)))
    for name in found:
        for layer in policy.layers:
            bound = layer.document.secrets
            if layer.name != SESSION and bound is not None and name not in bound:
                mend = (
                    f"the {layer.name} policy lets {', '.join(bound) or 'none'} be given: leave it out, or change that"
                )
                raise InvalidInput("secrets", name, mend)
        if name not in vault:
            raise InvalidInput("secrets", name, "set it with `handrail secrets set`, or leave it out")
    return found


def check_secrets(names: Sequence[str], kind: SandboxKind, held: Guarantee) -> None:
    """Return if walls keep what the server holds from those inside, or there is nothing to keep.

    Raises:
        SandboxError: they do not.
    """
    needed = Guarantee.SECRETS | Guarantee.NETWORK
    if names and needed not in held:
        raise SandboxError(
            f"secrets: walls of the kind {kind} do not keep {', '.join(names)} from the agent on this machine,"
            " so nothing was started: choose --sandbox bubblewrap, or leave the secrets out"
        )


def refusal(place: HostPort, decision: Decision) -> str:
    """What the agent is told of a place that it may not reach."""
    if decision.verdict is Verdict.ASK:
        return f"{place} has to be asked for, and nobody is there to ask: {decision.reason}"
    return (
        f"{place} is not allowed by this session's policy (network): {decision.reason}."
        " Ask for it instead of trying another way"
    )
