"""Whether the sessions of a task stayed within a policy: read from their logs, whether or not their agents asked."""

from __future__ import annotations

from collections.abc import Sequence

from handrail.errors import InvalidInput, NotFound
from handrail.policy import Verdict
from handrail.policy.layers import Policy
from handrail.runs import results
from handrail.runs.acts import Outside, acts, outside
from handrail.store import sessions as session_rows
from handrail.store.engine import Store
from handrail.store.tasks import TaskRow
from handrail.types import Event, SessionId

PAGE = 2000
"""events that are read at once"""
MOST_EVENTS = 200_000


def sessions_of(task: TaskRow) -> list[SessionId]:
    """The sessions of a task, each once."""
    every = [*(stage.session for stage in results.work(task).ended), task.session]
    return list(dict.fromkeys(session for session in every if session is not None))


async def whole_log(store: Store, session: SessionId) -> list[Event]:
    """The whole log of a session.

    Raises:
        InvalidInput: it is too long to be read as one.
    """
    found: list[Event] = []
    while page := await store.log.read(session, after=found[-1].seq if found else 0, limit=PAGE):
        found += page
        if len(found) > MOST_EVENTS:
            raise InvalidInput("session", session, f"its log has more than {MOST_EVENTS} events: take a shorter one")
    return found


async def beyond(store: Store, policy: Policy, sessions: Sequence[SessionId]) -> list[Outside]:
    """What these sessions did or wanted to do that the policy does not let pass without a question.

    A log that is too long to be judged counts as something that it does not; a session that is gone says nothing.
    """
    found: list[Outside] = []
    for session in sessions:
        try:
            place = (await session_rows.get(store, session)).workspace
            found += outside(policy, acts(await whole_log(store, session), place))
        except NotFound:
            continue
        except InvalidInput as error:
            found.append(Outside(f"the log of session {session} is too long", Verdict.ASK, error.message, named=False))
    return found
