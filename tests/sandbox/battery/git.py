"""Ways to make the host run something through git, each on a fresh clone, and what the host then does.

Behind walls that is what Handrail does: verify, snapshot, change, apply, restore. Without them it is what any tool does
in a tree that somebody else wrote: status, diff, add, commit. Got through is what ran outside.
"""

from __future__ import annotations

import asyncio
import contextlib
import subprocess
from pathlib import Path

from handrail.errors import HandrailError
from handrail.sandbox.bubblewrap import BubblewrapBackend
from handrail.types import SessionId
from handrail.workspaces import ApplyMode, Workspace
from handrail.workspaces.apply import apply
from handrail.workspaces.changes import change
from handrail.workspaces.find import find
from handrail.workspaces.prepare import prepare
from handrail.workspaces.protect import verify
from handrail.workspaces.snapshots import restore, snapshot
from tests.sandbox.battery.ground import UID, Ground
from tests.sandbox.battery.sides import Plain, Side, opened

VECTORS: dict[str, str] = {
    "monitor": "git config core.fsmonitor $EVIL",
    "filter": "git config filter.x.clean $EVIL; echo '* filter=x' > .gitattributes",
    "long_running_filter": "git config filter.x.process $EVIL; echo '* filter=x' > .gitattributes",
    "external_diff": "git config diff.external $EVIL",
    "text_conversion": "git config diff.x.textconv $EVIL; echo '* diff=x' > .gitattributes",
    "included_settings": "git config -f evil.config core.fsmonitor $EVIL; git config include.path ../evil.config",
    "directory_of_hooks": "mkdir h; cp $EVIL h/pre-commit; git config core.hooksPath h",
    "hook": "git config core.hooksPath .git/hooks; cp $EVIL .git/hooks/pre-commit",
    "hook_of_the_index": "git config core.hooksPath .git/hooks; cp $EVIL .git/hooks/post-index-change",
    "settings_of_the_work_tree": "git config extensions.worktreeConfig true;"
    " git config -f .git/config.worktree core.fsmonitor $EVIL",
    "attributes_of_the_repository": "git config filter.x.clean $EVIL; echo '* filter=x' > .git/info/attributes",
    "common_directory": "cp -r .git evil.git; git config -f evil.git/config core.fsmonitor $EVIL;"
    " echo $PWD/evil.git > .git/commondir",
    "exchanged_directory": "mv .git old.git; cp -r old.git .git; git config -f .git/config core.fsmonitor $EVIL",
    "pointer_to_another": "cp -r .git evil.git; git config -f evil.git/config core.fsmonitor $EVIL;"
    ' mv .git old.git; echo "gitdir: evil.git" > .git',
    "link_to_another": "cp -r .git evil.git; git config -f evil.git/config core.fsmonitor $EVIL;"
    " mv .git old.git; ln -s evil.git .git",
    "nested_repository": "git init -q n; cd n; git config user.name x; git config user.email x;"
    " git commit -q --allow-empty -m x; cd ..; git add n; git -C n config core.fsmonitor $EVIL",
    "program_to_sign_with": "git config gpg.program $EVIL; git config commit.gpgSign true",
    "editor_and_pager": "git config core.editor $EVIL; git config sequence.editor $EVIL; git config core.pager $EVIL;"
    " git config --unset-all user.name; git config alias.commit '!'$EVIL; git config core.fsmonitor $EVIL",
}
NAMES = tuple(f"git_{name}" for name in VECTORS)
_AT_ONCE = 3


async def run(ground: Ground, backend: BubblewrapBackend | None) -> dict[str, tuple[bool, str]]:
    """Try every way; without a backend there are no walls."""
    turns = asyncio.Semaphore(_AT_ONCE)

    async def one(name: str) -> tuple[str, tuple[bool, str]]:
        async with turns:
            ran = ground.outside / f"ran-{name}"
            session = SessionId(f"git-{name.replace('_', '-')}")
            workspace = await prepare(ground.data, ground.repository, session, owner=UID if backend else None)
            if backend is None:
                side = Plain(workspace.path)
                await _put(side, workspace, name, ran)
                ran.unlink(missing_ok=True)  # what ran so far was the agent's own git
                await asyncio.to_thread(_naive, workspace.path)
            else:
                async with opened(backend, ground, workspace) as walled:
                    await _put(walled, workspace, name, ran)
                    await _host(ground, walled, workspace, session)
            return f"git_{name}", (ran.exists(), "it ran outside" if ran.exists() else "nothing ran outside")

    return dict(await asyncio.gather(*map(one, VECTORS)))


async def _put(side: Side, workspace: Workspace, name: str, ran: Path) -> None:
    """What the agent does: some work, and the way out."""
    prelude = f"printf '#!/bin/sh\\ntouch {ran}\\n' > evil.sh; chmod 755 evil.sh; EVIL=$PWD/evil.sh;"
    done = await side.run(["/bin/sh", "-c", f"{prelude} echo changed >> a.txt; {VECTORS[name]}"], cwd=workspace.path)
    assert side.walled or done.code == 0, done.stderr.decode()


async def _host(ground: Ground, side: Side, workspace: Workspace, session: SessionId) -> None:
    """Everything that Handrail does with a workspace, as far as it gets; a refusal is an answer too."""
    with contextlib.suppress(HandrailError):
        await verify(workspace)
    with contextlib.suppress(HandrailError):
        taken = await snapshot(workspace, session, side.run, "turn-1")
        await change(workspace.results, workspace.base, taken.commit)
        checkout = await find(ground.repository.path)
        await apply(workspace, checkout, session, head=taken.commit, mode=ApplyMode.BRANCH)
    with contextlib.suppress(HandrailError):
        await restore(workspace, session, side.run, workspace.base)
    await verify(workspace)
    status = ["git", "-C", str(ground.repository.path), "status", "--porcelain"]
    await asyncio.to_thread(subprocess.run, status, check=True, capture_output=True)


def _naive(path: Path) -> None:
    who = ("-c", "safe.directory=*", "-c", "user.name=x", "-c", "user.email=x")
    for arguments in (("status",), ("diff",), ("add", "-A"), ("commit", "-qm", "x"), ("diff", "HEAD~1")):
        with contextlib.suppress(subprocess.TimeoutExpired):
            command = ["git", *who, *arguments]
            subprocess.run(command, cwd=path, check=False, capture_output=True, timeout=5, stdin=subprocess.DEVNULL)
