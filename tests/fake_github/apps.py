"""GitHub Apps of the double: a real RS256 signature is checked, a token an installation is given."""

from __future__ import annotations

import secrets
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime

from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey


@dataclass
class App:
    """One App with its key, and the owners that installed it."""

    id: str
    slug: str
    key: RSAKey
    installations: dict[str, int]


@dataclass
class Apps:
    """The Apps that are known, and the tokens that were given."""

    known: dict[str, App] = field(default_factory=dict)
    given: dict[str, tuple[str, float]] = field(default_factory=dict)
    """token → login, end in seconds since the epoch"""
    life: float = 3600.0

    def add(self, id_: str, slug: str, *owners: str) -> str:
        """A new App that these owners installed; gives its private key as PEM."""
        key = RSAKey.generate_key(2048)
        self.known[id_] = App(id_, slug, key, {owner: number for number, owner in enumerate(owners, 1)})
        return key.as_pem(private=True).decode()

    def signed_by(self, token: str) -> str:
        """The App (`app:ID`) whose valid JWT this is.

        Raises:
            Refusal: it is none.
        """
        for app in self.known.values():
            try:
                claims = jwt.decode(token, app.key, algorithms=["RS256"]).claims
            except (JoseError, ValueError):
                continue
            at = time.time()
            if claims.get("iss") == app.id and claims["iat"] <= at < claims["exp"] <= claims["iat"] + 660:
                return f"app:{app.id}"
        raise Refusal(401, "A JSON web token could not be decoded")

    def login_of(self, token: str) -> str | None:
        """Whose installation's token this is, while it lives."""
        login, until = self.given.get(token, (None, 0.0))
        return login if time.time() < until else None

    def give(self, app: App) -> tuple[str, str]:
        """A new token of an installation, and its end."""
        token, until = f"ghs_{secrets.token_hex(18)}", time.time() + self.life
        self.given[token] = (f"{app.slug}[bot]", until)
        return token, datetime.fromtimestamp(until, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class Refusal(Exception):
    """GitHub says no.

    Args:
        status: of the answer.
        message: in its words.
        errors: of a 422.
        headers: of the answer.
    """

    def __init__(
        self,
        status: int,
        message: str,
        errors: list[dict[str, str]] | None = None,
        headers: dict[str, str] | None = None,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.message = message
        self.errors = errors
        self.headers = headers or {}

    def body(self) -> dict[str, object]:
        """The answer's body."""
        told: dict[str, object] = {"message": self.message, "documentation_url": "https://docs.github.com/rest"}
        return {**told, "errors": self.errors} if self.errors else told
