"""Sessions: make, read, prompt, hand off, take, end."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from msgspec import Struct

from handrail.automation import TaskState
from handrail.commands import unseen, values
from handrail.commands.actor import OWNERS, Actor, Permission, authorise
from handrail.commands.desk import Desk
from handrail.errors import Forbidden, InvalidInput
from handrail.identity import YOU
from handrail.kinds import Kind
from handrail.policy.document import LARGEST
from handrail.sessions.budgets import scope
from handrail.sessions.rooms import NewSession
from handrail.store import approvals, prompts, tasks
from handrail.store import rail as rails
from handrail.store import sessions as rows
from handrail.store.approvals import ApprovalRow
from handrail.store.prompts import PromptRow
from handrail.store.rail import Rail
from handrail.store.sessions import SessionRow, Standing
from handrail.store.subscription import Subscription
from handrail.types import Event, Permissions, Role, SandboxKind, SessionId, SessionState
from handrail.workspaces.sample import sample

MOST_EVENTS = 2000
"""events in one page"""
MOST_SESSIONS = 1000
MOST_TOOLS = 20
MOST_SCOPES = 20
LONGEST_PLACE = 300


class Wanted(Struct, frozen=True):
    """A session as a caller words it: nothing is checked yet. With `prompt` it starts, with `goal` it is handed off."""

    repository: str
    agent: str = "handrail"
    provider: str | None = None
    model: str | None = None
    ref: str | None = None
    sandbox: str | None = None
    permissions: str | None = None
    include_uncommitted: bool = False
    title: str | None = None
    policy: str | None = None
    tools: tuple[str, ...] = ()
    network: tuple[str, ...] = ()
    login: bool = False
    secrets: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    turn_budget_usd: str | None = None
    untrusted: bool = False
    prompt: str | None = None
    goal: values.GoalSpec | None = None


class Seen(Struct, frozen=True):
    """A session as a face shows it: its row, and what stands beside it."""

    row: SessionRow
    queued: int
    last_seq: int
    approvals: tuple[ApprovalRow, ...]


async def create(desk: Desk, actor: Actor, wanted: Wanted) -> Seen:
    """Make a session; all that can be judged is judged before anything is made.

    Raises:
        InvalidInput: a value cannot be used.
        MissingPart: the agent, git or the sandbox is not installed.
        SandboxError: the walls do not hold here.
    """
    authorise(actor, Permission.SESSIONS_WRITE)
    if actor.only is not None:
        await _may_start(desk, actor, wanted)
    limit = desk.config.prompt_limit
    if wanted.prompt is not None and wanted.goal is not None:
        raise InvalidInput("goal", wanted.goal.text, "give a prompt or a goal, not both")
    prompt = None if wanted.prompt is None else values.text("prompt", wanted.prompt, limit)
    goal = None if wanted.goal is None else values.goal(wanted.goal, limit)
    if len(wanted.scopes) > MOST_SCOPES:
        raise InvalidInput("scopes", f"{len(wanted.scopes)} scopes", f"give at most {MOST_SCOPES}")
    if len(wanted.tools) > MOST_TOOLS:
        raise InvalidInput("tools", f"{len(wanted.tools)} directories", f"give at most {MOST_TOOLS}")
    new = NewSession(
        repository=values.path("repository", wanted.repository),
        agent=values.text("agent", wanted.agent, 200),
        provider=None if wanted.provider is None else values.text("provider", wanted.provider, 200),
        model=None if wanted.model is None else values.text("model", wanted.model, 200),
        ref=values.revision("ref", wanted.ref),
        sandbox=values.choice("sandbox", wanted.sandbox or desk.config.sandbox, SandboxKind),
        permissions=(
            None if wanted.permissions is None else values.choice("permissions", wanted.permissions, Permissions)
        ),
        include_uncommitted=wanted.include_uncommitted,
        title=values.title("title", wanted.title),
        policy=None if wanted.policy is None else values.text("policy", wanted.policy, LARGEST),
        tools=tuple(values.path(f"tools[{at}]", tool) for at, tool in enumerate(wanted.tools)),
        network=tuple(values.text("network", word, LONGEST_PLACE).strip() for word in wanted.network),
        login=wanted.login,
        goal=goal,
        prompt=prompt,
        secrets=tuple(values.text("secrets", word, LONGEST_PLACE).strip() for word in wanted.secrets),
        scopes=tuple(scope("scopes", word) for word in wanted.scopes),
        turn_budget=None if wanted.turn_budget_usd is None else values.money("turn_budget_usd", wanted.turn_budget_usd),
        untrusted=wanted.untrusted,
    )
    return await _seen(desk, await desk.sessions.create(new, actor.name))


async def sample_project(desk: Desk, actor: Actor) -> str:
    """The path of a small project to try an agent on, which is made where it is not there yet.

    Raises:
        MissingPart: git is not installed.
    """
    authorise(actor, Permission.SESSIONS_WRITE)
    return str(await sample(desk.config.data))


async def show(desk: Desk, actor: Actor, word: str) -> Seen:
    """One session, by its id, a unique beginning of one, or `last`.

    Raises:
        NotFound: none fits.
        InvalidInput: several fit.
    """
    authorise(actor, Permission.SESSIONS_READ)
    return (await _seen_all(desk, [await rows.standing(desk.store, word)]))[0]


async def those(desk: Desk, actor: Actor, of: Collection[SessionId]) -> dict[SessionId, Seen]:
    """Sessions by their ids; one that is not there is left out."""
    authorise(actor, Permission.SESSIONS_READ)
    return {seen.row.id: seen for seen in await _seen_all(desk, await rows.standing_of(desk.store, of))}


async def newest(desk: Desk, actor: Actor, state: str | None = None, limit: int = 100) -> list[Seen]:
    """Sessions, newest first; only those in `state` where it is given."""
    authorise(actor, Permission.SESSIONS_READ)
    wanted = None if state is None else values.choice("state", state, SessionState)
    most = values.count("limit", limit, MOST_SESSIONS)
    return await _seen_all(desk, await rows.newest_standing(desk.store, wanted, most, actor.only))


async def rail(desk: Desk, actor: Actor, limit: int) -> Rail:
    """How much waits for a person, and `limit` sessions at work: those that wait first, then the newest."""
    authorise(actor, Permission.SESSIONS_READ)
    may = actor.permissions
    return await rails.read(
        desk.store,
        actor.only,
        limit,
        effects_too=Permission.EFFECTS_READ in may,
        runs_too=Permission.RUNS_READ in may,
    )


async def window(
    desk: Desk, actor: Actor, seen: Seen, *, after: int, limit: int = MOST_EVENTS, kinds: Collection[Kind] | None = None
) -> list[Event]:
    """Events of a session that was just looked up; those of some kinds alone, where they are named."""
    authorise(actor, Permission.SESSIONS_READ)
    return await desk.store.log.read(seen.row.id, after, values.count("limit", limit, MOST_EVENTS), kinds)


async def events(desk: Desk, actor: Actor, word: str, *, after: int = 0, limit: int = 500) -> tuple[list[Event], int]:
    """Events of a session with a number above `after`, and the number of its last one."""
    authorise(actor, Permission.SESSIONS_READ)
    session = await _find(desk, word)
    found = await desk.store.log.read(session, after, values.count("limit", limit, MOST_EVENTS))
    return found, await desk.store.log.last_seq(session)


async def follow(desk: Desk, actor: Actor, word: str, *, after: int = 0) -> Subscription:
    """The events of a session with a number above `after`, and then each as it is written; the caller closes it."""
    authorise(actor, Permission.SESSIONS_READ)
    session = await _find(desk, word)
    return desk.store.log.subscribe(session, after)


async def watch(
    desk: Desk, actor: Actor, word: str | None = None, *, after: int = 0, unless: Collection[Kind] = ()
) -> Subscription:
    """What a page shows live: what every session appends from now on, and one session's events above `after`.

    Events of the kinds of `unless` need not come of other sessions. It tells as well when rows change that no event
    tells of. The caller closes it.
    """
    authorise(actor, Permission.SESSIONS_READ)
    session = None if word is None else await _find(desk, word)
    return desk.store.log.subscribe(session, after, others=True, unless=unless, rows=True)


def moment(desk: Desk) -> str:
    """Names a moment of this process: two are the same where nothing that pages show was committed between them."""
    return f"{desk.running.pid}-{desk.running.started.timestamp():.3f}-{desk.store.log.moves}"


def shared(desk: Desk) -> bool:
    """Whether other servers may change what pages of this one show; nobody tells them of that."""
    return desk.store.shared


async def queue(desk: Desk, actor: Actor, seen: Seen) -> list[PromptRow]:
    """The prompts that wait for the turn under way, of a session that was just looked up."""
    authorise(actor, Permission.SESSIONS_READ)
    return await prompts.queued(desk.store, seen.row.id) if seen.queued else []


async def prompt(desk: Desk, actor: Actor, word: str, text: str) -> tuple[str, bool]:
    """Send a prompt: its id, and whether it waits for the turn under way.

    Raises:
        Conflict: the session has ended.
    """
    authorise(actor, Permission.SESSIONS_WRITE)
    given = values.text("prompt", text, desk.config.prompt_limit)
    row = await rows.find(desk.store, word)
    came = await desk.sessions.prompt(row.id, given, actor.name)
    await unseen.note(desk, actor, row)
    return came


async def withdraw(desk: Desk, actor: Actor, word: str, prompt_id: str) -> None:
    """Take back a prompt that still waits.

    Raises:
        Conflict: it was taken up already.
    """
    authorise(actor, Permission.SESSIONS_WRITE)
    await desk.sessions.withdraw(await _find(desk, word), prompt_id, actor.name)


async def cancel(desk: Desk, actor: Actor, word: str) -> None:
    """Cancel the turn under way.

    Raises:
        Conflict: there is none.
    """
    authorise(actor, Permission.SESSIONS_WRITE)
    await desk.sessions.cancel(await _find(desk, word), actor.name)


async def handoff(desk: Desk, actor: Actor, word: str, goal: values.GoalSpec) -> Seen:
    """Hand control to the agent until the goal is reached or a limit is met."""
    authorise(actor, Permission.SESSIONS_WRITE)
    judged = values.goal(goal, desk.config.prompt_limit)
    session = await _find(desk, word)
    await desk.sessions.handoff(session, judged, actor.name)
    task = await tasks.of_session(desk.store, session)
    if task is not None and task.state is TaskState.TAKEN:
        await desk.runs.give_back(task.id, actor.name)
    return await _seen(desk, session)


async def take(desk: Desk, actor: Actor, word: str) -> Seen:
    """Take control back: the turn under way is cancelled, what was made stays."""
    authorise(actor, Permission.SESSIONS_WRITE)
    session = await _find(desk, word)
    task = await tasks.of_session(desk.store, session)
    if task is not None and task.state in (TaskState.RUNNING, TaskState.PARKED):  # its run must not wait for nobody
        await desk.runs.take(task.id, actor.name)
    else:
        await desk.sessions.take(session, actor.name)
    return await _seen(desk, session)


async def end(desk: Desk, actor: Actor, word: str) -> Seen:
    """Close a session for good."""
    authorise(actor, Permission.SESSIONS_WRITE)
    row = await rows.find(desk.store, word)
    await unseen.note(desk, actor, row)
    await desk.sessions.end(row.id, actor.name)
    return await _seen(desk, row.id)


async def _may_start(desk: Desk, actor: Actor, wanted: Wanted) -> None:
    """Keep a member to what an owner opened: a session must not reach what is the owner's, as a bare one would.

    Raises:
        Forbidden: the session would.
    """
    authorise(actor, Permission.SESSIONS_WRITE)
    asked = {
        "without walls": (wanted.sandbox or desk.config.sandbox) == SandboxKind.NONE,
        "with the owner's login": wanted.login,
        "with directories of this machine (tools)": bool(wanted.tools),
        "with secrets": bool(wanted.secrets),
        "from an owner's uncommitted files": wanted.include_uncommitted,
        "at another's expense (scopes)": bool(wanted.scopes),
    }
    for how in (words for words, so in asked.items() if so):
        raise Forbidden(f"{actor.name} may not start a session {how}: {OWNERS}.")
    owners = [YOU, *(row.name for row in desk.roll.everybody() if row.role is Role.OWNER)]
    place = str(values.path("repository", wanted.repository))
    if place not in await rows.places(desk.store, owners):
        where = f"{place!r}: no owner has started one there"
        raise Forbidden(f"{actor.name} may not start a session in {where}. Ask an owner to start the first one.")


async def _find(desk: Desk, word: str) -> SessionId:
    return (await rows.find(desk.store, word)).id


async def _seen(desk: Desk, session: SessionId) -> Seen:
    return (await _seen_all(desk, [await rows.standing(desk.store, session)]))[0]


async def _seen_all(desk: Desk, found: Sequence[Standing]) -> list[Seen]:
    """Sessions with their open questions, in one more query where there are any."""
    asking = [one.row.id for one in found if one.asks]
    asked: dict[SessionId, list[ApprovalRow]] = {}
    for item in await approvals.open_of(desk.store, *asking) if asking else ():
        asked.setdefault(item.session, []).append(item)
    return [Seen(one.row, one.queued, one.last_seq, tuple(asked.get(one.row.id, ()))) for one in found]
