"""What agents propose: the effects behind the MCP server of a session, kept until a person or a workflow decides."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from handrail.automation import EffectKind, EffectState
from handrail.clean import one_line
from handrail.commands.forge_shelf import ForgeShelf
from handrail.errors import InvalidInput
from handrail.forges import effects as e
from handrail.forges import mcp
from handrail.gateway.listener import Connection, Request
from handrail.kinds import Kind
from handrail.notify import Notice, Occasion
from handrail.sessions.patience import Tell
from handrail.store import effects as rows
from handrail.store import sessions
from handrail.store.effects import EffectRow
from handrail.store.engine import Store
from handrail.store.log import Draft
from handrail.store.sessions import SessionRow
from handrail.types import EffectId, Json, SessionId, now
from handrail.workspaces.find import find
from handrail.workspaces.git import Home, attempt

MOST = 50
"""proposals of one session that may wait at once: more would bury who has to read them"""
LONGEST = 1 << 20
"""bytes of one call"""


class Proposing:
    """Takes what agents propose.

    Args:
        store: the database.
        forges: the forges that are set up.
        tell: how people are told of what waits.
    """

    def __init__(self, store: Store, forges: ForgeShelf, tell: Tell) -> None:
        self._store = store
        self._forges = forges
        self._tell = tell

    async def serve(self, session: SessionId, request: Request, out: Connection) -> None:
        """Answer one request at the session's door (see `Gateway.mounted`)."""
        if request.method != "POST":  # no stream of our own is offered
            await out.respond(405, b"{}", [(b"allow", b"POST"), (b"content-type", b"application/json")])
            return
        if len(request.body) > LONGEST:
            await out.respond(413, b"{}")
            return

        async def propose(kind: EffectKind, given: Json) -> str:
            return await self.propose(session, kind, given)

        status, body = await mcp.answer(request.body, propose)
        await out.respond(status, body)

    async def propose(self, session: SessionId, kind: EffectKind, given: Json) -> EffectId:
        """Keep a proposal; the same one twice is one.

        Raises:
            InvalidInput: it cannot be used as it is, or too many wait.
        """
        row = await sessions.get(self._store, session)
        forge, body = await self._filled_in(row, kind, given)
        said = e.parse(kind, body)
        key = hashlib.sha256(json.dumps([session, kind, body], sort_keys=True).encode()).hexdigest()
        number = body.get("number")
        target = str(body.get("channel") or body.get("repository") or row.title) + (f"#{number}" if number else "")
        # a session of a run is judged by its run; nobody but a person judges one that was begun by hand
        state = EffectState.PROPOSED if row.key is not None else EffectState.WAITING
        effect = EffectRow(
            id=EffectId(f"f-{key[:12]}"), key=f"{session}:{key}", kind=kind, forge=forge, target=target,
            body=e.as_json(said), by="agent", session=session, state=state, created=now(),
            reason=None if state is EffectState.PROPOSED else "what an agent proposes by hand waits for a person",
        )  # fmt: skip
        await self._keep(row, effect)
        return effect.id

    async def _keep(self, session: SessionRow, effect: EffectRow) -> None:
        there = await rows.of_sessions(self._store, [session.id])
        if any(one.id == effect.id for one in there):
            return
        waiting = [one for one in there if one.state in {EffectState.PROPOSED, EffectState.WAITING}]
        if len(waiting) >= MOST:
            raise InvalidInput("proposals", len(waiting), "wait until some are decided")
        shown = f"{effect.kind.replace('_', ' ')} in {one_line(effect.target)}"
        text = f"the agent proposes a {shown}: see `handrail effects show {effect.id}`"
        writes = [rows.propose(effect)]
        if effect.state is EffectState.WAITING:
            detail = str(effect.body.get("title") or "")
            notice = Notice(Occasion.EFFECT, shown, detail, session.id, session.agent, facts={"effect": effect.id})
            writes += self._tell(notice, f"effect:{effect.id}")
        await self._store.log.append(session.id, [Draft(Kind.NOTICE, {"level": "info", "text": text})], *writes)

    async def _filled_in(self, session: SessionRow, kind: EffectKind, given: Json) -> tuple[str | None, Json]:
        """The forge, and the proposal with what Handrail knows better than the agent."""
        if kind not in e.AT_FORGE:
            return None, given
        checkout = Path(session.repository)
        asked = await attempt(["config", "--get", "remote.origin.url"], cwd=checkout, home=Home.THEIRS)
        found = await self._forges.of_remote(asked.out.decode("utf-8", "replace").strip())
        if found is None:
            mend = "it lies under no forge that is set up here: leave it to the person"
            raise InvalidInput("repository", str(checkout), mend)
        body: Json = {**given, "repository": found[1]}
        if kind is EffectKind.PULL_REQUEST:
            body["head"] = session.branch
            body.setdefault("base", (await find(checkout)).branch or "main")
        if kind is EffectKind.REVIEW:
            body["commit"] = session.base
        return found[0], body
