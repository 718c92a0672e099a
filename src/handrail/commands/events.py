"""Events from outside: taken in, listed, shown, replayed; and the sources that may send them."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct
from msgspec.structs import asdict, replace

from handrail.commands import values
from handrail.commands.actor import Actor, Permission, authorise
from handrail.commands.desk import Desk
from handrail.errors import Conflict, InvalidInput, NotFound
from handrail.gateway.keys import seal, unseal
from handrail.store import arrivals as rows
from handrail.store import polls as poll_rows
from handrail.store import workflows as workflow_rows
from handrail.store.arrivals import ArrivalRow, SourceRow
from handrail.triggers import Hook, Settings
from handrail.triggers.dispatch import Listener, verdicts
from handrail.triggers.match import Verdict, wanted_by
from handrail.triggers.receive import SENDERS, arrival, receive
from handrail.triggers.senders import SenderKind
from handrail.types import ArrivalId, Json, RunId, now
from handrail.workflows.compile import Cause

_NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
_HEADER = re.compile(r"[A-Za-z0-9-]{1,100}")
MOST = 1000
SHORTEST_SECRET = 8
SAMPLE = ArrivalId("sample")
"""the id of an event that is only asked about"""


class Taken(StrEnum):
    """What was answered to a sender."""

    STORED = "stored"
    DUPLICATE = "duplicate"  # this delivery was taken before
    REPLIED = "replied"  # a handshake, of which nothing is kept


class Receipt(Struct, frozen=True):
    """What became of a request from outside."""

    taken: Taken
    id: ArrivalId | None = None
    reply: Json | None = None


class Source(Struct, frozen=True):
    """A source as it may be shown."""

    name: str
    kind: SenderKind
    path: str
    settings: Settings


class Replayed(Struct, frozen=True):
    """What came, or would come, of putting an event to a workflow.

    Args:
        event: its id.
        workflow: the name.
        verdict: whether it is wanted, and why.
        repositories: what a run would work on.
        goals: what its agents would be told.
        run: the run that was started; None where it was only asked.
    """

    event: ArrivalId
    workflow: str
    verdict: Verdict
    repositories: tuple[str, ...] = ()
    goals: tuple[str, ...] = ()
    run: RunId | None = None


async def take_in(desk: Desk, name: str, headers: Mapping[str, str], body: bytes) -> Receipt:
    """Take a request from outside: verified by its signature, which stands for a permission here, then stored.

    Raises:
        NotFound: there is no such source.
        Unverified: it does not prove who sent it; nothing is kept.
        InvalidInput: its body cannot be read.
    """
    source = await desk.sources.get(name) if _NAME.fullmatch(name) else None
    if source is None:
        raise NotFound("no source of events has this address: `handrail sources` lists them")
    settings = _settings(source)
    hook = Hook(headers, body, now())
    secret = unseal(desk.shelf.master, f"source {name}", source.secret, to=_proof(source.kind, source.settings))
    message = receive(SenderKind(source.kind), hook, secret, settings)
    if message.reply is not None:
        return Receipt(Taken.REPLIED, reply=message.reply)
    row = arrival(name, message, hook.received, settings)
    try:
        await desk.store.log.write(guard=rows.put(row, message.window))
    except Conflict:
        return Receipt(Taken.DUPLICATE)
    desk.dispatcher.wake()
    return Receipt(Taken.STORED, row.id)


async def listed(desk: Desk, actor: Actor, *, source: str | None = None, limit: int = 50) -> list[ArrivalRow]:
    """Events, the newest first."""
    authorise(actor, Permission.EVENTS_READ)
    return await rows.newest(desk.store, source=source, limit=values.count("limit", limit, MOST))


async def show(desk: Desk, actor: Actor, word: str) -> ArrivalRow:
    """One event, by its id, a unique beginning of it, or `last`."""
    authorise(actor, Permission.EVENTS_READ)
    return await rows.find(desk.store, word)


async def replay(desk: Desk, actor: Actor, word: str, workflow: str, *, dry_run: bool) -> Replayed:
    """Put an event to a workflow again, enabled or not; with `dry_run` only say what would come of it.

    A replay is asked for by a person, so it starts a run although this event, or one that means the same, did before.

    Raises:
        NotFound: there is no such event or workflow.
        Conflict: the workflow does not want this event; the reason is told.
        InvalidInput: the event lacks what the workflow needs.
    """
    authorise(actor, Permission.EVENTS_READ if dry_run else Permission.EVENTS_WRITE)
    found = await rows.find(desk.store, word)
    came = await _put_to(desk, found, workflow)
    if dry_run:
        return came
    if not came.verdict.matched:
        raise Conflict(f"{came.workflow} does not want the event {found.id}: {came.verdict.why}")
    run = await desk.launch.for_event(came.workflow, found, again=secrets.token_hex(4), by=actor.name)
    return replace(came, run=run)


async def sample(
    desk: Desk, actor: Actor, workflow: str, *, payload: Json, event: str | None = None, source: str | None = None
) -> Replayed:
    """Say what would come of an event that never came: nothing is kept and nothing is started.

    Args:
        desk: the rooms.
        actor: who asks.
        workflow: the name, enabled or not.
        payload: as its sender would send it.
        event: what GitHub or Gitea would name in the header: `issues`, `pull_request`, …
        source: who would send it; None is a GitHub that is not set up.

    Raises:
        NotFound: there is no such workflow or source.
        InvalidInput: the event is not named, or lacks what the workflow needs.
    """
    authorise(actor, Permission.EVENTS_READ)
    known = None if source is None else await rows.source(desk.store, source)
    if source is not None and known is None:
        raise NotFound(f"there is no source {source!r}: `handrail sources` lists them")
    kind = SenderKind.GITHUB if known is None else SenderKind(known.kind)
    if event is None and kind in (SenderKind.GITHUB, SenderKind.GITEA):
        raise InvalidInput("event", None, f"say which one it is, as {kind} names it in the header: issues, push, …")
    headers = {} if event is None else {f"x-{kind}-event": event}
    message = SENDERS[kind].read(Hook(headers, b"", now()), payload)
    settings = Settings() if known is None else _settings(known)
    found = replace(arrival(source or kind.value, message, now(), settings), id=SAMPLE)
    if found.reason is not None:
        return Replayed(SAMPLE, workflow, Verdict(False, f"it would be ignored: {found.reason}"))
    return await _put_to(desk, found, workflow)


async def _put_to(desk: Desk, found: ArrivalRow, workflow: str) -> Replayed:
    """What would come of an event with a workflow, enabled or not."""
    row = await workflow_rows.get(desk.store, workflow)
    verdict = verdicts(Listener(row.name, wanted_by((await desk.launch.workflow(row)).on)), found)
    if not verdict.matched:
        return Replayed(found.id, row.name, verdict)
    plan = await desk.launch.plan(row, Cause(event=found.payload), arrival=found)
    targets = tuple(target.repository for target in plan.targets)
    return Replayed(found.id, row.name, verdict, targets, tuple(stage.goal for stage in plan.stages))


async def sources(desk: Desk, actor: Actor) -> list[Source]:
    """Every source, by name."""
    authorise(actor, Permission.EVENTS_READ)
    return [_source(row) for row in await rows.all_sources(desk.store)]


async def set_source(desk: Desk, actor: Actor, name: str, *, kind: str, secret: str, settings: Settings) -> Source:
    """Set a source up, in place of the one of that name.

    Raises:
        InvalidInput: a value cannot be used; the secret is never shown.
    """
    authorise(actor, Permission.EVENTS_WRITE)
    if not _NAME.fullmatch(name):
        raise InvalidInput("name", name, "use up to 64 lower case letters, digits and . _ -")
    chosen = values.choice("kind", kind, SenderKind)
    if len(secret.strip()) < SHORTEST_SECRET:
        raise InvalidInput("secret", "…", f"give at least {SHORTEST_SECRET} characters, such as `openssl rand -hex 32`")
    if settings.header is not None and not _HEADER.fullmatch(settings.header):
        raise InvalidInput("header", settings.header, "give the name of an HTTP header")
    given = asdict(settings)
    sealed = seal(desk.shelf.master, f"source {name}", secret.strip(), to=_proof(chosen.value, given))
    row = SourceRow(name, chosen.value, given, sealed, now())
    await rows.put_source(desk.store, row)
    await desk.sources.forget(name)
    return _source(row)


async def remove_source(desk: Desk, actor: Actor, name: str) -> None:
    """Forget a source: its address answers 404 from now on, and nothing of it is polled; its events stay.

    Raises:
        NotFound: there is none of that name.
    """
    authorise(actor, Permission.EVENTS_WRITE)
    polled = await poll_rows.everything(desk.store, name)
    await desk.store.log.write(*poll_rows.replace(name, (), polled))
    try:
        await desk.store.log.write(guard=rows.remove_source(name))
    except Conflict as error:
        if polled:
            return
        raise NotFound(f"there is no source {name!r}: `handrail sources` lists them") from error
    await desk.sources.forget(name)


def _source(row: SourceRow) -> Source:
    return Source(row.name, SenderKind(row.kind), f"/hooks/{row.name}", _settings(row))


def _settings(row: SourceRow) -> Settings:
    return Settings(**row.settings)  # type: ignore[arg-type]  # as `set_source` kept them


def _proof(kind: str, settings: Json) -> str:
    """How the sender proves itself, to which its secret is sealed: nobody can make that easier in the row."""
    return f"{kind} {json.dumps(settings, sort_keys=True)}"
