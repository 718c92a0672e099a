"""One command in the walls of a session, without a server: `python -m handrail.commands.walled run -- COMMAND …`.

A process edge of its own, as Handrail's agent is one: `handrail sandbox` becomes it, so that bytes, signals and the
exit status pass through nothing else. The command gets pipes, never the terminal or a file of the caller: a descriptor
of the host's can be reopened by who holds it.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import os
import shutil
import signal
import sys
import tempfile
import threading
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path

from handrail.config import data_directory
from handrail.egress import HostPort, Rules
from handrail.egress.proxy import Egress
from handrail.errors import HandrailError, InvalidInput
from handrail.policy import Verdict
from handrail.policy.decide import reach
from handrail.policy.document import text_of
from handrail.policy.layers import Policy, stack
from handrail.sandbox import Closer, Door, Exit, Guarantee, Process, ResourceLimits
from handrail.sandbox.arguments import DOOR_PORT
from handrail.sandbox.backends import AnyBackend, open_backend
from handrail.sandbox.bubblewrap import BubblewrapBackend
from handrail.sandbox.paths import session_uid
from handrail.sandbox.seatbelt import profile
from handrail.sessions import doors
from handrail.sessions.rules import CEILING
from handrail.sessions.walling import Place, check, refusal, resources, walls
from handrail.types import Permissions, SandboxKind, SessionId
from handrail.workspaces.find import find
from handrail.workspaces.prepare import prepare
from handrail.workspaces.remove import remove_tree

CHUNK = 1 << 16
SESSION = SessionId("run")
SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
OVER = {"out_of_memory": "memory", "out_of_disk": "disk"}
BROKEN_PIPE = 128 + signal.SIGPIPE
SEARCH_PATH = "/usr/local/bin:/usr/bin:/bin"


async def probe(kind: SandboxKind) -> dict[str, object]:
    """Try the walls of `kind`, and tell what held.

    Raises:
        MissingPart, SandboxError: they cannot be raised here; the message says what to change.
    """
    backend = open_backend(kind)
    try:
        guarantee = await backend.probe()
        report = await backend.probe_report() if isinstance(backend, BubblewrapBackend) else None
    finally:
        await backend.close()
    findings = report.findings if report is not None else ()
    return {
        "sandbox": str(kind),
        "holds": [str(flag.name).lower() for flag in Guarantee if flag in guarantee],
        "lacks": [str(flag.name).lower() for flag in Guarantee if flag not in guarantee],
        "findings": [
            {"name": f.name, "title": f.title, "held": f.held, "bites": f.bites, "detail": f.detail} for f in findings
        ],
    }


async def run(kind: SandboxKind, argv: Sequence[str], *, workspace: Path | None, policy: Path | None) -> int:
    """Run `argv` with the streams of this process; returns its exit status, 128 and the number for a signal.

    Args:
        kind: of the walls.
        argv: the command.
        workspace: worked on in place; a clone of the repository at hand, thrown away afterwards, where None.
        policy: the rules of a session: its hosts and limits hold here, its rules for an agent's questions do not.

    Raises:
        HandrailError: nothing was started.
    """
    stacked = _policy(policy)
    network = _network(stacked) if stacked.opens else None
    backend = open_backend(kind)
    egress = Egress()
    try:
        if kind is SandboxKind.NONE:  # bubblewrap refuses by itself what it cannot hold, without half a second's trial
            check(stacked, kind, await backend.probe())
        async with _place(backend, workspace) as place:
            box = await backend.open(walls(place, resources(stacked.limits)))
            try:
                env = dict(doors.environment(box.door_url())) if network is not None else {}
                process = await box.start(
                    list(argv),
                    env={**env, "PATH": SEARCH_PATH},
                    door=_door(egress, network) if network is not None else None,
                    sink=lambda data: _put(2, data),
                )
                return await _pass_through(process, stacked.limits.seconds)
            finally:
                await box.close()
    finally:
        await egress.close()
        await backend.close()


def _policy(file: Path | None) -> Policy:
    """The policy given, below the one of the data directory."""
    ceiling = data_directory(os.environ) / CEILING
    team = text_of(ceiling) if ceiling.exists() else None
    return stack(Permissions.ALLOW, team=team, session=text_of(file) if file is not None else None)


def _network(policy: Policy) -> Rules:
    """What may be reached. Nobody is there to be asked, so asking is refusing."""

    async def judge(place: HostPort) -> str | None:
        decision = reach(policy, str(place))
        return None if decision.verdict is Verdict.ALLOW else refusal(place, decision)

    return Rules(judge=judge)


def _door(egress: Egress, network: Rules) -> Door:
    async def serve(sock: object) -> Closer:
        return await egress.serve(sock, network, lambda _: None)  # type: ignore[arg-type]

    return serve


@asynccontextmanager
async def _place(backend: AnyBackend, workspace: Path | None) -> AsyncIterator[Place]:
    """Where it works, with a home that goes afterwards; the launcher's scratch goes even if this process is killed."""
    scratch = (await backend.client()).scratch if isinstance(backend, BubblewrapBackend) else None
    own = Path(tempfile.mkdtemp(prefix="handrail-run-", dir=scratch))
    try:
        own.chmod(0o755)
        home = own / "home"
        home.mkdir(mode=0o700)
        yield await (_clone(own, home) if workspace is None else _given(workspace, home))
    finally:
        await remove_tree(own)
        shutil.rmtree(own, ignore_errors=True)


async def _clone(own: Path, home: Path) -> Place:
    uid = session_uid(os.getpid())
    try:
        repository = await find(Path.cwd())
    except InvalidInput as error:
        mend = "give --workspace DIR, or call it in a git repository with a commit"
        raise InvalidInput("workspace", str(Path.cwd()), mend) from error
    made = await prepare(own, repository, SESSION, include_uncommitted=True, owner=uid)
    return Place(made.path, home, made.protected, made.read_only, uid)


async def _given(workspace: Path, home: Path) -> Place:
    """A directory of the user's, changed in place; its `.git`, whatever it is, stays as it is."""
    path = workspace.expanduser().absolute()
    if not path.is_dir():
        raise InvalidInput("workspace", str(workspace), "there is no such directory")
    path = path.resolve()
    owner = path.stat().st_uid
    uid = None
    if os.geteuid() == 0:
        if owner == 0:
            mend = "it belongs to root, which never runs inside: give it to an ordinary user, or leave the option out"
            raise InvalidInput("workspace", str(path), mend)
        uid = owner
    git = path / ".git"
    return Place(path, home, (git,) if git.exists() else (), (), uid)


async def _pass_through(process: Process, seconds: float | None) -> int:
    loop = asyncio.get_running_loop()
    ended_by: list[int] = []
    killing: list[asyncio.Task[Exit]] = []

    def stop(number: int) -> None:
        if not ended_by:
            ended_by.append(number)
            killing.append(loop.create_task(process.kill()))

    for number in SIGNALS:
        loop.add_signal_handler(number, stop, number)
    if seconds is not None:
        loop.call_later(seconds, stop, signal.SIGALRM)
    threading.Thread(target=_feed, args=(process, loop), daemon=True).start()
    while data := await process.stdout.read(CHUNK):
        try:
            await asyncio.to_thread(_put, 1, data)
        except BrokenPipeError:
            stop(signal.SIGPIPE)
            break
    ended = await process.wait()
    if ended_by:
        if ended_by[0] == signal.SIGALRM:
            sys.stderr.write("handrail: the command was ended: it took longer than the policy's limit\n")
        return 128 + ended_by[0]
    if (what := OVER.get(ended.reason)) is not None:
        sys.stderr.write(f"handrail: the command was ended: it took more {what} than its limit\n")
    return ended.code if ended.code >= 0 else 128 - ended.code


def _feed(process: Process, loop: asyncio.AbstractEventLoop) -> None:
    """Standard input to the command, in a thread of its own: it may be a terminal, a pipe or a file."""

    async def give(data: bytes) -> None:
        with contextlib.suppress(OSError, RuntimeError):
            if data:
                process.stdin.write(data)
                await process.stdin.drain()
            else:
                process.stdin.close()

    # the loop is gone once the command has ended
    with contextlib.suppress(RuntimeError, OSError):
        while True:
            try:
                data = os.read(0, CHUNK)
            except OSError:
                data = b""
            asyncio.run_coroutine_threadsafe(give(data), loop).result()
            if not data:
                return


def _put(descriptor: int, data: bytes) -> None:
    view = memoryview(data)
    while view:
        view = view[os.write(descriptor, view) :]


def shown(found: dict[str, object]) -> str:
    """A probe's result for a person."""
    findings: list[dict[str, object]] = found["findings"]  # type: ignore[assignment]
    lines = [f"{'holds' if item['held'] else 'does not hold'}: {item['title']} ({item['detail']})" for item in findings]
    for key in ("holds", "lacks"):
        names: list[str] = found[key]  # type: ignore[assignment]
        lines.append(f"{found['sandbox']} {key}: {', '.join(names) or 'nothing'}")
    return "\n".join(lines)


def _arguments(words: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="handrail sandbox")
    below = parser.add_subparsers(dest="verb", required=True)
    printed = below.add_parser("profile")
    for name in ("--workspace", "--home"):
        printed.add_argument(name, type=Path, required=True)
    for verb in ("probe", "run"):
        one = below.add_parser(verb)
        one.add_argument("--backend", choices=[str(kind) for kind in SandboxKind], default=str(SandboxKind.BUBBLEWRAP))
        if verb == "probe":
            one.add_argument("--json", action="store_true")
        else:
            one.add_argument("--policy", type=Path)
            one.add_argument("--workspace", type=Path)
            one.add_argument("command", nargs="+")
    return parser.parse_args(words)


def _print_profile(workspace: Path, home: Path) -> int:
    git = workspace.absolute() / ".git"
    place = Place(workspace.resolve(), home.resolve(), protected=(git.resolve(),))
    try:
        text = profile(walls(place, ResourceLimits()), scratch=Path(tempfile.gettempdir()).resolve(), door=DOOR_PORT)
    except HandrailError as error:
        sys.stderr.write(f"handrail: {error.message}\n")
        return error.exit_code
    sys.stderr.write("handrail: seatbelt is untested: no Mac has read this profile\n")
    sys.stdout.write(text)
    return 0


def main(words: Sequence[str] | None = None) -> int:
    """The process edge."""
    given = _arguments(sys.argv[1:] if words is None else words)
    if given.verb == "profile":
        return _print_profile(given.workspace, given.home)
    kind = SandboxKind(given.backend)
    try:
        if given.verb == "run":
            return asyncio.run(run(kind, given.command, workspace=given.workspace, policy=given.policy))
        found = asyncio.run(probe(kind))
    except HandrailError as error:
        sys.stderr.write(f"handrail: {error.message}\n")
        return error.exit_code
    except KeyboardInterrupt:
        return 128 + signal.SIGINT
    sys.stdout.write((json.dumps(found) if given.json else shown(found)) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
