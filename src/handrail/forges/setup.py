"""Where forges are: addresses that can be used, and which forge a git remote lies under. Light: it loads no client."""

from __future__ import annotations

import re
from urllib.parse import urlsplit

from handrail.errors import InvalidInput
from handrail.forges import ForgeKind

PUBLIC = {
    ForgeKind.GITHUB: "https://github.com",
    ForgeKind.GITLAB: "https://gitlab.com",
    ForgeKind.GITEA: "https://codeberg.org",
}


def address(url: str) -> str:
    """The base URL of an API or of repositories, checked and without a slash at its end.

    Raises:
        InvalidInput: it is no such URL, or holds a credential.
    """
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise InvalidInput("url", url, "give a URL such as https://git.example.com")
    if parts.username or parts.password:
        raise InvalidInput("url", f"{parts.scheme}://…@{parts.hostname}", "leave the credential out of the URL")
    return url.rstrip("/")


def place(kind: ForgeKind, url: str | None) -> str:
    """The address to keep: `url`, checked, or the public one of the kind.

    Raises:
        InvalidInput: it cannot be used, or is needed and missing.
    """
    if url is None and kind in PUBLIC:
        return PUBLIC[kind]
    if url is None:
        raise InvalidInput("url", None, "give the directory or URL below which the bare repositories are")
    if kind is ForgeKind.GIT and url.startswith("/"):
        return url.rstrip("/") or "/"
    return address(url)


def repository_at(url: str, remote: str) -> str | None:
    """The name of the repository that git calls `remote`, where it lies below the forge at `url`; else None.

    Knows https://host/owner/name.git, git@host:owner/name.git, ssh://git@host/owner/name and paths.
    """
    if url.startswith("/"):
        below = remote.removeprefix(f"{url}/")
        return below.removesuffix(".git") if below != remote else None
    scp = re.fullmatch(r"(?:[^@/]+@)?([^:/]+):(?!//)(.+)", remote)
    host, path = (scp[1], scp[2]) if scp else (urlsplit(remote).hostname or "", urlsplit(remote).path)
    base = urlsplit(url)
    if host.lower() != (base.hostname or "").lower():
        return None
    if not scp and urlsplit(remote).scheme in {"http", "https"} and urlsplit(remote).port != base.port:
        return None
    name = path.strip("/").removeprefix(base.path.strip("/")).strip("/").removesuffix(".git")
    return name if "/" in name else None
