"""The tables. Money is nano-dollars, times are aware UTC. `migrations/` brings older databases to what stands here."""

from __future__ import annotations

from enum import StrEnum

from sqlalchemy import (
    Boolean,
    Column,
    Float,
    ForeignKey,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    String,
    Table,
    Text,
    UniqueConstraint,
)
from sqlalchemy.types import JSON

from handrail.store.columns import Big, GoalColumn, UtcDateTime, Word
from handrail.types import Control, Outcome, Period, Permissions, Role, SandboxKind, SessionState

SCHEMA = "0002"
"""The newest revision in `migrations/versions`: what `metadata` describes. Revisions sort as text."""


class PromptState(StrEnum):
    """Where a prompt that was given is now."""

    QUEUED = "queued"
    TAKEN = "taken"
    WITHDRAWN = "withdrawn"


class ApprovalState(StrEnum):
    """Whether a question still waits."""

    OPEN = "open"
    ANSWERED = "answered"
    VOID = "void"  # its turn ended without an answer


class Then(StrEnum):
    """What happens to a question at its deadline."""

    PARK = "park"  # it goes on waiting
    DENY = "deny"  # it is answered with deny
    ESCALATE = "escalate"  # it goes on waiting, and its people are told again and louder


class Delivery(StrEnum):
    """Where a message of the outbox is now."""

    PENDING = "pending"
    SENDING = "sending"  # handed to a far side that would not know it again
    SENT = "sent"
    DEAD = "dead"  # it was given up; the row says why
    MOOT = "moot"  # what it asks was answered before it left


# names that do not depend on the database, so that a later migration can drop a constraint anywhere
# (https://alembic.sqlalchemy.org/en/latest/naming.html)
metadata = MetaData(
    naming_convention={
        "ix": "ix_%(table_name)s_%(column_0_N_name)s",
        "uq": "uq_%(table_name)s_%(column_0_N_name)s",
        "fk": "fk_%(table_name)s_%(column_0_N_name)s",
        "pk": "pk_%(table_name)s",
    }
)

_JSON = JSON(none_as_null=True)


def _session() -> Column[str]:
    return Column("session", String, ForeignKey("sessions.id"), nullable=False)


sessions = Table(
    "sessions",
    metadata,
    Column("id", String, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("key", String),
    Column("title", Text, nullable=False),
    Column("by", String, nullable=False),
    Column("agent", String, nullable=False),
    Column("provider", String),
    Column("model", String),
    Column("repository", Text, nullable=False),
    Column("workspace", Text, nullable=False),
    Column("base", String, nullable=False),
    Column("repository_key", String, nullable=False),
    Column("branch", String, nullable=False),
    Column("sandbox", Word(SandboxKind), nullable=False),
    Column("holds", _JSON, nullable=False),
    Column("tools", _JSON, nullable=False),
    Column("network", _JSON, nullable=False),
    Column("login", Boolean, nullable=False),
    Column("secrets", _JSON, nullable=False),
    Column("untrusted", Boolean, nullable=False),
    Column("set_aside", _JSON, nullable=False),
    Column("permissions", Word(Permissions)),
    Column("policy", Text),
    Column("scopes", _JSON, nullable=False),
    Column("turn_budget_nano", Big),
    Column("wrap_told", Boolean, nullable=False),
    Column("control", Word(Control), nullable=False),
    Column("state", Word(SessionState), nullable=False),
    Column("outcome", Word(Outcome)),
    Column("outcome_reason", Text),
    Column("seen", UtcDateTime),  # when a person said that they know of its outcome
    Column("turn", Integer, nullable=False),
    Column("goal", GoalColumn),
    Column("goal_set", UtcDateTime),
    Column("goal_turns", Integer, nullable=False),
    Column("goal_seconds", Float, nullable=False),
    Column("goal_prompted", Boolean, nullable=False),
    Column("goal_spent_nano", Big, nullable=False),
    Column("cost_nano", Big, nullable=False),
    Column("unpriced", Integer, nullable=False),
    Column("input_tokens", Big, nullable=False),
    Column("cached_tokens", Big, nullable=False),
    Column("output_tokens", Big, nullable=False),
    Column("agent_session", String),
    Column("agent_capabilities", _JSON),
    Column("epoch", Integer, nullable=False),
    Column("server", String, nullable=False),  # on whose disk its workspace is
    Column("created", UtcDateTime, nullable=False),
    Column("updated", UtcDateTime, nullable=False),
    UniqueConstraint("number"),
    UniqueConstraint("key"),
    Index("ix_sessions_state", "state"),
    Index("ix_sessions_outcome", "outcome"),
)

events = Table(
    "events",
    metadata,
    Column("session", String, ForeignKey("sessions.id"), primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("time", UtcDateTime, nullable=False),
    Column("turn", Integer),
    Column("kind", String, nullable=False),
    Column("data", JSON, nullable=False),
)

turns = Table(
    "turns",
    metadata,
    Column("session", String, ForeignKey("sessions.id"), primary_key=True),
    Column("turn", Integer, primary_key=True, autoincrement=False),
    Column("text", Text, nullable=False),
    Column("by", String, nullable=False),
    Column("snapshot", String),
    Column("started", UtcDateTime, nullable=False),
    Column("ended", UtcDateTime),
    Column("seconds", Float),  # by a clock that nobody sets; started and ended are told by the wall
    Column("stop_reason", String),
    Column("error", Text),
    Column("cost_nano", Big, nullable=False),
    Column("unpriced", Integer, nullable=False),
)

prompts = Table(
    "prompts",
    metadata,
    Column("id", String, primary_key=True),
    _session(),
    Column("text", Text, nullable=False),
    Column("by", String, nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Column("state", Word(PromptState), nullable=False),
    Column("position", Integer, nullable=False),
    UniqueConstraint("session", "position"),
)

approvals = Table(
    "approvals",
    metadata,
    Column("id", String, primary_key=True),
    _session(),
    Column("turn", Integer),
    Column("call", String, nullable=False),
    Column("title", Text, nullable=False),
    Column("tool", String, nullable=False),
    Column("input", _JSON),
    Column("diffs", _JSON, nullable=False),
    Column("options", _JSON, nullable=False),
    Column("signature", Text, nullable=False),
    Column("why", Text, nullable=False),
    Column("asked", UtcDateTime, nullable=False),
    Column("deadline", UtcDateTime),
    Column("then", Word(Then), nullable=False),
    Column("due", UtcDateTime),
    Column("released", UtcDateTime),
    Column("escalations", Integer, nullable=False),
    Column("state", Word(ApprovalState), nullable=False),
    Column("decision", String),
    Column("option", String),
    Column("by", String),
    Column("because", Text),
    Column("answered", UtcDateTime),
    Column("used", Boolean, nullable=False),
    Index("ix_approvals_session_state", "session", "state"),
    Index("ix_approvals_state", "state"),
    Index("ix_approvals_due", "due"),
)

outbox = Table(
    "outbox",
    metadata,
    Column("id", Big, primary_key=True),
    Column("key", String, nullable=False),
    Column("channel", String, nullable=False),
    Column("notice", _JSON, nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Column("state", Word(Delivery), nullable=False),
    Column("tries", Integer, nullable=False),
    Column("due", UtcDateTime),
    Column("ended", UtcDateTime),
    Column("error", Text),
    UniqueConstraint("key", "channel"),
    Index("ix_outbox_due", "due"),
)

links = Table(
    "links",
    metadata,
    Column("nonce", String, primary_key=True),
    Column("approval", String, nullable=False),
    Column("used", UtcDateTime, nullable=False),
)

calls = Table(
    "calls",
    metadata,
    Column("id", Big, primary_key=True),
    _session(),
    Column("turn", Integer),
    Column("time", UtcDateTime, nullable=False),
    Column("provider", String, nullable=False),
    Column("wire", String, nullable=False),
    Column("model", String, nullable=False),
    Column("status", Integer, nullable=False),
    Column("input_tokens", Big, nullable=False),
    Column("cached_tokens", Big, nullable=False),
    Column("output_tokens", Big, nullable=False),
    Column("cost_nano", Big),
    Column("partial", Boolean, nullable=False),
    Column("seconds", Float, nullable=False),
    Column("error", Text),
    Index("ix_calls_session", "session"),
)

scopes = Table(
    "scopes",
    metadata,
    Column("scope", String, primary_key=True),
    Column("session", String, ForeignKey("sessions.id"), primary_key=True),
)
"""the same as `sessions.scopes`, to sum by"""

budgets = Table(
    "budgets",
    metadata,
    Column("scope", String, primary_key=True),
    Column("period", Word(Period), primary_key=True),
    Column("money_nano", Big),
    Column("tokens", Big),
    Column("seconds", Float),
    Column("spent", UtcDateTime),
    Column("created", UtcDateTime, nullable=False),
)

prices = Table(
    "prices",
    metadata,
    Column("model", String, primary_key=True),
    Column("input", String, nullable=False),
    Column("output", String, nullable=False),
    Column("cached", String),
    Column("cache_written", String),
    Column("created", UtcDateTime, nullable=False),
)

providers = Table(
    "providers",
    metadata,
    Column("name", String, primary_key=True),
    Column("wire", String, nullable=False),
    Column("base_url", Text, nullable=False),
    Column("model", String),
    Column("key", LargeBinary, nullable=False),
    Column("created", UtcDateTime, nullable=False),
)

secrets = Table(
    "secrets",
    metadata,
    Column("name", String, primary_key=True),
    Column("host", String, nullable=False),
    Column("header", Text, nullable=False),
    Column("permits", _JSON, nullable=False),
    Column("value", LargeBinary, nullable=False),
    Column("created", UtcDateTime, nullable=False),
)

snapshots = Table(
    "snapshots",
    metadata,
    Column("id", Big, primary_key=True),
    _session(),
    Column("turn", Integer, nullable=False),
    Column("commit", String, nullable=False),
    Column("time", UtcDateTime, nullable=False),
    Index("ix_snapshots_session_turn", "session", "turn"),
)

members = Table(
    "members",
    metadata,
    Column("name", String, primary_key=True),
    Column("role", Word(Role), nullable=False),
    Column("link", String),
    Column("link_due", UtcDateTime),
    Column("added", UtcDateTime, nullable=False),
    Column("added_by", String, nullable=False),
    Column("seen", UtcDateTime),
    Column("revoked", UtcDateTime),
)

logins = Table(
    "logins",
    metadata,
    Column("cookie", String, primary_key=True),
    Column("member", String, nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Column("due", UtcDateTime, nullable=False),
)
"""browsers that were let in; cookies and links stand here as SHA-256, which opens nothing"""
