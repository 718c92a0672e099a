"""Sessions over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from starlette.responses import Response

from handrail.commands import branching, sessions
from handrail.commands.sessions import MOST_EVENTS, MOST_SESSIONS, Wanted
from handrail.errors import InvalidInput
from handrail.types import Json
from handrail.web import stream as streams
from handrail.web import views
from handrail.web.table import Call, Entry, Query

if TYPE_CHECKING:
    from handrail.web.bodies import BranchBody, GoalBody, PromptBody, SessionBody

_MOST_SEQ = (1 << 53) - 1


async def create(call: Call, body: SessionBody) -> Json:
    """Make a session."""
    lists = ("tools", "network", "secrets", "scopes")
    given = body.model_dump(exclude={"goal", *lists}) | {name: tuple(getattr(body, name)) for name in lists}
    goal = None if body.goal is None else body.goal.spec()
    wanted = Wanted(**given, goal=goal)
    return views.session(await sessions.create(call.desk, call.actor, wanted))


async def branch(call: Call, body: BranchBody) -> Json:
    """Begin a session where another one was."""
    seen = await branching.branch(call.desk, call.actor, call.path("id"), body.turn, body.title)
    return views.session(seen)


async def newest(call: Call) -> Json:
    """List sessions."""
    limit = call.number("limit", 100, least=1, most=MOST_SESSIONS)
    found = await sessions.newest(call.desk, call.actor, call.text("state"), limit)
    return {"sessions": [views.session(seen) for seen in found]}


async def show(call: Call) -> Json:
    """One session."""
    return views.session(await sessions.show(call.desk, call.actor, call.path("id")))


async def events(call: Call) -> Json:
    """A page of the log."""
    after = call.number("after", 0, most=_MOST_SEQ)
    limit = call.number("limit", 500, least=1, most=MOST_EVENTS)
    found, last = await sessions.events(call.desk, call.actor, call.path("id"), after=after, limit=limit)
    return {"events": [views.event(event) for event in found], "last_seq": last}


async def stream(call: Call) -> Response:
    """The log, live."""
    after = call.number("after", 0, most=_MOST_SEQ)
    given = call.request.headers.get("last-event-id")
    if given:
        if not (given.isascii() and given.isdigit() and int(given[:20]) <= _MOST_SEQ):
            raise InvalidInput("Last-Event-ID", given, "send the number of the last event that you have")
        after = int(given)
    subscription = await sessions.follow(call.desk, call.actor, call.path("id"), after=after)
    return streams.response(subscription, call.request.app.state.closing)


async def prompt(call: Call, body: PromptBody) -> Json:
    """Send a prompt."""
    identity, queued = await sessions.prompt(call.desk, call.actor, call.path("id"), body.text)
    return {"prompt": identity, "queued": queued}


async def withdraw(call: Call) -> Json:
    """Take back a queued prompt."""
    await sessions.withdraw(call.desk, call.actor, call.path("id"), call.path("prompt"))
    return {"prompt": call.path("prompt"), "withdrawn": True}


async def cancel(call: Call) -> Json:
    """Cancel the turn."""
    await sessions.cancel(call.desk, call.actor, call.path("id"))
    return {"cancelling": True}


async def handoff(call: Call, body: GoalBody) -> Json:
    """Hand off."""
    return views.session(await sessions.handoff(call.desk, call.actor, call.path("id"), body.spec()))


async def take(call: Call) -> Json:
    """Take control."""
    return views.session(await sessions.take(call.desk, call.actor, call.path("id")))


async def end(call: Call) -> Json:
    """End a session."""
    return views.session(await sessions.end(call.desk, call.actor, call.path("id")))


_AFTER = Query("after", "integer", "number of the last event that the caller has")
_TAG = "sessions"
TABLE = (
    Entry(
        "POST", "/sessions", _TAG, "Make a session in a workspace of its own; start or hand it off.",
        create, "Session", body="SessionBody", status=201, problems=(424, 502, 503, 507),
    ),
    Entry(
        "POST", "/sessions/{id}/branch", _TAG, "Begin a session from where another one was after a turn.",
        branch, "Session", body="BranchBody", body_optional=True, status=201, problems=(404, 409, 503, 507),
    ),
    Entry(
        "GET", "/sessions", _TAG, "List sessions, newest first.", newest, "SessionList",
        query=(
            Query("state", "string", "only sessions in this state: idle, running, waiting or ended"),
            Query("limit", "integer", f"how many at the most, up to {MOST_SESSIONS}"),
        ),
    ),
    Entry(
        "GET", "/sessions/{id}", _TAG, "Show one session; the id may be a unique beginning of one, or `last`.",
        show, "Session", problems=(404,),
    ),
    Entry(
        "GET", "/sessions/{id}/events", _TAG, "Read a page of a session's log.", events, "EventPage",
        query=(_AFTER, Query("limit", "integer", f"how many at the most, up to {MOST_EVENTS}")), problems=(404,),
    ),
    Entry(
        "GET", "/sessions/{id}/stream", _TAG, "Follow a session's log as server-sent events; Last-Event-ID wins.",
        stream, "EventStream", query=(_AFTER,), problems=(404,),
    ),
    Entry(
        "POST", "/sessions/{id}/prompts", _TAG, "Send a prompt, or queue it while a turn is under way.",
        prompt, "Prompted", body="PromptBody", status=202, problems=(404, 409, 502, 503, 507),
    ),
    Entry(
        "DELETE", "/sessions/{id}/prompts/{prompt}", _TAG, "Take back a queued prompt.",
        withdraw, "Withdrawn", problems=(404, 409),
    ),
    Entry(
        "POST", "/sessions/{id}/cancel", _TAG, "Cancel the turn under way.",
        cancel, "Cancelling", status=202, problems=(404, 409),
    ),
    Entry(
        "POST", "/sessions/{id}/handoff", _TAG, "Hand a session off with a goal.",
        handoff, "Session", body="GoalBody", problems=(404, 409, 507),
    ),
    Entry(
        "POST", "/sessions/{id}/take", _TAG, "Take control back; the turn under way is cancelled, nothing is lost.",
        take, "Session", problems=(404, 409),
    ),
    Entry("POST", "/sessions/{id}/end", _TAG, "End a session for good.", end, "Session", problems=(404, 409)),
)  # fmt: skip
