"""Agents: programs that speak the Agent Client Protocol (ACP).

`catalogue` knows them (one TOML file an agent), `install` fetches the pinned package, `link` speaks ACP with a running
one, `check` tries what it can do, `own` is Handrail's own agent. This module holds only the shapes they share, and
stays light: the own agent imports it in its own process.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import ClassVar, Protocol

from msgspec import Struct, field

from handrail.types import Json, StopReason, Veiled


class Endpoint(Struct, frozen=True):
    """Where an agent finds its model: the gateway's door, and the session's token in place of a key."""

    url: str
    """`http://127.0.0.1:PORT`, without a path"""
    token: str
    model: str | None = None
    wire: str = "anthropic"
    """what the provider behind it speaks: anthropic, openai or gemini; for agents that speak several"""


class Login(Veiled, frozen=True):
    """What an agent talks to its own vendor with instead: a copy of the user's login, to be put into one session."""

    veiled: ClassVar = frozenset({"files", "env"})
    source: str
    """where it was found, for people: a path, or the name of a variable"""
    files: Mapping[str, str] = field(default_factory=dict)
    """path relative to the session's private home → content"""
    env: Mapping[str, str] = field(default_factory=dict)
    model: str | None = None
    """the agent's own choice where None"""


class Launch(Struct, frozen=True):
    """How to start one agent for one session: written to `home` first, then run."""

    argv: tuple[str, ...]
    env: Mapping[str, str]
    files: Mapping[str, str] = field(default_factory=dict)
    """path relative to the private home → content"""
    read_only: tuple[Path, ...] = ()
    """tool chains that must be visible inside the walls"""
    warm: bool = False
    """it is Handrail's own agent, which may be forked from a process that has imported it"""


# --- what an agent says during a turn; `raw` is the update as it came -------------------------------------------------


class Text(Struct, frozen=True):
    """A piece of the agent's answer, or of its thinking."""

    text: str
    thought: bool = False
    message_id: str | None = None


class Diff(Struct, frozen=True):
    """A file as it was and as it becomes; `old` is None for a new file."""

    path: str
    old: str | None
    new: str


class ToolUpdate(Struct, frozen=True):
    """What is known of one tool call after a `tool_call`, a `tool_call_update` or a permission request.

    Fields that the message did not carry are None: the driver folds updates of one `call_id` together.
    """

    call_id: str
    title: str | None = None
    kind: str | None = None
    """ACP's kind: read, edit, delete, move, search, execute, think, fetch, switch_mode, other"""
    status: str | None = None
    """pending, in_progress, completed, failed"""
    input: Json | None = None
    output: str | None = None
    diffs: tuple[Diff, ...] | None = None
    paths: tuple[str, ...] | None = None


class PlanEntry(Struct, frozen=True):
    """One step of the agent's plan."""

    text: str
    status: str
    priority: str | None = None


class Plan(Struct, frozen=True):
    """The agent's plan, whole."""

    entries: tuple[PlanEntry, ...]


class Context(Struct, frozen=True):
    """How full the agent says its context window is, in tokens, and what it thinks it has cost so far (USD)."""

    used: int
    size: int
    cost_usd: float | None = None


class Failure(Struct, frozen=True):
    """A failure that the agent told outside of the turn's result (Codex and Claude: `_meta.jetbrains.air`)."""

    title: str
    category: str
    retrying: bool


class Other(Struct, frozen=True):
    """An update that no face shows (modes, commands, titles, unknown kinds)."""

    kind: str
    raw: Json


Update = Text | ToolUpdate | Plan | Context | Failure | Other


class PermissionOption(Struct, frozen=True):
    """One answer that the agent offers."""

    id: str
    name: str
    kind: str
    """ACP's kind: allow_once, allow_always, reject_once, reject_always"""


class PermissionRequest(Struct, frozen=True):
    """The agent asks before it acts."""

    call: ToolUpdate
    options: tuple[PermissionOption, ...]


class TurnResult(Struct, frozen=True):
    """How a prompt ended. `error` is set whenever the turn must not count as work, however the agent dressed it."""

    stop_reason: StopReason
    error: str | None = None
    error_kind: str | None = None
    """auth, limit, provider, protocol, agent"""
    usage: Json | None = None


class Capabilities(Struct, frozen=True):
    """What the agent advertised at the handshake (advertised, not tried)."""

    name: str
    version: str
    load: bool = False
    resume: bool = False
    close: bool = False
    images: bool = False
    mcp_http: bool = False
    raw: Json = field(default_factory=dict)


OnUpdate = Callable[[Update], None]
"""Called in wire order, synchronously; must not block."""
OnPermission = Callable[[PermissionRequest], Awaitable[str | None]]
"""Returns the id of the chosen option, or None for ACP's `cancelled`."""
OnRaw = Callable[[str, bytes], None]
"""(`in` | `out`, one JSON line): the transcript."""


class Link(Protocol):
    """One ACP connection to one agent process. One prompt at a time."""

    asks: bool
    """whether the agent must ask before it acts (the default); looked at when a session opens and before each prompt"""
    servers: list[Json]
    """the MCP servers that a session is opened with; none by default"""
    meta: Json
    """`_meta` of the requests that open a session; nothing by default"""

    async def initialize(self) -> Capabilities:
        """Shake hands with protocol version 1, advertising neither file system nor terminal.

        Raises:
            AgentError: no answer, another protocol version, or the process ended.
        """
        ...

    async def new_session(self, cwd: Path) -> str:
        """`session/new`, then the catalogue's ask-for-everything mode, verified; returns the agent's own session id."""
        ...

    async def load_session(self, agent_session: str, cwd: Path) -> bool:
        """`session/resume` or `session/load`, as the catalogue says works; replayed updates are dropped.

        Returns False where the agent cannot, refuses, or answers for a session that it does not know.
        """
        ...

    async def prompt(self, text: str) -> TurnResult:
        """`session/prompt` until its stop reason. Never raises for what the agent did wrong: see `TurnResult.error`."""
        ...

    async def cancel(self) -> None:
        """`session/cancel`; open permission requests are answered `cancelled`."""
        ...

    async def close(self) -> None:
        """End the connection (not the process). Idempotent."""
        ...
