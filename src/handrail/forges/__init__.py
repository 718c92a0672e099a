"""Forges: where effects are carried out, with credentials that no agent holds.

A forge is one kind of git host behind the protocol `Forge`: `github.GitHub`, `gitlab.GitLab`, `gitea.Gitea` (Forgejo
too) and `plain.Plain`. `effects` are the values that describe an act, `deliver.carry_out` performs one so that being
killed in the midst of it repeats nothing, `faults` are the ways in which it can fail, each with a stable `cause`.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, Protocol

from msgspec import Struct, field

from handrail.automation import EffectKind
from handrail.forges.effects import Effect
from handrail.types import Json, Veiled

__all__ = ["Checked", "Effect", "Forge", "ForgeKind", "News", "Push", "Receipt", "Remote"]


class ForgeKind(StrEnum):
    """Kinds of git hosts."""

    GITHUB = "github"
    GITLAB = "gitlab"
    GITEA = "gitea"  # Forgejo speaks the same
    GIT = "git"  # a bare repository, reached by path or URL


class Remote(Veiled, frozen=True):
    """Where git pushes to.

    `settings` are git settings for the environment of that one process; they may hold a credential and are never shown.
    """

    veiled: ClassVar = frozenset({"settings"})
    url: str
    settings: Mapping[str, str] = field(default_factory=dict)


class Receipt(Struct, frozen=True):
    """Proof that an effect was carried out."""

    kind: EffectKind
    url: str | None
    """where a person can see it"""
    ids: Json
    """the forge's own names for it: number, id, commit, …"""
    hash: str
    """SHA-256 of the effect as it was carried out"""
    found: bool = False
    """it was there before this try: an earlier one had been cut off before it could be recorded"""


class Checked(Struct, frozen=True):
    """What a look at the credential found."""

    login: str
    """whose it is"""
    scopes: tuple[str, ...] | None = None
    """what it may do; None where the forge does not tell"""
    writable: bool | None = None
    """whether it may write to the repository that was asked about; None where none was"""
    notes: tuple[str, ...] = ()
    """sentences for a person, such as when the credential ends"""
    ends: datetime | None = None
    """when the credential ends; None where it does not, or the forge does not tell"""


class News(Struct, frozen=True):
    """What a look at a repository found.

    Args:
        told: events and payloads as the forge's webhooks have them, the oldest first.
        seen: what the next look needs of this one.
        wait: seconds for which the forge asks to be left alone; None where it does not.
        kind: of the forge in whose words it is told.
    """

    told: tuple[tuple[str, dict[str, Any]], ...]
    seen: Json
    wait: float | None = None
    kind: ForgeKind = ForgeKind.GITHUB


class Push(Protocol):
    """Pushes a commit with real git, from a repository that no agent wrote."""

    async def head(self, source: Path, remote: Remote, branch: str) -> str | None:
        """The commit of `branch` at the remote, None where there is none.

        Raises:
            ForgeError: git could not ask.
        """
        ...

    async def push(self, source: Path, remote: Remote, *, commit: str, branch: str, expected: str | None) -> None:
        """Bring `commit` to `branch`, if that is at `expected` still (None: not there).

        Raises:
            ForgeError: it was refused; `StaleHead` where somebody else moved the branch.
        """
        ...


class Forge(Protocol):
    """One git host with one credential."""

    @property
    def kind(self) -> ForgeKind:
        """What it is."""
        ...

    async def check(self, repository: str | None) -> Checked:
        """Whether the credential works, and whether it may write to `repository`.

        Raises:
            ForgeError: it does not work.
        """
        ...

    async def remote(self, repository: str) -> Remote:
        """Where to push to, with what git needs to be let in.

        Raises:
            ForgeError: no token could be got.
        """
        ...

    async def repositories(self, owner: str) -> list[str]:
        """The repositories of an owner that are not archived, as `owner/name`.

        Raises:
            ForgeError: it cannot be asked, or there is no such owner.
        """
        ...

    async def act(self, effect: Effect, key: str) -> Receipt:
        """Carry out an effect, unless an act with `key` is found there already. Pushes are not for it.

        Raises:
            ForgeError: refused or failed. After a passing failure the same call is safe.
        """
        ...

    async def news(self, repository: str, seen: Json) -> News:
        """What happened in `repository` since a look left `seen`; the first look, with nothing seen, tells nothing.

        Raises:
            ForgeError: it cannot be asked; `Unsupported` where this kind of forge is not polled.
        """
        ...
