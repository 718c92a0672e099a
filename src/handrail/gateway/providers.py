"""The providers that the gateway knows, by name, and which one serves a wire format."""

from __future__ import annotations

from collections.abc import Iterator
from urllib.parse import urlsplit

from handrail.errors import InvalidInput, NotFound
from handrail.gateway import Provider, Wire
from handrail.gateway.demo import DEMO


class Providers:
    """A mutable registry. The first provider of a wire serves it until another is preferred."""

    def __init__(self, providers: tuple[Provider, ...] = ()) -> None:
        self._providers: dict[str, Provider] = {}
        self._preferred: dict[Wire, str] = {}
        for provider in providers:
            self.add(provider)

    def __iter__(self) -> Iterator[Provider]:
        return iter(list(self._providers.values()))

    def add(self, provider: Provider) -> None:
        """Add a provider, or replace the one of its name.

        Raises:
            InvalidInput: its name, URL or key cannot be used.
        """
        validate(provider)
        self._providers[provider.name] = provider

    def remove(self, name: str) -> None:
        """Forget a provider. Idempotent."""
        self._providers.pop(name, None)
        self._preferred = {wire: chosen for wire, chosen in self._preferred.items() if chosen != name}

    def get(self, name: str) -> Provider:
        """The provider of that name; the script's name (`demo.DEMO`) is always known.

        Raises:
            NotFound: there is none.
        """
        if name == DEMO.name:
            return DEMO
        if name not in self._providers:
            known = ", ".join(sorted(self._providers)) or "none yet"
            raise NotFound(f"There is no provider {name!r}; known are: {known}")
        return self._providers[name]

    def prefer(self, name: str) -> None:
        """Let this provider serve its wire from now on.

        Raises:
            NotFound: there is none of that name.
        """
        self._preferred[self.get(name).wire] = name

    def resolve(self, wire: Wire, named: str | None = None) -> Provider | None:
        """Who serves `wire`: the session's own choice where it speaks it, else the preferred, else the first."""
        for name in (named, self._preferred.get(wire)):
            found = DEMO if name == DEMO.name else self._providers.get(name) if name else None
            if found and found.wire is wire:
                return found
        return next((provider for provider in self._providers.values() if provider.wire is wire), None)


def validate(provider: Provider) -> None:
    """Check what a user gave.

    Raises:
        InvalidInput: naming the field; the key itself is never shown.
    """
    if provider.name == DEMO.name:
        raise InvalidInput(
            "provider name", provider.name, "choose another: it is the script's that plays without a key"
        )
    if not provider.name or not provider.name.isprintable() or "/" in provider.name:
        raise InvalidInput("provider name", provider.name, "give a short printable name without a slash")
    try:
        url = urlsplit(provider.base_url)
        sound = url.scheme in ("http", "https") and bool(url.hostname) and (url.port is None or url.port > 0)
    except ValueError:
        sound = False
    if not sound or not provider.base_url.isascii() or any(mark in provider.base_url for mark in "?#@ "):
        raise InvalidInput(
            "provider base_url", provider.base_url, "give http(s)://host[:port][/path], without user, query or fragment"
        )
    if not provider.key.isascii() or not provider.key.isprintable() or not provider.key or " " in provider.key:
        raise InvalidInput("provider key", "…", "give a key of printable ASCII characters, without blanks")
