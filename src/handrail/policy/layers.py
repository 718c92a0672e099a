"""Several policies, one over the other: team over workflow over session, the built-in one under them all.

The strictest layer wins: a deny of any layer is final, an ask beats an allow, so that a lower layer can only narrow
what a higher one says. The built-in policy answers what no layer names. Permissions `deny` are more than that: they
hold for whatever the session's own policy does not allow by name. Limits take the minimum, hosts the intersection.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import lru_cache

from handrail.policy import Verdict
from handrail.policy.builtin import DOCUMENTS
from handrail.policy.commands import CommandRules, command_rules
from handrail.policy.document import Document, PolicyLimits, Section, read
from handrail.policy.places import FileRule, Host, HostRule, file_rule, host_rule
from handrail.types import Permissions

TEAM, WORKFLOW, SESSION, BUILT_IN = "team", "workflow", "session", "built-in"


@dataclass(frozen=True, slots=True)
class Layer:
    """One policy with its rules ready to match."""

    name: str
    document: Document
    shell: dict[Verdict, CommandRules]
    files: dict[Verdict, tuple[FileRule, ...]]
    network: dict[Verdict, tuple[HostRule, ...]]

    def rest(self, section: str) -> Verdict | None:
        """What this layer says to what no rule of a section names."""
        found: Section | None = getattr(self.document, section, None) if section else None
        return self.document.rest if found is None or found.rest is None else found.rest


@dataclass(frozen=True, slots=True)
class Policy:
    """What a session may do: the layers that were given, highest first, and the built-in one under them."""

    layers: tuple[Layer, ...]
    built_in: Layer
    refuses: bool = False
    """permissions are `deny`"""

    @property
    def limits(self) -> PolicyLimits:
        """The smallest limit of all layers."""
        least: dict[str, float | None] = {}
        for item in fields(PolicyLimits):
            given = [getattr(layer.document.limits, item.name) for layer in self.layers]
            least[item.name] = min((value for value in given if value is not None), default=None)
        return PolicyLimits(**least)  # type: ignore[arg-type]  # each is of its field's type

    @property
    def hosts(self) -> tuple[Host, ...]:
        """What may be reached: allowed by each layer that names hosts. Denied ones have to be asked for: `decide`."""
        found: list[Host] | None = None
        for layer in self.layers:
            rules = layer.network[Verdict.ALLOW]
            if not rules:
                continue
            mine = [host for rule in rules for host in rule.hosts]
            found = mine if found is None else _common(found, mine)
        return tuple(dict.fromkeys(found or ()))


def layer(name: str, document: Document) -> Layer:
    """Make the rules of a policy ready to match."""
    lists = {verdict: verdict.value for verdict in Verdict}
    return Layer(
        name,
        document,
        {
            verdict: command_rules(getattr(document.shell, key), allows=verdict is Verdict.ALLOW)
            for verdict, key in lists.items()
        },
        {verdict: tuple(map(file_rule, getattr(document.files, key))) for verdict, key in lists.items()},
        {verdict: tuple(map(host_rule, getattr(document.network, key))) for verdict, key in lists.items()},
    )


_BUILT_IN = {permissions: layer(BUILT_IN, document) for permissions, document in DOCUMENTS.items()}


@lru_cache(maxsize=256)
def stack(
    permissions: Permissions, *, team: str | None = None, workflow: str | None = None, session: str | None = None
) -> Policy:
    """The policy of a session from the texts of its layers.

    Raises:
        InvalidInput: a text is no policy.
    """
    given = ((TEAM, team, "policy.yaml of the data directory"), (WORKFLOW, workflow, "workflow's policy"),
             (SESSION, session, "policy"))  # fmt: skip
    layers = tuple(layer(name, read(text, source)) for name, text, source in given if text is not None)
    return Policy(layers, _BUILT_IN[permissions], refuses=permissions is Permissions.DENY)


def _common(ours: list[Host], theirs: list[Host]) -> list[Host]:
    """What both name: of two the narrower name and the narrower port, where each covers that."""
    out: list[Host] = []
    for one in ours:
        for other in theirs:
            name = one.name if Host(other.name, None).covers(Host(one.name, None)) else other.name
            meet = Host(name, other.port if one.port is None else one.port)
            if one.covers(meet) and other.covers(meet):
                out.append(meet)
    return out
