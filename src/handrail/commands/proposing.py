"""What agents propose: the effects behind the MCP server of a session, kept until a person or a workflow decides."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

from msgspec.structs import replace

from handrail.automation import EffectKind, EffectState
from handrail.clean import one_line
from handrail.commands.forge_shelf import ForgeShelf
from handrail.errors import Conflict, InvalidInput
from handrail.forges import ForgeKind, mcp
from handrail.forges import effects as e
from handrail.gateway.listener import Connection, Request
from handrail.kinds import Kind
from handrail.notify import Notice, Occasion
from handrail.runs.adopt import SUPERSEDED
from handrail.runs.proposals import OF_CHANGE
from handrail.sessions.patience import Tell
from handrail.store import effects as rows
from handrail.store import sessions
from handrail.store.effects import EffectRow
from handrail.store.engine import Store
from handrail.store.log import Draft, Write
from handrail.store.sessions import SessionRow
from handrail.types import Control, Json, SessionId, now
from handrail.workspaces.collect import begun_from
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
            return told(await self.propose(session, kind, given))

        status, body = await mcp.answer(request.body, propose)
        await out.respond(status, body)

    async def propose(self, session: SessionId, kind: EffectKind, given: Json) -> EffectRow:
        """Keep a proposal, or find it: the same one twice is one.

        Raises:
            InvalidInput: it cannot be used as it is, the policy denies it, or too many wait.
        """
        row = await sessions.get(self._store, session)
        forge, body = await self._filled_in(row, kind, given)
        if forge is None and kind in e.AT_FORGE:  # a path, which is the name of no repository at a forge
            body = e.as_json(e.parse(kind, {**body, "repository": "here"})) | {"repository": row.repository}
        else:
            body = e.as_json(e.parse(kind, body))
        number = body.get("number")
        target = str(body.get("channel") or body.get("repository") or row.title) + (f"#{number}" if number else "")
        # a session at work in a run is judged by its run; nobody but a person judges one that is in a person's hands
        judged = row.key is not None and row.control is Control.AGENT
        said = json.dumps([session, kind, body], sort_keys=True).encode("utf-8", "surrogatepass")
        effect = EffectRow(
            id=rows.new_id(), key=f"{session}:{hashlib.sha256(said).hexdigest()}", kind=kind, forge=forge,
            target=target, body=body, by="agent", session=session, created=now(),
            state=EffectState.PROPOSED if judged else EffectState.WAITING,
            reason=None if judged else "what an agent proposes by hand waits for a person",
        )  # fmt: skip
        return await self._keep(row, effect)

    async def _keep(self, session: SessionRow, effect: EffectRow) -> EffectRow:
        there = await rows.of_sessions(self._store, [session.id])
        same = next((one for one in there if one.key == effect.key), None)
        if same is not None and same.cause != SUPERSEDED:
            return same
        waiting = [one for one in there if one.state in {EffectState.PROPOSED, EffectState.WAITING}]
        if len(waiting) >= MOST:
            raise InvalidInput("proposals", len(waiting), "wait until some are decided")
        effect = effect if same is None else replace(effect, id=same.id)
        shown = f"{effect.kind.replace('_', ' ')} in {one_line(effect.target)}"
        text = f"the agent proposes a {shown}: see `handrail effects show {effect.id}`"
        writes: tuple[Write, ...] = ()
        if effect.state is EffectState.WAITING:
            detail = str(effect.body.get("title") or "")
            notice = Notice(Occasion.EFFECT, shown, detail, session.id, session.agent, facts={"effect": effect.id})
            writes = self._tell(notice, f"effect:{effect.id}")
        event = Draft(Kind.NOTICE, {"level": "info", "text": text})
        try:
            guard = rows.propose(effect) if same is None else rows.revive(effect)
            await self._store.log.append(session.id, [event], *writes, guard=guard)
        except Conflict:  # the agent said it twice at once
            pass
        return await rows.by_key(self._store, effect.key) or effect

    async def _filled_in(self, session: SessionRow, kind: EffectKind, given: Json) -> tuple[str | None, Json]:
        """The forge, and the proposal with what Handrail knows better than the agent."""
        if kind not in e.AT_FORGE:
            return None, given
        checkout = Path(session.repository)
        asked = await attempt(["config", "--get", "remote.origin.url"], cwd=checkout, home=Home.THEIRS)
        found = await self._forges.of_remote(asked.out.decode("utf-8", "replace").strip())
        if kind not in OF_CHANGE and (found is None or await self._is_plain(found[0])):
            where = "lies under no forge that is set up here" if found is None else "is plain git"
            mend = f"it {where}, so a change can be kept as a branch and nothing else done: leave it to the person"
            raise InvalidInput("repository", str(checkout), mend)
        body: Json = {**given, "repository": str(checkout) if found is None else found[1]}
        if kind is EffectKind.PULL_REQUEST:
            body["head"] = session.branch
            # what was brought from a forge has no branch checked out
            named = (await find(checkout)).branch or await begun_from(checkout, session.base)
            body.setdefault("base", named or "main")
        if kind is EffectKind.PUSH:
            body["branch"] = session.branch
        if kind in (EffectKind.REVIEW, EffectKind.STATUS):
            body["commit"] = session.base
        return None if found is None else found[0], body

    async def _is_plain(self, forge: str) -> bool:
        return (await self._forges.get(forge)).kind is ForgeKind.GIT


def told(effect: EffectRow) -> str:
    """What an agent is told of its proposal."""
    if effect.state in {EffectState.PROPOSED, EffectState.WAITING}:
        kept = effect.forge is None and effect.kind in OF_CHANGE
        branch = effect.body.get("head") or effect.body.get("branch")
        how = f"; there is no forge, so it becomes the branch {branch}" if kept else ""
        return f"proposed as {effect.id}; a person or the workflow decides{how}"
    why = effect.because or effect.reason
    return f"proposed before as {effect.id}: it is {effect.state}{f' ({one_line(why, 300)})' if why else ''}"
