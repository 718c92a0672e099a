"""Several policies, one over the other: team over workflow over session, the built-in one under them all.

The strictest layer wins: a deny of any layer is final, an ask beats an allow, so that a lower layer can only narrow
what a higher one says. The built-in policy answers what no layer names. Permissions `deny` are more than that: they
hold for whatever the session's own policy does not allow by name. Limits take the minimum, hosts the intersection.
"""

from __future__ import annotations

from functools import cache, lru_cache

from msgspec import Struct
from msgspec.structs import replace

from handrail.policy import Verdict, builtin
from handrail.policy.commands import CommandRules, command_rules
from handrail.policy.document import Document, PolicyLimits, Section, read
from handrail.policy.places import FileRule, Host, HostRule, file_rule, host_rule
from handrail.types import Permissions

TEAM, REPOSITORY, WORKFLOW, SESSION, BUILT_IN = "team", "repository", "workflow", "session", "built-in"


class Layer(Struct, frozen=True):
    """One policy with its rules ready to match."""

    name: str
    document: Document
    shell: dict[Verdict, CommandRules]
    files: dict[Verdict, tuple[FileRule, ...]]
    network: dict[Verdict, tuple[HostRule, ...]]
    programs: frozenset[str] | None
    """which rules of the section `shell` name; None where one of the rules names others as well"""
    rests: dict[str, Verdict]
    """what sections say to the rest, where they say it themselves"""

    def silent(self, names: tuple[str, ...] | None) -> bool:
        """Whether no rule can name a command of these `names_of`."""
        return names is not None and self.programs is not None and self.programs.isdisjoint(names)

    def rest(self, section: str) -> Verdict | None:
        """What this layer says to what no rule of a section names."""
        return self.rests.get(section, self.document.rest)


class Policy(Struct, frozen=True):
    """What a session may do: the layers that were given, highest first, and the built-in one under them."""

    layers: tuple[Layer, ...]
    built_in: Layer
    refuses: bool = False
    """permissions are `deny`"""

    @property
    def limits(self) -> PolicyLimits:
        """The smallest limit of all layers."""
        least: dict[str, float | None] = {}
        for name in PolicyLimits.__struct_fields__:
            given = [getattr(layer.document.limits, name) for layer in self.layers]
            least[name] = min((value for value in given if value is not None), default=None)
        return PolicyLimits(**least)  # type: ignore[arg-type]  # each is of its field's type

    @property
    def hosts(self) -> tuple[Host, ...]:
        """What each layer that names hosts allows; what is denied or asked for among it, `decide.reach` tells."""
        found: list[Host] | None = None
        for layer in self.layers:
            rules = layer.network[Verdict.ALLOW]
            if not rules:
                continue
            mine = [host for rule in rules for host in rule.hosts]
            found = mine if found is None else _common(found, mine)
        return tuple(dict.fromkeys(found or ()))

    @property
    def opens(self) -> bool:
        """Whether any place can be reached, or be asked for."""
        asks = (layer.network[Verdict.ASK] or layer.document.network.rest is Verdict.ASK for layer in self.layers)
        return bool(self.hosts) or any(asks)

    @property
    def rules_hosts(self) -> bool:
        """Whether any layer says something about hosts, so that only walls that hold the network will do."""
        return any(layer.document.network != Section() for layer in self.layers)


def layer(name: str, document: Document) -> Layer:
    """Make the rules of a policy ready to match."""
    lists = {verdict: verdict.value for verdict in Verdict}
    shell = {
        verdict: command_rules(getattr(document.shell, key), allows=verdict is Verdict.ALLOW)
        for verdict, key in lists.items()
    }
    sections = {
        "shell": document.shell,
        "files": document.files,
        "network": document.network,
        "effects": document.effects,
    }
    wild = any(rules.by_glob for rules in shell.values())
    return Layer(
        name,
        document,
        shell,
        {verdict: tuple(map(file_rule, getattr(document.files, key))) for verdict, key in lists.items()},
        {verdict: tuple(map(host_rule, getattr(document.network, key))) for verdict, key in lists.items()},
        None if wild else frozenset(name for rules in shell.values() for name in rules.by_name),
        {name: section.rest for name, section in sections.items() if section.rest is not None},
    )


@cache
def _built_in(permissions: Permissions) -> Layer:
    return layer(BUILT_IN, builtin.document(permissions))


@lru_cache(maxsize=256)
def stack(
    permissions: Permissions,
    *,
    team: str | None = None,
    repository: str | None = None,
    workflow: str | None = None,
    session: str | None = None,
    network: tuple[str, ...] = (),
) -> Policy:
    """The policy of a session from the texts of its layers.

    Args:
        permissions: the built-in policy.
        team: the ceiling.
        repository: the rules that stand for the repository.
        workflow: the workflow's policy.
        session: the session's own policy.
        network: places that the session was told to reach (`--network`): as if its own policy allowed them.

    Raises:
        InvalidInput: a text is no policy.
    """
    given = ((TEAM, team, "policy.yaml of the data directory"), (REPOSITORY, repository, "rules of the repository"),
             (WORKFLOW, workflow, "workflow's policy"),
             (SESSION, session, "policy"))  # fmt: skip
    documents = {name: read(text, source) for name, text, source in given if text is not None}
    if network:
        own = documents.get(SESSION, Document())
        allow = tuple(dict.fromkeys((*own.network.allow, *network)))
        documents[SESSION] = replace(own, network=replace(own.network, allow=allow))
    layers = tuple(layer(name, document) for name, document in documents.items())
    return Policy(layers, _built_in(permissions), refuses=permissions is Permissions.DENY)


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
