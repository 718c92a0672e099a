"""Where one session works: its clone, its walls, its agent process, and what Handrail itself runs inside them."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Sequence
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from handrail.agents import Endpoint, Launch, Login, OnPermission, OnUpdate
from handrail.clean import one_line
from handrail.egress import Judge, OnDecision, Rules
from handrail.egress.vault import environment
from handrail.errors import HandrailError, SandboxError, StorageFull, Unavailable
from handrail.gateway import OnCall, Wire
from handrail.kinds import Kind
from handrail.sandbox import Box, Door
from handrail.sandbox.paths import session_uid
from handrail.sessions import doors, logins
from handrail.sessions.agent import RunningAgent, Start, Transcript, start
from handrail.sessions.goals import CheckResult
from handrail.sessions.models import choose, model_of
from handrail.sessions.patience import Asking
from handrail.sessions.record import Record
from handrail.sessions.rooms import Rooms
from handrail.sessions.rules import CEILING
from handrail.sessions.terms import Terms
from handrail.sessions.walling import Place, walls
from handrail.store import snapshots
from handrail.store.log import Draft, Write
from handrail.types import Check, NanoUSD, SandboxKind, Scope
from handrail.workspaces import Change, Workspace, changes, protect
from handrail.workspaces import snapshots as workspace_snapshots
from handrail.workspaces.brought import take_out
from handrail.workspaces.layout import mirror_of, results_of
from handrail.workspaces.protect import protected_paths
from handrail.workspaces.still import Snapshots

_WIRES = {Wire.ANTHROPIC: "anthropic", Wire.OPENAI: "openai-chat", Wire.GEMINI: "gemini"}
"""what an agent of several wires is told to speak; every OpenAI-compatible provider has Chat, few have Responses"""


class Outside(Struct, frozen=True):
    """Who answers for the network: what may be reached, and who is told of it."""

    judge: Judge
    on_decision: OnDecision


class Workplace:
    """The hands of one session.

    Args:
        rooms: the rooms below.
        record: the session.
    """

    def __init__(self, rooms: Rooms, record: Record) -> None:
        self._rooms = rooms
        self._record = record
        self._box: Box | None = None
        self._box_lock = asyncio.Lock()
        self.fresh = False
        """the workspace was made just now: nothing has run in it"""
        self._snapshots = Snapshots()
        self.folder = session_folder(rooms, record.row.id)
        self.ceiling = rooms.config.data / CEILING
        self.terms = Terms(record, self.ceiling, rooms.vault)
        """the policy that no session can widen"""
        self.transcript = Transcript(self.folder / "acp.jsonl")
        self.spec = rooms.roster.spec(record.row.agent)
        self.agent: RunningAgent | None = None
        self.asks = True
        """the agent must ask before it acts: not everything inside the walls is allowed"""
        self.provider: str | None = None
        """who answers its model calls, once it has been started"""

    @property
    def asking(self) -> Asking:
        """What asking a person needs to know."""
        return self._rooms.asking

    @property
    def workspace(self) -> Workspace:
        """The clone, as its row tells."""
        row, data = self._record.row, self._rooms.config.data
        path, mirror = Path(row.workspace), mirror_of(data, row.repository_key)
        return Workspace(
            path=path,
            repository=Path(row.repository),
            mirror=mirror,
            results=results_of(data, row.repository_key),
            base=row.base,
            branch=row.branch,
            protected=protected_paths(path),
            read_only=(mirror / "objects",),
            untrusted=row.untrusted,
        )

    async def box(self) -> Box:
        """The session's walls, raised on first use.

        Raises:
            SandboxError: they do not hold or something under them was replaced.
        """
        async with self._box_lock:
            if self._box is None:
                row = self._record.row
                workspace = self.workspace
                await protect.verify(workspace)
                backend = await self._rooms.backend(SandboxKind(row.sandbox))
                limits = self.terms.limits()
                await self.terms.hold(backend)
                home = self.folder / "home"
                await asyncio.to_thread(home.mkdir, 0o700, parents=True, exist_ok=True)
                place = Place(
                    workspace.path,
                    home,
                    protected=workspace.protected,
                    read_only=(*workspace.read_only, *self._rooms.roster.read_only(row.agent), *self._tools()),
                    uid=session_uid(row.number),
                )
                self._box = await backend.open(walls(place, limits))
                if self.fresh:
                    self.fresh = False
                    await self._snapshots.begin(workspace)
            return self._box

    async def start_agent(
        self, on_update: OnUpdate, on_permission: OnPermission, on_call: OnCall, outside: Outside
    ) -> RunningAgent:
        """The agent process of this session, started or started again.

        Raises:
            AgentError: it could not be started, or is not installed.
        """
        if self.agent is not None and self.agent.alive:
            return self.agent
        row = self._record.row
        if self._box is not None and self._box.walls.limits != self.terms.limits():
            await self._let_go()  # the policy was changed since, and nothing runs inside
        box = await self.box()
        await self._take_out(box)
        login = logins.fresh(self._rooms.roster, row) if row.login else None
        endpoint = self._endpoint(box, on_call)
        order = Start(
            spec=self.spec,
            launch=self._launch(login or endpoint, box),
            box=box,
            door=self._door(box, outside.judge, outside.on_decision),
            folder=self.folder,
            timeout=self._rooms.config.agent_start,
            asks=self.asks,
            endpoint=endpoint,
            untrusted=row.untrusted,
        )
        try:
            self.agent = await start(order, row.agent_session, self.transcript, on_update, on_permission)
        except BaseException:
            logins.forget(self._rooms.roster, row, box.walls.home)
            raise
        return self.agent

    async def _take_out(self, box: Box) -> None:
        """Where the ref is not trusted, take its settings for agents out again that were brought back meanwhile."""
        if not self._record.row.untrusted:
            return
        try:
            gone = await take_out(self.workspace, box.run, box.walls.home)
        except OSError as error:
            raise SandboxError(f"settings for agents could not be taken out of the workspace: {error}") from error
        if gone:
            named = ", ".join(one_line(name, 100) for name in gone[:5]) + (" and more" if len(gone) > 5 else "")
            text = f"taken out before the agent starts, as the ref is not trusted and it steers agents: {named}"
            await self._record.write(Draft(Kind.NOTICE, {"level": "warning", "text": text}, self._record.row.turn))

    async def paid(self) -> None:
        """Wait until what the agent's ended model calls cost is in the session's row and log.

        Raises:
            StorageFull: it could not be written.
        """
        await self._rooms.gateway.told(self._record.id)

    def budget(self) -> NanoUSD | None:
        """The cap on this session's whole cost: what it had cost at the hand-off and the goal's budget."""
        row = self._record.row
        if row.goal is None or row.goal.limits.budget is None:
            return None
        return NanoUSD(row.goal_spent_nano + row.goal.limits.budget)

    async def run_check(self, check: Check) -> CheckResult:
        """Run one check inside the walls, in a home of its own, without network."""
        box = await self.box()
        result = await box.run(
            ["/bin/bash", "-c", check.command],
            cwd=box.walls.workspace,
            env={"PATH": self.search_path(), "HOME": "/tmp", "CI": "true"},  # noqa: S108  # a fresh tmpfs inside the walls
            limit=self._rooms.config.tool_output_limit,
            timeout=check.timeout,
        )
        return CheckResult(check, result)

    async def snapshot(self, turn: int) -> tuple[list[Draft], tuple[Write, ...]]:
        """Keep the state of the workspace after `turn`, so that the host can read it from then on.

        Returns:
            What is to be written of it. A tree that cannot be captured is said, and stops nothing.

        Raises:
            StorageFull: the disk is full.
        """
        try:
            taken = await self._snapshots.take(self.workspace, self._record.id, self.box, f"turn-{turn}")
        except (StorageFull, Unavailable):
            raise
        except HandrailError as error:
            text = f"no snapshot could be taken after turn {turn}: {error}"
            return [Draft(Kind.NOTICE, {"level": "warning", "text": text}, turn)], ()
        drafts = [Draft(Kind.SNAPSHOT_TAKEN, {"turn": turn, "commit": taken.commit}, turn)]
        if taken.notice:
            drafts.append(Draft(Kind.NOTICE, {"level": "warning", "text": taken.notice}, turn))
        return drafts, (snapshots.insert(self._record.id, turn, taken.commit),)

    async def restore(self, commit: str) -> None:
        """Make the work tree a snapshot again."""
        self._snapshots.forget()
        box = await self.box()
        await workspace_snapshots.restore(self.workspace, self._record.id, box.run, commit)

    async def change(self, base: str | None = None, head: str | None = None) -> Change:
        """What was changed between two commits; by default since the session's base, up to the latest snapshot."""
        latest = await snapshots.latest(self._record.store, self._record.id)
        workspace = self.workspace
        end = head or (latest.commit if latest is not None else workspace.base)
        return await changes.change(workspace.results, base or workspace.base, end)

    async def stop_agent(self, *, kill: bool = False) -> None:
        """End the agent process, if there is one, and its token."""
        agent, self.agent = self.agent, None
        self._rooms.gateway.revoke(self._record.id)
        self.transcript.close()
        if agent is not None:
            await (agent.kill() if kill else agent.stop())
        logins.forget(self._rooms.roster, self._record.row, self.folder / "home")

    async def close(self) -> None:
        """End everything that runs for this session."""
        await self.stop_agent()
        await self._let_go()

    async def _let_go(self) -> None:
        async with self._box_lock:
            box, self._box = self._box, None
        if box is not None:
            await box.close()

    def _endpoint(self, box: Box, on_call: OnCall) -> Endpoint:
        """The gateway, opened for this session; no model of it, where the agent has a login of its own."""
        row = self._record.row
        if row.login:
            grant = self._rooms.gateway.grant(row.id, budget=None, spent=NanoUSD(0), on_call=on_call, models=False)
            return Endpoint(box.door_url(), grant.token)
        provider = choose(self._rooms.gateway.providers, self.spec, row.provider)
        self.provider = provider.name
        grant = self._rooms.gateway.grant(
            row.id,
            provider=provider.name,
            budget=self.budget(),
            spent=NanoUSD(row.cost_nano),
            turn_budget=None if row.turn_budget_nano is None else NanoUSD(row.turn_budget_nano),
            scopes=[Scope(scope) for scope in row.scopes],
            on_call=on_call,
        )
        model = model_of(self.spec, provider, row.model)
        return Endpoint(box.door_url(), grant.token, model, _WIRES[provider.wire])

    def _door(self, box: Box, judge: Judge, on_decision: OnDecision) -> Door:
        """The way to the gateway, and to the network where the session may reach some of it."""
        gateway, vault = self._rooms.gateway, self._rooms.vault
        if not self.terms.opens():
            return gateway.serve
        rules = Rules(brokers=vault.chosen(self.terms.secrets()), judge=judge)
        return doors.door(gateway, self._rooms.egress, rules, on_decision, box.door_url())

    def _launch(self, way: Endpoint | Login, box: Box) -> Launch:
        row = self._record.row
        launch = self._rooms.roster.launch(row.agent, way, box.walls.home, untrusted=row.untrusted)
        path = os.pathsep.join(part for part in (launch.env.get("PATH"), self.search_path()) if part)
        proxy = doors.environment(box.door_url()) if self.terms.opens() else {}
        return replace(launch, env={**environment(self.terms.secrets()), **proxy, **launch.env, "PATH": path})

    def _tools(self) -> Sequence[Path]:
        paths: list[Path] = []
        for text in self._record.row.tools:
            tool = Path(text)
            if not tool.is_dir():
                raise SandboxError(f"tools: {text} is not a directory any more; start a new session without it")
            paths.append(tool)
            paths.extend(_base_of_environment(tool))
        return paths

    def search_path(self) -> str:
        """Where programs are looked for inside: its tool chains first."""
        own = [str(Path(tool) / "bin") for tool in self._record.row.tools]
        return os.pathsep.join([*own, "/usr/local/bin", "/usr/bin", "/bin"])


def session_folder(rooms: Rooms, session: str) -> Path:
    """The session's own folder on the host."""
    return rooms.config.data / "sessions" / session


def _base_of_environment(tool: Path) -> list[Path]:
    """The Python that a virtual environment is made from: its `bin/python` is a link to it."""
    config = tool / "pyvenv.cfg"
    try:
        text = config.read_text("utf-8")
    except (OSError, UnicodeDecodeError):
        return []
    for line in text.splitlines():
        key, _, value = line.partition("=")
        if key.strip() == "home":
            base = Path(value.strip()).parent
            return [] if str(base) in ("/usr", "/") else [base]
    return []
