"""From what was set up to a forge that can be used. Loads the clients, so a server does it when it first needs one."""

from __future__ import annotations

import re
from collections.abc import Mapping

import httpx2

from handrail.errors import InvalidInput
from handrail.forges import Forge, ForgeKind
from handrail.forges.gitea import Gitea
from handrail.forges.github import GitHub, Token
from handrail.forges.github_app import App
from handrail.forges.gitlab import GitLab
from handrail.forges.http import client
from handrail.forges.plain import Plain

__all__ = ["client", "make"]
_SECRET = re.compile(r"[\x21-\x7e]{1,4000}")


def make(http: httpx2.AsyncClient, kind: ForgeKind, url: str, secret: str, settings: Mapping[str, object]) -> Forge:
    """A forge of `kind`.

    Args:
        http: from `http.client`.
        kind: which.
        url: where its pages, or bare repositories, are.
        secret: a token, an App's private key, or a password; may be empty for plain git.
        settings: `app` is the id of a GitHub App, `user` whom plain git asks for.

    Raises:
        InvalidInput: a value cannot be used; the secret is never shown.
    """
    app = settings.get("app")
    if app is not None and kind is not ForgeKind.GITHUB:
        raise InvalidInput("app_id", app, "only GitHub has Apps")
    if kind is ForgeKind.GIT:
        return Plain(url, str(settings.get("user") or "git"), secret)
    if app is not None:
        return GitHub(http, url, App(http, url, str(app), secret))
    if not _SECRET.fullmatch(secret):
        raise InvalidInput("secret", f"{len(secret)} characters", "give one token without blanks in it")
    if kind is ForgeKind.GITHUB:
        return GitHub(http, url, Token(secret))
    return GitLab(http, url, secret) if kind is ForgeKind.GITLAB else Gitea(http, url, secret)
