"""One repository of the double: a real bare one, with what GitHub keeps beside it."""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

# GitHub's words for a refused push (https://docs.github.com/repositories/configuring-branches-and-merges-in-your-repository)
UPDATE_HOOK = """#!/bin/sh
if grep -qxF "$1" "$GIT_DIR/protected" 2>/dev/null; then
    echo "error: GH006: Protected branch update failed for $1." >&2
    echo "error: Changes must be made through a pull request." >&2
    exit 1
fi
"""
_IDENTITY = {
    "GIT_AUTHOR_NAME": "Octocat",
    "GIT_AUTHOR_EMAIL": "octocat@example.com",
    "GIT_COMMITTER_NAME": "GitHub",
    "GIT_COMMITTER_EMAIL": "noreply@example.com",
}


def stamp() -> str:
    """The time as GitHub writes it."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class GitFailed(Exception):
    """Git said no."""


async def git(*arguments: str, cwd: Path, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> str:
    """Run git and give its output."""
    process = await asyncio.create_subprocess_exec(
        "git",
        *arguments,
        cwd=cwd,
        env={
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "GIT_CONFIG_NOSYSTEM": "1",
            "GIT_CONFIG_COUNT": "1",
            "GIT_CONFIG_KEY_0": "safe.directory",
            "GIT_CONFIG_VALUE_0": "*",
            **_IDENTITY,
            **(env or {}),
        },
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, err = await process.communicate(stdin)
    if process.returncode:
        raise GitFailed((err or out).decode("utf-8", "replace").strip())
    return out.decode("utf-8", "replace").strip()


@dataclass
class Text:
    """An issue or a pull request (which has `head` and `base`)."""

    number: int
    title: str
    body: str
    login: str
    labels: list[str] = field(default_factory=list)
    state: str = "open"
    draft: bool = False
    head: str = ""
    base: str = ""
    head_sha: str = ""
    merged: str | None = None
    """the commit that the merge made"""
    created: str = field(default_factory=stamp)
    updated: str = field(default_factory=stamp)
    closed: str | None = None
    comments: list[dict[str, Any]] = field(default_factory=list)
    reviews: list[dict[str, Any]] = field(default_factory=list)
    review_comments: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class Repository:
    """What GitHub knows of one repository."""

    name: str
    path: Path
    texts: dict[int, Text] = field(default_factory=dict)
    statuses: dict[str, list[dict[str, Any]]] = field(default_factory=dict)
    reviews_needed: set[str] = field(default_factory=set)
    """branches that take a merge only after an approving review"""
    default_branch: str = "main"
    archived: bool = False
    runs: list[dict[str, Any]] = field(default_factory=list)
    """of GitHub Actions, the newest first: what differs from GitHub's example"""
    suites: list[dict[str, Any]] = field(default_factory=list)
    """check suites of any App, and under `runs` their checks: the same"""
    releases: list[dict[str, Any]] = field(default_factory=list)
    """the same of releases"""
    happened: list[dict[str, Any]] = field(default_factory=list)
    """what was done to issues and pull requests, beside opening and commenting: GitHub's issue events"""

    @property
    def pulls(self) -> list[Text]:
        """The pull requests, the newest first."""
        return [text for text in reversed(self.texts.values()) if text.head]

    def add(self, title: str, body: str, login: str, **more: Any) -> Text:
        """A new issue or pull request."""
        text = Text(len(self.texts) + 1, title, body, login, **more)
        self.texts[text.number] = text
        return text

    def touch(self, text: Text, happened: str | None = None, login: str = "", **more: Any) -> None:
        """Note that a text was changed, and how where GitHub tells of that."""
        text.updated = stamp()
        if happened == "closed":
            text.state, text.closed = "closed", text.updated
        if happened is not None:
            number = len(self.happened) + 1
            told = {"id": number, "event": happened, "login": login, "number": text.number, "at": text.updated}
            self.happened.append({**told, "more": more})

    async def create(self, files: Mapping[str, str]) -> None:
        """Make the bare repository, with one commit on the default branch."""
        self.path.mkdir(parents=True)
        await git("init", "-q", "--bare", f"--initial-branch={self.default_branch}", ".", cwd=self.path)
        for key, value in (("http.receivepack", "true"), ("uploadpack.allowAnySHA1InWant", "true")):
            await git("config", key, value, cwd=self.path)
        hook = self.path / "hooks" / "update"
        hook.write_text(UPDATE_HOOK, "utf-8")
        hook.chmod(0o755)
        await self.commit(self.default_branch, files, "Begin")

    async def commit(self, branch: str, files: Mapping[str, str], message: str) -> str:
        """A commit with these files added to those that `branch` has, as if somebody had pushed it."""
        parent = await self.head(branch)
        scratch = self.path / f"index-{secrets.token_hex(4)}"
        index = {"GIT_INDEX_FILE": str(scratch)}
        if parent:
            await git("read-tree", parent, cwd=self.path, env=index)
        for name, content in files.items():
            blob = await git("hash-object", "-w", "--stdin", cwd=self.path, stdin=content.encode())
            await git("update-index", "--add", "--cacheinfo", f"100644,{blob},{name}", cwd=self.path, env=index)
        tree = await git("write-tree", cwd=self.path, env=index)
        scratch.unlink(missing_ok=True)
        parents = ["-p", parent] if parent else []
        commit = await git("commit-tree", tree, *parents, "-m", message, cwd=self.path)
        await git("update-ref", f"refs/heads/{branch}", commit, cwd=self.path)
        return commit

    async def protect(self, branch: str) -> None:
        """Refuse pushes to a branch, and merges without a review."""
        with (self.path / "protected").open("a", encoding="utf-8") as file:
            file.write(f"refs/heads/{branch}\n")
        self.reviews_needed.add(branch)

    async def head(self, branch: str) -> str:
        """The commit of a branch, empty where there is none."""
        try:
            return await git("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}", cwd=self.path)
        except GitFailed:
            return ""

    async def heads(self) -> dict[str, str]:
        """All branches."""
        listed = await git("for-each-ref", "--format=%(refname:strip=2) %(objectname)", "refs/heads", cwd=self.path)
        return dict(line.split(" ") for line in listed.splitlines())

    async def ahead(self, base: str, head: str) -> int:
        """How many commits `head` has that `base` lacks."""
        return int(await git("rev-list", "--count", f"{base}..{head}", cwd=self.path))

    async def size(self, base: str, head: str) -> tuple[int, int, int]:
        """Lines added and removed, and files, since the two parted."""
        try:
            listed = await git("diff", "--numstat", f"{base}...{head}", cwd=self.path)
        except GitFailed:
            return 0, 0, 0
        rows = [line.split("\t") for line in listed.splitlines()]
        count = [(int(a) if a.isdigit() else 0, int(d) if d.isdigit() else 0) for a, d, _ in rows]
        return sum(a for a, _ in count), sum(d for _, d in count), len(rows)

    async def merge(self, pull: Text, method: str) -> str | None:
        """Merge for real; None where it conflicts."""
        base = await self.head(pull.base)
        try:
            tree = (await git("merge-tree", "--write-tree", base, pull.head_sha, cwd=self.path)).splitlines()[0]
        except GitFailed:
            return None
        parents = ["-p", base] if method == "squash" else ["-p", base, "-p", pull.head_sha]
        message = f"Merge pull request #{pull.number} from {pull.head}"
        commit = await git("commit-tree", tree, *parents, "-m", message, cwd=self.path)
        await git("update-ref", f"refs/heads/{pull.base}", commit, base, cwd=self.path)
        return commit
