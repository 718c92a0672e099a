"""The secrets that tasks need, opened: each is a broker, and what stands inside in its place.

A session is given names. Inside, the variable of that name holds a placeholder and `<NAME>_URL` the broker's address;
the value is put in by the proxy. What is removed or replaced here is gone or new for the next request.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence

from handrail.egress import BROKERS, Broker

PLACEHOLDER = "handrail-placeholder-"


class Vault:
    """Brokers by the name of their secret."""

    def __init__(self) -> None:
        self._held: dict[str, Broker] = {}

    def put(self, name: str, broker: Broker) -> None:
        """Hold a secret, in place of the one of that name."""
        self._held[name] = broker

    def drop(self, name: str) -> None:
        """Forget a secret. Idempotent."""
        self._held.pop(name, None)

    def __contains__(self, name: str) -> bool:
        return name in self._held

    def chosen(self, names: Sequence[str]) -> Iterable[Broker]:
        """The brokers of `names`, as they are whenever they are looked at."""
        return _Chosen(self._held, tuple(names))


class _Chosen:
    def __init__(self, held: Mapping[str, Broker], names: tuple[str, ...]) -> None:
        self._held = held
        self._names = names

    def __iter__(self) -> Iterator[Broker]:
        return iter([self._held[name] for name in self._names if name in self._held])


def broker_name(name: str) -> str:
    """The label of a secret's broker: `API_KEY` is `api-key`."""
    return name.lower().replace("_", "-")


def environment(names: Sequence[str]) -> dict[str, str]:
    """What stands inside for each secret: a placeholder, and where to send requests that need it."""
    told: dict[str, str] = {}
    for name in names:
        told[name] = PLACEHOLDER + broker_name(name)
        told[f"{name}_URL"] = f"http://{broker_name(name)}{BROKERS}"
    return told
