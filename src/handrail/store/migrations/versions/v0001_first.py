"""The first schema."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0001"
down_revision = None

_TIME = sa.DateTime(timezone=True)
_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make every table."""
    _sessions()
    _events()
    _turns()
    _prompts()
    _approvals()
    _calls()
    _budgets()
    _providers()
    _secrets()
    _snapshots()
    _outbox()
    _links()
    _members()


def _sessions() -> None:
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("key", sa.String()),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("agent", sa.String(), nullable=False),
        sa.Column("provider", sa.String()),
        sa.Column("model", sa.String()),
        sa.Column("repository", sa.Text(), nullable=False),
        sa.Column("workspace", sa.Text(), nullable=False),
        sa.Column("base", sa.String(), nullable=False),
        sa.Column("repository_key", sa.String(), nullable=False),
        sa.Column("branch", sa.String(), nullable=False),
        sa.Column("sandbox", sa.String(), nullable=False),
        sa.Column("holds", sa.JSON(), nullable=False),
        sa.Column("tools", sa.JSON(), nullable=False),
        sa.Column("network", sa.JSON(), nullable=False),
        sa.Column("login", sa.Boolean(), nullable=False),
        sa.Column("secrets", sa.JSON(), nullable=False),
        sa.Column("untrusted", sa.Boolean(), nullable=False),
        sa.Column("set_aside", sa.JSON(), nullable=False),
        sa.Column("permissions", sa.String()),
        sa.Column("policy", sa.Text()),
        sa.Column("scopes", sa.JSON(), nullable=False),
        sa.Column("turn_budget_nano", _BIG),
        sa.Column("wrap_told", sa.Boolean(), nullable=False),
        sa.Column("control", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("outcome", sa.String()),
        sa.Column("outcome_reason", sa.Text()),
        sa.Column("seen", _TIME),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("goal", sa.JSON()),
        sa.Column("goal_set", _TIME),
        sa.Column("goal_turns", sa.Integer(), nullable=False),
        sa.Column("goal_seconds", sa.Float(), nullable=False),
        sa.Column("goal_prompted", sa.Boolean(), nullable=False),
        sa.Column("goal_spent_nano", _BIG, nullable=False),
        sa.Column("cost_nano", _BIG, nullable=False),
        sa.Column("unpriced", sa.Integer(), nullable=False),
        sa.Column("input_tokens", _BIG, nullable=False),
        sa.Column("cached_tokens", _BIG, nullable=False),
        sa.Column("output_tokens", _BIG, nullable=False),
        sa.Column("agent_session", sa.String()),
        sa.Column("agent_capabilities", sa.JSON()),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("server", sa.String(), nullable=False),
        sa.Column("created", _TIME, nullable=False),
        sa.Column("updated", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
        sa.UniqueConstraint("number", name=op.f("uq_sessions_number")),
        sa.UniqueConstraint("key", name=op.f("uq_sessions_key")),
    )
    op.create_index(op.f("ix_sessions_outcome"), "sessions", ["outcome"])
    op.create_index(op.f("ix_sessions_state"), "sessions", ["state"])


def _events() -> None:
    op.create_table(
        "events",
        sa.Column("session", sa.String(), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("time", _TIME, nullable=False),
        sa.Column("turn", sa.Integer()),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.ForeignKeyConstraint(["session"], ["sessions.id"], name=op.f("fk_events_session")),
        sa.PrimaryKeyConstraint("session", "seq", name=op.f("pk_events")),
    )


def _turns() -> None:
    op.create_table(
        "turns",
        sa.Column("session", sa.String(), nullable=False),
        sa.Column("turn", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("snapshot", sa.String()),
        sa.Column("started", _TIME, nullable=False),
        sa.Column("ended", _TIME),
        sa.Column("seconds", sa.Float()),
        sa.Column("stop_reason", sa.String()),
        sa.Column("error", sa.Text()),
        sa.Column("cost_nano", _BIG, nullable=False),
        sa.Column("unpriced", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["session"], ["sessions.id"], name=op.f("fk_turns_session")),
        sa.PrimaryKeyConstraint("session", "turn", name=op.f("pk_turns")),
    )


def _prompts() -> None:
    op.create_table(
        "prompts",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("session", sa.String(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("created", _TIME, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(["session"], ["sessions.id"], name=op.f("fk_prompts_session")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_prompts")),
        sa.UniqueConstraint("session", "position", name=op.f("uq_prompts_session_position")),
    )


def _approvals() -> None:
    op.create_table(
        "approvals",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("session", sa.String(), nullable=False),
        sa.Column("turn", sa.Integer()),
        sa.Column("call", sa.String(), nullable=False),
        sa.Column("title", sa.Text(), nullable=False),
        sa.Column("tool", sa.String(), nullable=False),
        sa.Column("input", sa.JSON()),
        sa.Column("diffs", sa.JSON(), nullable=False),
        sa.Column("options", sa.JSON(), nullable=False),
        sa.Column("signature", sa.Text(), nullable=False),
        sa.Column("why", sa.Text(), nullable=False),
        sa.Column("asked", _TIME, nullable=False),
        sa.Column("deadline", _TIME),
        sa.Column("then", sa.String(), nullable=False),
        sa.Column("due", _TIME),
        sa.Column("released", _TIME),
        sa.Column("escalations", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("decision", sa.String()),
        sa.Column("option", sa.String()),
        sa.Column("by", sa.String()),
        sa.Column("because", sa.Text()),
        sa.Column("answered", _TIME),
        sa.Column("used", sa.Boolean(), nullable=False),
        sa.ForeignKeyConstraint(["session"], ["sessions.id"], name=op.f("fk_approvals_session")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_approvals")),
    )
    op.create_index(op.f("ix_approvals_session_state"), "approvals", ["session", "state"])
    op.create_index(op.f("ix_approvals_state"), "approvals", ["state"])
    op.create_index(op.f("ix_approvals_due"), "approvals", ["due"])


def _calls() -> None:
    op.create_table(
        "calls",
        sa.Column("id", _BIG, nullable=False),
        sa.Column("session", sa.String(), nullable=False),
        sa.Column("turn", sa.Integer()),
        sa.Column("time", _TIME, nullable=False),
        sa.Column("provider", sa.String(), nullable=False),
        sa.Column("wire", sa.String(), nullable=False),
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("status", sa.Integer(), nullable=False),
        sa.Column("input_tokens", _BIG, nullable=False),
        sa.Column("cached_tokens", _BIG, nullable=False),
        sa.Column("output_tokens", _BIG, nullable=False),
        sa.Column("cost_nano", _BIG),
        sa.Column("partial", sa.Boolean(), nullable=False),
        sa.Column("seconds", sa.Float(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.ForeignKeyConstraint(["session"], ["sessions.id"], name=op.f("fk_calls_session")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_calls")),
    )
    op.create_index(op.f("ix_calls_session"), "calls", ["session"])


def _budgets() -> None:
    op.create_table(
        "scopes",
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("session", sa.String(), nullable=False),
        sa.ForeignKeyConstraint(["session"], ["sessions.id"], name=op.f("fk_scopes_session")),
        sa.PrimaryKeyConstraint("scope", "session", name=op.f("pk_scopes")),
    )
    op.create_table(
        "budgets",
        sa.Column("scope", sa.String(), nullable=False),
        sa.Column("period", sa.String(), nullable=False),
        sa.Column("money_nano", _BIG),
        sa.Column("tokens", _BIG),
        sa.Column("seconds", sa.Float()),
        sa.Column("spent", _TIME),
        sa.Column("created", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("scope", "period", name=op.f("pk_budgets")),
    )
    op.create_table(
        "prices",
        sa.Column("model", sa.String(), nullable=False),
        sa.Column("input", sa.String(), nullable=False),
        sa.Column("output", sa.String(), nullable=False),
        sa.Column("cached", sa.String()),
        sa.Column("cache_written", sa.String()),
        sa.Column("created", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("model", name=op.f("pk_prices")),
    )


def _providers() -> None:
    op.create_table(
        "providers",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("wire", sa.String(), nullable=False),
        sa.Column("base_url", sa.Text(), nullable=False),
        sa.Column("model", sa.String()),
        sa.Column("key", sa.LargeBinary(), nullable=False),
        sa.Column("created", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_providers")),
    )


def _secrets() -> None:
    op.create_table(
        "secrets",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("header", sa.Text(), nullable=False),
        sa.Column("permits", sa.JSON(), nullable=False),
        sa.Column("value", sa.LargeBinary(), nullable=False),
        sa.Column("created", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_secrets")),
    )


def _snapshots() -> None:
    op.create_table(
        "snapshots",
        sa.Column("id", _BIG, nullable=False),
        sa.Column("session", sa.String(), nullable=False),
        sa.Column("turn", sa.Integer(), nullable=False),
        sa.Column("commit", sa.String(), nullable=False),
        sa.Column("time", _TIME, nullable=False),
        sa.ForeignKeyConstraint(["session"], ["sessions.id"], name=op.f("fk_snapshots_session")),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_snapshots")),
    )
    op.create_index(op.f("ix_snapshots_session_turn"), "snapshots", ["session", "turn"])


def _outbox() -> None:
    op.create_table(
        "outbox",
        sa.Column("id", _BIG, nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("channel", sa.String(), nullable=False),
        sa.Column("notice", sa.JSON(), nullable=False),
        sa.Column("created", _TIME, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("due", _TIME),
        sa.Column("ended", _TIME),
        sa.Column("error", sa.Text()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_outbox")),
        sa.UniqueConstraint("key", "channel", name=op.f("uq_outbox_key_channel")),
    )
    op.create_index(op.f("ix_outbox_due"), "outbox", ["due"])


def _links() -> None:
    op.create_table(
        "links",
        sa.Column("nonce", sa.String(), nullable=False),
        sa.Column("approval", sa.String(), nullable=False),
        sa.Column("used", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("nonce", name=op.f("pk_links")),
    )


def _members() -> None:
    op.create_table(
        "members",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("role", sa.String(), nullable=False),
        sa.Column("link", sa.String()),
        sa.Column("link_due", _TIME),
        sa.Column("added", _TIME, nullable=False),
        sa.Column("added_by", sa.String(), nullable=False),
        sa.Column("seen", _TIME),
        sa.Column("revoked", _TIME),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_members")),
    )
    op.create_table(
        "logins",
        sa.Column("cookie", sa.String(), nullable=False),
        sa.Column("member", sa.String(), nullable=False),
        sa.Column("created", _TIME, nullable=False),
        sa.Column("due", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("cookie", name=op.f("pk_logins")),
    )
