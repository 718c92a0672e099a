"""Which model provider serves a session, and with which model."""

from __future__ import annotations

from handrail.agents.spec import AgentSpec
from handrail.errors import InvalidInput, MissingPart
from handrail.gateway import Provider, Wire
from handrail.gateway.providers import Providers

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
        what = "any model provider" if spec.wire == "any" else f"a provider that speaks {spec.wire}"
        raise MissingPart(f"agent {spec.name} needs {what} and none is known: {_HOW}")
    return found


def check_model(spec: AgentSpec, provider: Provider, named: str | None) -> None:
    """See that an agent that speaks to any provider, and so has no model of its own, is told one.

    Raises:
        InvalidInput: nobody names a model.
    """
    if spec.wire == "any" and not (named or provider.model or spec.model):
        mend = f"name one with --model, or give provider {provider.name} a model with `handrail providers set`"
        raise InvalidInput("model", named, mend)
