"""Automation: workflows, runs, tasks, effects, events from outside, ticks."""

from __future__ import annotations

import sqlalchemy as sa
from alembic import op

revision = "0002"
down_revision = "0001"

_TIME = sa.DateTime(timezone=True)
_BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    """Make the tables."""
    _workflows()
    _workflow_versions()
    _arrivals()
    _sources()
    _polls()
    _runs()
    _tasks()
    _run_events()
    _effects()
    _ticks()
    _forges()
    _servers()


def _workflows() -> None:
    op.create_table(
        "workflows",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("origin", sa.Text()),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("enabled", sa.Boolean(), nullable=False),
        sa.Column("trust", sa.String(), nullable=False),
        sa.Column("accepted", sa.Integer(), nullable=False),
        sa.Column("fell", sa.Text()),
        sa.Column("watermark", _TIME),
        sa.Column("created", _TIME, nullable=False),
        sa.Column("updated", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_workflows")),
    )


def _workflow_versions() -> None:
    op.create_table(
        "workflow_versions",
        sa.Column("workflow", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("text", sa.Text(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("created", _TIME, nullable=False),
        sa.Column("rehearsed", _TIME),
        sa.Column("scorecard", sa.JSON()),
        sa.PrimaryKeyConstraint("workflow", "version", name=op.f("pk_workflow_versions")),
        sa.UniqueConstraint("workflow", "number", name=op.f("uq_workflow_versions_workflow_number")),
    )


def _arrivals() -> None:
    op.create_table(
        "arrivals",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("delivery", sa.String(), nullable=False),
        sa.Column("meaning", sa.String(), nullable=False),
        sa.Column("event", sa.String(), nullable=False),
        sa.Column("action", sa.String()),
        sa.Column("sender", sa.String()),
        sa.Column("repository", sa.Text()),
        sa.Column("payload", sa.JSON(), nullable=False),
        sa.Column("received", _TIME, nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_arrivals")),
        sa.UniqueConstraint("source", "delivery", name=op.f("uq_arrivals_source_delivery")),
    )
    op.create_index(op.f("ix_arrivals_meaning"), "arrivals", ["source", "meaning"])
    op.create_index(op.f("ix_arrivals_state"), "arrivals", ["state"])


def _sources() -> None:
    op.create_table(
        "sources",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("created", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_sources")),
    )


def _polls() -> None:
    op.create_table(
        "polls",
        sa.Column("source", sa.String(), nullable=False),
        sa.Column("repository", sa.String(), nullable=False),
        sa.Column("every", sa.Float(), nullable=False),
        sa.Column("due", _TIME, nullable=False),
        sa.Column("seen", sa.JSON(), nullable=False),
        sa.Column("looked", _TIME),
        sa.Column("failures", sa.Integer(), nullable=False),
        sa.Column("error", sa.Text()),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("created", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("source", "repository", name=op.f("pk_polls")),
    )


def _runs() -> None:
    op.create_table(
        "runs",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("workflow", sa.String(), nullable=False),
        sa.Column("version", sa.String(), nullable=False),
        sa.Column("trigger", sa.String(), nullable=False),
        sa.Column("key", sa.String()),
        sa.Column("arrival", sa.String()),
        sa.Column("due", _TIME),
        sa.Column("inputs", sa.JSON(), nullable=False),
        sa.Column("plan", sa.JSON(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("trust", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("outcome", sa.String()),
        sa.Column("reason", sa.Text()),
        sa.Column("seen", _TIME),
        sa.Column("cost_nano", _BIG, nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("server", sa.String()),
        sa.Column("created", _TIME, nullable=False),
        sa.Column("started", _TIME),
        sa.Column("ended", _TIME),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_runs")),
        sa.UniqueConstraint("key", name=op.f("uq_runs_key")),
        sa.UniqueConstraint("number", name=op.f("uq_runs_number")),
    )
    op.create_index(op.f("ix_runs_outcome"), "runs", ["outcome"])
    op.create_index(op.f("ix_runs_state"), "runs", ["state"])
    op.create_index(op.f("ix_runs_workflow_number"), "runs", ["workflow", "number"])


def _tasks() -> None:
    op.create_table(
        "tasks",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("run", sa.String(), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("repository", sa.Text(), nullable=False),
        sa.Column("ref", sa.String()),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("step", sa.String(), nullable=False),
        sa.Column("results", sa.JSON(), nullable=False),
        sa.Column("session", sa.String()),
        sa.Column("outcome", sa.String()),
        sa.Column("cause", sa.String()),
        sa.Column("reason", sa.Text()),
        sa.Column("likeness", sa.String()),
        sa.Column("attempt", sa.Integer(), nullable=False),
        sa.Column("due", _TIME),
        sa.Column("deadline", _TIME),
        sa.Column("cost_nano", _BIG, nullable=False),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("server", sa.String()),
        sa.Column("created", _TIME, nullable=False),
        sa.Column("started", _TIME),
        sa.Column("ended", _TIME),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_tasks")),
        sa.UniqueConstraint("run", "position", name=op.f("uq_tasks_run_position")),
    )
    op.create_index(op.f("ix_tasks_session"), "tasks", ["session"])
    op.create_index(op.f("ix_tasks_state"), "tasks", ["state"])


def _run_events() -> None:
    op.create_table(
        "run_events",
        sa.Column("run", sa.String(), nullable=False),
        sa.Column("seq", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("time", _TIME, nullable=False),
        sa.Column("task", sa.String()),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("data", sa.JSON(), nullable=False),
        sa.PrimaryKeyConstraint("run", "seq", name=op.f("pk_run_events")),
    )


def _effects() -> None:
    op.create_table(
        "effects",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("key", sa.String(), nullable=False),
        sa.Column("session", sa.String()),
        sa.Column("task", sa.String()),
        sa.Column("run", sa.String()),
        sa.Column("workflow", sa.String()),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("forge", sa.String()),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("body", sa.JSON(), nullable=False),
        sa.Column("by", sa.String(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("cause", sa.String()),
        sa.Column("decided_by", sa.String()),
        sa.Column("because", sa.Text()),
        sa.Column("receipt", sa.JSON()),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("due", _TIME),
        sa.Column("epoch", sa.Integer(), nullable=False),
        sa.Column("created", _TIME, nullable=False),
        sa.Column("decided", _TIME),
        sa.Column("carried", _TIME),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_effects")),
        sa.UniqueConstraint("key", name=op.f("uq_effects_key")),
    )
    op.create_index(op.f("ix_effects_session"), "effects", ["session"])
    op.create_index(op.f("ix_effects_state"), "effects", ["state"])
    op.create_index(op.f("ix_effects_task"), "effects", ["task"])


def _ticks() -> None:
    op.create_table(
        "ticks",
        sa.Column("workflow", sa.String(), nullable=False),
        sa.Column("trigger", sa.Integer(), autoincrement=False, nullable=False),
        sa.Column("due", _TIME, nullable=False),
        sa.Column("since", _TIME),
        sa.Column("count", sa.Integer(), nullable=False),
        sa.Column("state", sa.String(), nullable=False),
        sa.Column("reason", sa.Text()),
        sa.Column("run", sa.String()),
        sa.Column("time", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("workflow", "trigger", "due", name=op.f("pk_ticks")),
    )


def _forges() -> None:
    op.create_table(
        "forges",
        sa.Column("name", sa.String(), nullable=False),
        sa.Column("kind", sa.String(), nullable=False),
        sa.Column("url", sa.Text(), nullable=False),
        sa.Column("account", sa.String()),
        sa.Column("settings", sa.JSON(), nullable=False),
        sa.Column("secret", sa.LargeBinary()),
        sa.Column("ends", _TIME),
        sa.Column("trouble", sa.Text()),
        sa.Column("created", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("name", name=op.f("pk_forges")),
    )


def _servers() -> None:
    op.create_table(
        "servers",
        sa.Column("id", sa.String(), nullable=False),
        sa.Column("host", sa.String(), nullable=False),
        sa.Column("pid", sa.Integer(), nullable=False),
        sa.Column("started", _TIME, nullable=False),
        sa.Column("seen", _TIME, nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_servers")),
    )
