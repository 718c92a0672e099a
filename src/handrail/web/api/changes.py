"""Changes over HTTP."""

from __future__ import annotations

from typing import TYPE_CHECKING

from handrail.commands import changes, files
from handrail.types import Json
from handrail.web import views
from handrail.web.table import Call, Entry, Query

if TYPE_CHECKING:
    from handrail.web.bodies import ApplyBody, UndoBody

_MOST_TURN = (1 << 31) - 1


async def diff(call: Call) -> Json:
    """What was changed."""
    return views.change(
        await changes.diff(call.desk, call.actor, call.path("id"), _turn(call, "from_turn"), _turn(call, "to_turn"))
    )


async def undo(call: Call, body: UndoBody) -> Json:
    """Go back."""
    turn, commit = await changes.undo(call.desk, call.actor, call.path("id"), body.to_turn)
    return {"turn": turn, "commit": commit}


async def apply(call: Call, body: ApplyBody) -> Json:
    """Bring it to the checkout."""
    return views.applied(await changes.apply(call.desk, call.actor, call.path("id"), body.mode, body.branch))


async def look(call: Call) -> Json:
    """A folder or a file."""
    turn = _turn(call, "turn")
    return views.looked(await files.look(call.desk, call.actor, call.path("id"), call.text("path") or "", turn))


def _turn(call: Call, name: str) -> int | None:
    return None if call.text(name) is None else call.number(name, 0, most=_MOST_TURN)


_TAG = "changes"
TABLE = (
    Entry(
        "GET", "/sessions/{id}/diff", _TAG, "Show what a session changed, in all or between two turns.", diff, "Change",
        query=(
            Query("from_turn", "integer", "first turn to show"),
            Query("to_turn", "integer", "last turn to show"),
        ),
        problems=(404, 409, 503),
    ),
    Entry(
        "GET", "/sessions/{id}/files", _TAG, "Show a folder or a file of a session, as its last snapshot holds it.",
        look, "Looked",
        query=(
            Query("path", "string", "from the top of the repository; the top itself where it is left out"),
            Query("turn", "integer", "as it was after this turn"),
        ),
        problems=(404,),
    ),
    Entry(
        "POST", "/sessions/{id}/undo", _TAG, "Bring the workspace back to an earlier state.", undo, "Undone",
        body="UndoBody", body_optional=True, problems=(404, 409, 503),
    ),
    Entry(
        "POST", "/sessions/{id}/apply", _TAG, "Bring the change to the checkout, as a branch or uncommitted.",
        apply, "Applied", body="ApplyBody", problems=(404, 409, 503),
    ),
)  # fmt: skip
