"""The mirror of a repository, and the results repository that borrows its objects."""

from __future__ import annotations

import asyncio
import contextlib
import errno
import fcntl
import os
import re
import tempfile
from collections.abc import AsyncIterator
from pathlib import Path

from handrail.errors import HandrailError, InvalidInput
from handrail.workspaces import Repository, refs
from handrail.workspaces.git import Home, attempt, failure, git
from handrail.workspaces.layout import mirror_of, results_of
from handrail.workspaces.refs import UPSTREAM

LOCK_POLL = 0.005
LOCK_WAIT = 900.0
FETCH_TIMEOUT = 900.0


async def resolve(repository: Repository, ref: str | None) -> str:
    """The commit that `ref` names in the user's checkout, HEAD's when None.

    Raises:
        InvalidInput: it names no commit.
    """
    if ref is None:
        return repository.head
    if not ref or ref.startswith("-") or "\0" in ref:
        raise InvalidInput("ref", ref, "give a branch, tag or commit")
    ran = await attempt(
        ["rev-parse", "--verify", "--quiet", f"{ref}^{{commit}}"], cwd=repository.path, home=Home.THEIRS
    )
    commit = ran.out.decode().strip()
    if ran.code != 0 or not re.fullmatch(r"[0-9a-f]{40,64}", commit):
        raise InvalidInput("ref", ref, f"{repository.path} has no such branch, tag or commit")
    return commit


async def update(data: Path, repository: Repository, commit: str) -> tuple[Path, Path, bytes]:
    """Bring the mirror up to date with the user's refs, `commit` at least, and make the results repository.

    Stashes, notes and the refs of other tools stay out: an agent can list every object of the mirror.

    Returns:
        The mirror, the results repository, and the mirror's refs (one `commit ref` a line).
    """
    mirror, results = mirror_of(data, repository.key), results_of(data, repository.key)
    async with lock(mirror):
        if not (mirror / "HEAD").exists():
            await _make(mirror, commit, ())
        if not (results / "HEAD").exists():
            await _make(results, commit, (mirror / "objects",))
        wanted, refs = await asyncio.gather(_refs(repository.common, repository.path, Home.THEIRS), own_refs(mirror))
        if wanted != refs or not await _has(mirror, refs, commit):
            await _fetch(mirror, repository.path, commit)
            refs = await own_refs(mirror)
            await asyncio.to_thread(copy_shallow, mirror, results)
    return mirror, results, refs


@contextlib.asynccontextmanager
async def lock(repository: Path) -> AsyncIterator[None]:
    """Hold the one lock of a repository of ours, against this process and every other."""
    repository.parent.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(repository.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        # Polled: a blocking flock would hold one of the few threads that the lock's holder needs to go on.
        give_up = asyncio.get_running_loop().time() + LOCK_WAIT
        while not _try_lock(descriptor):
            if asyncio.get_running_loop().time() > give_up:
                raise HandrailError(f"{repository} was kept busy by another process for {LOCK_WAIT:.0f} s")
            await asyncio.sleep(LOCK_POLL)
        yield
    finally:
        os.close(descriptor)


def copy_shallow(source: Path, target: Path) -> None:
    """Give `target` the same list of cut-off commits as `source` (a clone made with `--depth` has one)."""
    listed = source / "shallow"
    if listed.exists():
        (target / "shallow").write_bytes(listed.read_bytes())
    else:
        (target / "shallow").unlink(missing_ok=True)


def _try_lock(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


async def ensure_empty(place: Path, like: str) -> None:
    """Make a bare repository of the kind of the commit `like`, unless it is there: to look at far sides from."""
    if not place.exists():
        await _make(place, like, ())


async def _make(place: Path, commit: str, alternates: tuple[Path, ...]) -> None:
    """Make it elsewhere and move it: a kill in between must not leave one that looks whole and borrows no objects."""
    kind = "sha256" if len(commit) == 64 else "sha1"
    place.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="making-", dir=place.parent) as scratch:
        made = Path(scratch) / place.name
        await git("init", "--quiet", "--bare", "--template=", f"--object-format={kind}", made, cwd=place.parent)
        if alternates:
            info = made / "objects" / "info"
            info.mkdir(exist_ok=True)
            (info / "alternates").write_bytes(b"".join(os.fsencode(path) + b"\n" for path in alternates))
        try:
            made.rename(place)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):  # another process was quicker
                raise


async def upstream_refs(place: Path, home: Home = Home.OURS) -> bytes:
    """The branches, tags and remotes of a repository, one `commit ref` a line."""
    return await git("for-each-ref", "--format=%(objectname) %(refname)", *UPSTREAM, cwd=place, home=home)


async def own_refs(mirror: Path) -> bytes:
    """`upstream_refs` of a mirror of ours, read from its files where they are as git writes them: no process for it."""
    return await _refs(mirror, mirror, Home.OURS)


async def _refs(directory: Path, place: Path, home: Home) -> bytes:
    there = await asyncio.to_thread(refs.upstream, directory)
    return await upstream_refs(place, home) if there is None else there


async def _has(mirror: Path, refs: bytes, commit: str) -> bool:
    if commit.encode() + b" " in refs:
        return True
    return (await attempt(["cat-file", "-e", f"{commit}^{{commit}}"], cwd=mirror)).code == 0


async def _fetch(mirror: Path, path: Path, commit: str) -> None:
    ran = await attempt(
        [
            "fetch",
            "--quiet",
            "--no-tags",
            "--prune",
            "--update-shallow",
            "--no-write-fetch-head",
            path,
            *(f"+{space}/*:{space}/*" for space in UPSTREAM),
            f"+{commit}:refs/handrail/commits/{commit}",
        ],
        cwd=mirror,
        home=Home.THEIRS,  # the other end checks their safe.directory, and is not given our settings
        timeout=FETCH_TIMEOUT,
    )
    if ran.code == 0:
        return
    if "lazy fetching disabled" in ran.err or "promisor" in ran.err:
        mend = "it is a partial clone that lacks objects: run `git fetch --refetch --no-filter` in it"
        raise InvalidInput("repository", str(path), mend)
    raise failure(f"mirroring {path}", ran.err)
