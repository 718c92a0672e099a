"""A GitHub App's way in: a short JWT of the App, and with it a token an installation that lives for an hour.

https://docs.github.com/apps/creating-github-apps/authenticating-with-a-github-app
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from datetime import datetime
from typing import ClassVar
from urllib.parse import quote

import httpx2
from joserfc import jwt
from joserfc.errors import JoseError
from joserfc.jwk import RSAKey

from handrail.errors import InvalidInput
from handrail.forges import Checked, faults
from handrail.forges.github import api_of, headers
from handrail.forges.http import Api
from handrail.forges.setup import address
from handrail.types import Veiled

_JWT = 540
"""seconds that the App's own token lives; GitHub takes ten minutes at the most"""
_SKEW = 60
"""seconds that our clock may be ahead"""
_SPARE = 300.0
"""seconds before its end at which an installation's token is asked for anew"""


class _Held(Veiled, frozen=True):
    veiled: ClassVar = frozenset({"token"})
    token: str
    until: float


class App:
    """The credential of a GitHub App: a token for each owner, asked for when needed.

    Args:
        http: from `http.client`.
        url: where GitHub's pages are.
        app: the App's id or client id.
        key: its private key, PEM.
        clock: seconds since the epoch.

    Raises:
        InvalidInput: the key is no RSA key in PEM.
    """

    def __init__(
        self, http: httpx2.AsyncClient, url: str, app: str, key: str, clock: Callable[[], float] = time.time
    ) -> None:
        self._app = app
        self._clock = clock
        self._held: dict[str, _Held] = {}
        self._asking = asyncio.Lock()
        try:
            self._key = RSAKey.import_key(key)
            private = self._key.is_private
        except (JoseError, ValueError, TypeError) as error:
            raise InvalidInput("key", "…", "give the App's private key, the .pem file that GitHub made") from error
        if not private:
            raise InvalidInput("key", "…", "give the App's private key, not the public one")

        async def authorise() -> dict[str, str]:
            return headers(self._jwt())

        self._api = Api(http, "GitHub", api_of(address(url)), authorise)

    def _jwt(self) -> str:
        at = int(self._clock())
        claims = {"iat": at - _SKEW, "exp": at + _JWT, "iss": self._app}
        return jwt.encode({"alg": "RS256"}, claims, self._key)

    async def token(self, repository: str | None) -> str:
        """See `Credential`: of the installation that the repository's owner has.

        Raises:
            ForgeError: the App is not installed there, or its key is not taken.
        """
        if repository is None:
            raise faults.Unsupported("GitHub: an App can only be asked about a repository that it is installed in")
        owner = repository.partition("/")[0].lower()
        async with self._asking:
            held = self._held.get(owner)
            if held is None or held.until - _SPARE < self._clock():
                held = self._held[owner] = await self._ask(repository)
        return held.token

    async def _ask(self, repository: str) -> _Held:
        what = f"asking for the App's token for {repository}"
        there = (await self._api.call("GET", f"/repos/{quote(repository)}/installation", what)).data
        path = f"/app/installations/{there['id']}/access_tokens"
        made = (await self._api.call("POST", path, what, body={})).data
        ends = datetime.fromisoformat(str(made["expires_at"]))
        return _Held(str(made["token"]), ends.timestamp())

    async def check(self, api: Api) -> Checked:  # noqa: ARG002  # the App asks about itself with its own JWT
        """See `Credential`."""
        data = (await self._api.call("GET", "/app", "checking the App")).data
        may = data.get("permissions") or {}
        return Checked(f"{data.get('slug')}[bot]", tuple(f"{name}:{may[name]}" for name in sorted(may)))
