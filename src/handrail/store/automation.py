"""The tables of automation: workflows, runs and their tasks, effects, events from outside, ticks.

Each family's rows are read and written by a module of its own name: `workflows`, `runs`, `tasks`, `effects`,
`arrivals`, `polls`, `ticks`, `forges`. Money is nano-dollars, times are aware UTC.
"""

from __future__ import annotations

from sqlalchemy import Boolean, Column, Float, Index, Integer, LargeBinary, String, Table, Text, UniqueConstraint
from sqlalchemy.types import JSON

from handrail.automation import ArrivalState, EffectKind, EffectState, RunState, Step, TaskState, TickState, Trust
from handrail.automation import TriggerKind as Trigger
from handrail.store.columns import Big, UtcDateTime, Word
from handrail.store.tables import metadata
from handrail.types import Outcome

_JSON = JSON(none_as_null=True)

workflows = Table(
    "workflows",
    metadata,
    Column("name", String, primary_key=True),
    Column("source", String, nullable=False),  # file | repository | gallery | session
    Column("origin", Text),  # path, repository or session that it came from
    Column("version", String, nullable=False),  # the version that a new run takes
    Column("enabled", Boolean, nullable=False),
    Column("trust", Word(Trust), nullable=False),  # earned; never above what the file says
    Column("accepted", Integer, nullable=False),  # results accepted in a row
    Column("fell", Text),  # why its trust fell the last time; null since a person raised it
    Column("watermark", UtcDateTime),  # the last due time that was decided; set when it is enabled
    Column("created", UtcDateTime, nullable=False),
    Column("updated", UtcDateTime, nullable=False),
)

workflow_versions = Table(
    "workflow_versions",
    metadata,
    Column("workflow", String, primary_key=True),
    Column("version", String, primary_key=True),  # the first 12 hex digits of its text's SHA-256
    Column("number", Integer, nullable=False),  # counts from 1 within the workflow
    Column("text", Text, nullable=False),
    Column("by", String, nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Column("rehearsed", UtcDateTime),
    Column("scorecard", _JSON),
    UniqueConstraint("workflow", "number"),
)

arrivals = Table(
    "arrivals",
    metadata,
    Column("id", String, primary_key=True),
    Column("source", String, nullable=False),  # the name under which its sender is known here
    Column("delivery", String, nullable=False),  # the sender's own id, or a hash
    Column("meaning", String, nullable=False),  # the same for two deliveries of one thing
    Column("event", String, nullable=False),  # pull_request, push, alert, …
    Column("action", String),
    Column("sender", String),  # who did it, as the source names them
    Column("repository", Text),
    Column("payload", _JSON, nullable=False),
    Column("received", UtcDateTime, nullable=False),
    Column("state", Word(ArrivalState), nullable=False),
    Column("reason", Text),
    UniqueConstraint("source", "delivery"),
    Index("ix_arrivals_meaning", "source", "meaning"),
    Index("ix_arrivals_state", "state"),
)

sources = Table(
    "sources",
    metadata,
    Column("name", String, primary_key=True),
    Column("kind", String, nullable=False),
    Column("settings", _JSON, nullable=False),
    Column("secret", LargeBinary, nullable=False),  # sealed
    Column("created", UtcDateTime, nullable=False),
)

polls = Table(
    "polls",
    metadata,
    Column("source", String, primary_key=True),  # a forge of this name is asked; events bear it as their source
    Column("repository", String, primary_key=True),  # owner/name
    Column("every", Float, nullable=False),  # seconds
    Column("due", UtcDateTime, nullable=False),  # while a server is at it: when another may take it over
    Column("seen", _JSON, nullable=False),  # the watermark: what the next look needs of the last
    Column("looked", UtcDateTime),  # when the last look came to its end
    Column("failures", Integer, nullable=False),  # looks in a row that failed
    Column("error", Text),
    Column("epoch", Integer, nullable=False),  # counts the looks: a server that was too slow writes nothing
    Column("created", UtcDateTime, nullable=False),
)

runs = Table(
    "runs",
    metadata,
    Column("id", String, primary_key=True),
    Column("number", Integer, nullable=False),
    Column("workflow", String, nullable=False),
    Column("version", String, nullable=False),
    Column("trigger", Word(Trigger), nullable=False),
    Column("key", String),  # one run for one cause: `tick:NAME:DUE`, `event:NAME:ARRIVAL`; null for a person's
    Column("arrival", String),
    Column("due", UtcDateTime),
    Column("inputs", _JSON, nullable=False),
    Column("plan", _JSON, nullable=False),  # all that the run needs, as it was at its start
    Column("by", String, nullable=False),
    Column("trust", Word(Trust), nullable=False),
    Column("state", Word(RunState), nullable=False),
    Column("outcome", Word(Outcome)),
    Column("reason", Text),
    Column("seen", UtcDateTime),  # when a person said that they know how it ended, or that it stopped
    Column("cost_nano", Big, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("server", String),  # whose it is; see `servers`
    Column("created", UtcDateTime, nullable=False),
    Column("started", UtcDateTime),
    Column("ended", UtcDateTime),
    UniqueConstraint("number"),
    UniqueConstraint("key"),
    Index("ix_runs_workflow_number", "workflow", "number"),
    Index("ix_runs_state", "state"),
    Index("ix_runs_outcome", "outcome"),
)

tasks = Table(
    "tasks",
    metadata,
    Column("id", String, primary_key=True),
    Column("run", String, nullable=False),
    Column("position", Integer, nullable=False),
    Column("repository", Text, nullable=False),
    Column("ref", String),
    Column("state", Word(TaskState), nullable=False),
    Column("step", Word(Step), nullable=False),
    Column("results", _JSON, nullable=False),  # step → what it gave, written before the next step begins
    Column("session", String),
    Column("outcome", Word(Outcome)),
    Column("cause", String),
    Column("reason", Text),
    Column("likeness", String),  # the same for tasks that ended alike
    Column("attempt", Integer, nullable=False),
    Column("due", UtcDateTime),  # a parked task goes on then by itself
    Column("deadline", UtcDateTime),  # unless its change is there by then, the task is given up
    Column("cost_nano", Big, nullable=False),
    Column("epoch", Integer, nullable=False),
    Column("server", String),  # whose it is; see `servers`
    Column("created", UtcDateTime, nullable=False),
    Column("started", UtcDateTime),
    Column("ended", UtcDateTime),
    UniqueConstraint("run", "position"),
    Index("ix_tasks_state", "state"),
    Index("ix_tasks_session", "session"),
)

run_events = Table(
    "run_events",
    metadata,
    Column("run", String, primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("time", UtcDateTime, nullable=False),
    Column("task", String),
    Column("kind", String, nullable=False),
    Column("data", JSON, nullable=False),
)

effects = Table(
    "effects",
    metadata,
    Column("id", String, primary_key=True),
    Column("key", String, nullable=False),  # idempotency: the same proposal of the same task is one effect
    Column("session", String),
    Column("task", String),
    Column("run", String),
    Column("workflow", String),
    Column("kind", Word(EffectKind), nullable=False),
    Column("forge", String),  # name of the forge, where it takes one
    Column("target", Text, nullable=False),  # owner/name, owner/name#7, a channel, a URL
    Column("body", _JSON, nullable=False),
    Column("by", String, nullable=False),  # agent | workflow | a person's name
    Column("state", Word(EffectState), nullable=False),
    Column("reason", Text),  # why it waits, was rejected or failed
    Column("cause", String),  # a stable word for a failure
    Column("decided_by", String),
    Column("because", Text),
    Column("receipt", _JSON),
    Column("tries", Integer, nullable=False),
    Column("due", UtcDateTime),
    Column("epoch", Integer, nullable=False),
    Column("created", UtcDateTime, nullable=False),
    Column("decided", UtcDateTime),
    Column("carried", UtcDateTime),
    UniqueConstraint("key"),
    Index("ix_effects_state", "state"),
    Index("ix_effects_task", "task"),
    Index("ix_effects_session", "session"),
)

ticks = Table(
    "ticks",
    metadata,
    Column("workflow", String, primary_key=True),
    Column("trigger", Integer, primary_key=True, autoincrement=False),  # which of its schedules
    Column("due", UtcDateTime, primary_key=True),
    Column("since", UtcDateTime),  # of several missed in a row, the first; `due` is the last of them
    Column("count", Integer, nullable=False),
    Column("state", Word(TickState), nullable=False),
    Column("reason", Text),
    Column("run", String),
    Column("time", UtcDateTime, nullable=False),
)

forges = Table(
    "forges",
    metadata,
    Column("name", String, primary_key=True),
    Column("kind", String, nullable=False),  # github | gitlab | gitea | git
    Column("url", Text, nullable=False),
    Column("account", String),  # whose token it is: acts of our own are known by it
    Column("settings", _JSON, nullable=False),
    Column("secret", LargeBinary),  # token or App key, sealed
    Column("ends", UtcDateTime),  # when its credential ends, as it told when it was asked the last time
    Column("trouble", Text),  # why its credential was not taken the last time
    Column("created", UtcDateTime, nullable=False),
)

servers = Table(
    "servers",
    metadata,
    Column("id", String, primary_key=True),  # of its data directory
    Column("host", String, nullable=False),
    Column("pid", Integer, nullable=False),
    Column("started", UtcDateTime, nullable=False),
    Column("seen", UtcDateTime, nullable=False),  # its heartbeat, by the clock of the database
)
