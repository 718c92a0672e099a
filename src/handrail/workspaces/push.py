"""Pushing from a repository of Handrail's own: real git over HTTP, the credential in the environment of that process.

Nothing secret is in an argument or a file, and an agent cannot see that process (its walls have their own pids).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from msgspec import Struct

from handrail.errors import HandrailError
from handrail.workspaces.git import attempt

TIMEOUT = 300.0
# Sent to the address it was meant for and to no other: https://git-scm.com/docs/git-config#Documentation/git-config.txt-httpfollowRedirects
_CAREFUL = {
    "http.followRedirects": "false",
    "credential.helper": "",
    "push.followTags": "false",
    "http.lowSpeedTime": "60",
    "http.lowSpeedLimit": "1",
}
_PROTOCOLS = {"GIT_ALLOW_PROTOCOL": "file:http:https", "GIT_ASKPASS": "/bin/false", "GIT_PROTOCOL_FROM_USER": "0"}
_HEAD = re.compile(r"([0-9a-f]{40,64})\trefs/heads/(.+)")


class Refused(Struct, frozen=True):
    """Git did not do it; `said` is its standard error."""

    said: str


async def head(source: Path, url: str, settings: Mapping[str, str], branch: str) -> str | Refused | None:
    """The commit of `branch` at `url`, None where there is none.

    Args:
        source: a bare repository of Handrail's.
        url: http, https or an absolute path.
        settings: git settings for this process alone, such as a header that lets it in.
        branch: its name.
    """
    ran = await run(source, settings, ["ls-remote", "--heads", "--", url, f"refs/heads/{branch}"])
    if isinstance(ran, Refused):
        return ran
    found = {name: commit for commit, name in _HEAD.findall(ran)}
    return found.get(branch)


async def push(
    source: Path, url: str, settings: Mapping[str, str], *, commit: str, branch: str, expected: str | None
) -> Refused | None:
    """Bring `commit` to `branch` at `url` if that is at `expected` still (None: not there); None when it is done.

    https://git-scm.com/docs/git-push#Documentation/git-push.txt---force-with-leaseltrefnamegtltexpectgt
    """
    lease = f"--force-with-lease=refs/heads/{branch}:{expected or ''}"
    ran = await run(source, settings, ["push", "--porcelain", lease, "--", url, f"{commit}:refs/heads/{branch}"])
    return ran if isinstance(ran, Refused) else None


async def run(source: Path, settings: Mapping[str, str], arguments: list[str]) -> str | Refused:
    """Run a git command that speaks to the far side: its output, or why it was refused."""
    try:
        ran = await attempt(
            arguments, cwd=source, env=_PROTOCOLS, settings={**_CAREFUL, **settings}, timeout=TIMEOUT, limit=1 << 20
        )
    except HandrailError as error:
        return Refused(error.message)
    if ran.code != 0:
        return Refused(ran.err + "\n" + ran.out.decode("utf-8", "replace"))
    return ran.out.decode("utf-8", "replace")
