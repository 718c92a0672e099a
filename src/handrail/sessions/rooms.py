"""What a session is made with: the rooms below, wired once by the composition root."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from datetime import datetime
from pathlib import Path

from msgspec import Struct, field

from handrail.agents.roster import Roster
from handrail.config import Config
from handrail.egress.proxy import Egress
from handrail.egress.vault import Vault
from handrail.gateway.server import Gateway
from handrail.sandbox import Backend
from handrail.sessions.patience import Asking, Patience, Tell
from handrail.store.engine import Store
from handrail.types import Goal, NanoUSD, Permissions, SandboxKind, Scope, SessionId, now


class Rooms(Struct, frozen=True):
    """The rooms that a session uses."""

    config: Config
    store: Store
    roster: Roster
    gateway: Gateway
    backend: Callable[[SandboxKind], Awaitable[Backend]]
    """a probed backend, or MissingPart / SandboxError"""
    egress: Egress
    vault: Vault = field(default_factory=Vault)
    """the secrets that sessions can be given"""
    tell: Tell = lambda _notice, _key: ()
    """how people are told of what waits and what came out"""
    clock: Callable[[], datetime] = now
    """the time that people are told"""
    running: Callable[[], float] = time.monotonic
    """seconds by a clock that is never set: what a goal's time is counted with"""
    settled: Callable[[SessionId], None] = lambda _session: None
    """told of each session that has come to an outcome"""

    @property
    def asking(self) -> Asking:
        """What asking a person needs to know."""
        return Asking(Patience.of(self.config), self.clock, self.tell)


class NewSession(Struct, frozen=True):
    """What a caller says of a session to be."""

    repository: Path
    agent: str = "handrail"
    provider: str | None = None
    model: str | None = None
    ref: str | None = None
    sandbox: SandboxKind = SandboxKind.BUBBLEWRAP
    permissions: Permissions | None = None
    """None: ask while a person holds the session, allow inside the walls while it is handed off"""
    include_uncommitted: bool = False
    title: str | None = None
    policy: str | None = None
    """the session's own policy, as YAML"""
    tools: tuple[Path, ...] = ()
    """tool chains (a virtual environment, a Node prefix) to show read-only inside, their `bin` on PATH"""
    goal: Goal | None = None
    """it is handed off at once"""
    prompt: str | None = None
    """its first turn begins at once"""
    login: bool = False
    """its agent gets a copy of the user's login, and talks to its own vendor in place of the gateway"""
    key: str | None = None
    """whoever makes it finds it again by this, and never makes it twice"""
    after: str | None = None
    """a snapshot of another session of this repository, to go on from; `ref` is where that session began"""
    network: tuple[str, ...] = ()
    """what the agent may reach: registries by name (`pypi`), `host`, `host:port`, `*.host`; nothing by default"""
    secrets: tuple[str, ...] = ()
    """names of secrets that the agent's requests may carry"""
    scopes: tuple[Scope, ...] = ()
    """what it spends together with others (`run:r-1`, `workflow:nightly`, `team:core`); who makes it is added"""
    turn_budget: NanoUSD | None = None
    """cap of each turn"""
    whose: str | None = None
    """whom it belongs to; None for who makes it"""
    branched: tuple[SessionId, int] | None = None
    """the session that it goes on from, and the turn after which: its agent is told what happened up to there"""
    untrusted: bool = False
    """whoever wrote what `ref` names is not trusted: its settings for agents are not used"""
