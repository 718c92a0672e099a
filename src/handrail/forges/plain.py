"""Plain git: a bare repository, reached by path or URL. It takes branches; the rest of a change stays in Handrail."""

from __future__ import annotations

import base64
from pathlib import Path
from urllib.parse import quote

from handrail.errors import InvalidInput
from handrail.forges import Checked, ForgeKind, News, Receipt, Remote, faults
from handrail.forges import effects as e
from handrail.forges.setup import address
from handrail.types import Json


class Plain:
    """Bare repositories below one place.

    Args:
        url: a directory, or the URL below which the repositories are.
        user: whom a server asks for; with `secret` only.
        secret: password or token.

    Raises:
        InvalidInput: `url` is neither an absolute path nor http(s).
    """

    kind = ForgeKind.GIT

    def __init__(self, url: str, user: str = "git", secret: str = "") -> None:
        self._local = url.startswith("/")
        self._url = url.rstrip("/") if self._local else address(url)
        self._user = user
        self._secret = secret

    async def check(self, repository: str | None) -> Checked:
        """See `Forge`. What a server lets in is only seen when something is pushed."""
        if self._local:
            directory = Path((await self.remote(repository)).url) if repository else Path(self._url)
            if not directory.is_dir():
                raise faults.NotThere(f"git: there is no directory {directory}")
        return Checked(self._user, None, None, ("plain git tells nothing before a push",))

    async def remote(self, repository: str) -> Remote:
        """See `Forge`."""
        place = f"{self._url}/{repository if self._local else quote(repository)}"
        if self._local:
            found = next((path for path in (f"{place}.git", place) if Path(path).is_dir()), None)
            if found is None:
                raise faults.NotThere(f"git: there is no repository {place} or {place}.git")
            return Remote(found)
        if not self._secret:
            return Remote(f"{place}.git")
        basic = base64.b64encode(f"{self._user}:{self._secret}".encode()).decode()
        return Remote(f"{place}.git", {f"http.{self._url}/.extraHeader": f"Authorization: Basic {basic}"})

    async def repositories(self, owner: str) -> list[str]:
        """See `Forge`. A directory can be listed, a server cannot."""
        if not self._local:
            raise faults.Unsupported("git: a server of plain git does not list its repositories: name them")
        directory = Path(self._url) / owner
        if ".." in Path(owner).parts:
            raise InvalidInput("owner", owner, "give a name")
        if not directory.is_dir():
            raise faults.NotThere(f"git: there is no directory {directory}")
        return sorted(f"{owner}/{path.name.removesuffix('.git')}" for path in directory.iterdir() if path.is_dir())

    async def news(self, repository: str, seen: Json) -> News:  # noqa: ARG002
        """See `Forge`."""
        raise faults.Unsupported(f"{repository}: plain git is not polled; its webhooks start workflows")

    async def act(self, effect: e.Effect, key: str) -> Receipt:  # noqa: ARG002  # see below
        """See `Forge`. A pull request's branch was pushed before; beside that there is nothing to open."""
        if isinstance(effect, e.PullRequest) and effect.commit is not None:
            remote = await self.remote(effect.repository)
            return Receipt(effect.kind, remote.url, {"branch": effect.head, "commit": effect.commit}, e.digest(effect))
        raise faults.Unsupported(f"plain git has no {effect.kind.replace('_', ' ')}: only branches can be pushed")
