"""Where things are under the data directory."""

from __future__ import annotations

import re
from pathlib import Path

from handrail.errors import InvalidInput
from handrail.types import SessionId
from handrail.workspaces import Workspace

GIT_CONFIG_COPY = "git-config"
STAGING = "git-staging"


def mirror_of(data: Path, key: str) -> Path:
    """The bare mirror of a repository."""
    return data / "mirrors" / f"{key}.git"


def results_of(data: Path, key: str) -> Path:
    """The bare repository that takes what sessions made of a repository."""
    return data / "results" / f"{key}.git"


def empty_beside(mirror: Path, kind: str) -> Path:
    """A repository without a commit, as git makes one here: what every clone of that kind begins as."""
    return mirror.parent.parent / "empty" / kind


def session_directory(data: Path, session: SessionId) -> Path:
    """The directory of a session.

    Raises:
        InvalidInput: `session` is no plain name.
    """
    if not re.fullmatch(r"[A-Za-z0-9][A-Za-z0-9_-]{0,99}", session):
        raise InvalidInput("session", session, "an identifier has letters, digits, `-` and `_` only")
    return data / "sessions" / session


def own_directory(workspace: Workspace) -> Path:
    """The directory of a workspace's session: outside what the agent can write."""
    return workspace.path.parent.parent


def session_ref(session: SessionId, name: str) -> str:
    """The ref in the results repository that keeps one commit of a session."""
    return f"refs/sessions/{session}/{name}"
