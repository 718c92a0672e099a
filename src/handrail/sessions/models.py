"""Which model provider serves a session, and with which model."""

from __future__ import annotations

from handrail.agents.roster import Roster
from handrail.agents.spec import AgentSpec
from handrail.errors import HandrailError, InvalidInput, MissingPart
from handrail.gateway import Provider, Wire
from handrail.gateway.providers import Providers
from handrail.sessions.rooms import NewSession
from handrail.types import SCRIPTED

OWN = "handrail"
"""Handrail's own agent, by its name in the catalogue"""
_USUAL = {
    "https://api.anthropic.com": "claude-sonnet-4-5",
    "https://api.openai.com/v1": "gpt-5",
    "https://generativelanguage.googleapis.com": "gemini-2.5-pro",
}
"""by the address of the vendor's own API; so that with a key alone a session works"""
_HOW = "set its key in the environment before `handrail up`, or run `handrail providers set`"


def choose(providers: Providers, spec: AgentSpec, named: str | None) -> Provider:
    """The provider for an agent: the one named, else the first that speaks what the agent speaks.

    Raises:
        NotFound: no provider of that name.
        InvalidInput: it speaks another wire format than the agent.
        MissingPart: nobody told Handrail of a fitting provider.
    """
    if named is not None:
        provider = providers.get(named)
        if spec.wire not in ("any", provider.wire):
            raise InvalidInput("provider", named, f"agent {spec.name} needs one that speaks {spec.wire}")
        return provider
    found = next(iter(providers), None) if spec.wire == "any" else providers.resolve(Wire(spec.wire))
    if found is None:
        what = "a model provider" if spec.wire == "any" else f"a provider that speaks {spec.wire}"
        raise MissingPart(f"agent {spec.name} needs {what} and none is known: {_HOW}")
    return found


def served_by(providers: Providers, roster: Roster, agent: str, named: str | None) -> str:
    """The name of the provider that serves an agent who is told `named`; empty where none would."""
    try:
        return choose(providers, roster.spec(agent), named).name
    except HandrailError:  # a session says why when it is made
        return named or ""


def check_model(spec: AgentSpec, provider: Provider, named: str | None) -> None:
    """See that an agent that speaks to any provider, and so has no model of its own, is told one.

    Raises:
        InvalidInput: nobody names a model.
    """
    if spec.wire == "any" and not (model_of(spec, provider, named) or spec.model):
        mend = f"name one with --model, or give provider {provider.name} a model with `handrail providers set`"
        raise InvalidInput("model", named, mend)


def model_of(spec: AgentSpec, provider: Provider, named: str | None) -> str | None:
    """The model that an agent is told: the one named, else the provider's, else for who has none a usual one.

    None where the agent knows best, or where nobody does: behind another address than the vendor's may be anything.
    """
    usual = _USUAL.get(provider.base_url) if spec.wire == "any" and not spec.model else None
    return named or provider.model or usual


def played(providers: Providers, roster: Roster, new: NewSession) -> bool:
    """Whether a script takes the model's place (`gateway.demo`), so that a first session works before any key is there.

    Only where a person prompts Handrail's own agent by hand and names neither provider nor model, and there is neither
    a key nor a login: what works unwatched never gets it unless it is named. Blocks for a few file lookups.
    """
    by_hand = new.goal is None and new.key is None and new.agent == OWN and not new.login
    named = new.provider is not None or new.model is not None
    return by_hand and not named and next(iter(providers), None) is None and not _logins(roster)


def replayed(provider: str | None) -> str | None:
    """What a session that begins from another one asks for: a real provider, where there is one by now."""
    return None if provider == SCRIPTED else provider


def _logins(roster: Roster) -> bool:
    return any(_login(roster, spec.name) for spec in roster.all())


def _login(roster: Roster, name: str) -> bool:
    try:
        return roster.login(name) is not None
    except MissingPart:  # it has ended
        return False
