"""The words of work that starts by itself: runs, tasks, effects, trust. Values that the rooms of automation share."""

from __future__ import annotations

from enum import StrEnum


class Trust(StrEnum):
    """How far a workflow may act unwatched, from the least to the most (design: words)."""

    SHADOW = "shadow"  # effects are proposed and recorded, none is carried out
    SUPERVISED = "supervised"  # every effect waits for a person
    SAMPLED = "sampled"  # some effects, drawn by chance, wait for a person
    AUTONOMOUS = "autonomous"  # effects are carried out; irreversible ones only where the file names them


class TriggerKind(StrEnum):
    """What starts a run."""

    SCHEDULE = "schedule"
    EVENT = "event"
    MANUAL = "manual"
    REHEARSAL = "rehearsal"  # a past case: effects are recorded, none is carried out


class RunState(StrEnum):
    """What a run is doing now."""

    QUEUED = "queued"  # waits for its turn: overlap, concurrency
    RUNNING = "running"
    STOPPED = "stopped"  # too many of its tasks failed: no further task is begun until it is resumed
    ENDED = "ended"


class TaskState(StrEnum):
    """What a task is doing now."""

    QUEUED = "queued"
    RUNNING = "running"
    PARKED = "parked"  # waits for a person, or until `due`
    TAKEN = "taken"  # a person holds its session; it goes on when it is handed back
    ENDED = "ended"


class Step(StrEnum):
    """The steps of a task, in order."""

    PREPARE = "prepare"
    WORK = "work"
    CHECK = "check"
    PROPOSE = "propose"
    GATE = "gate"
    DELIVER = "deliver"
    REPORT = "report"


class EffectKind(StrEnum):
    """An act on the outside world."""

    PUSH = "push"
    PULL_REQUEST = "pull_request"  # open one, or update the one of the same branch
    COMMENT = "comment"
    REVIEW = "review"  # with line comments
    LABEL = "label"
    STATUS = "status"  # of a commit
    MERGE = "merge"
    ISSUE = "issue"
    MESSAGE = "message"  # to people, through notify
    WEBHOOK = "webhook"
    REPORT = "report"  # a page that Handrail keeps and shows


IRREVERSIBLE = frozenset({EffectKind.MERGE, EffectKind.MESSAGE, EffectKind.WEBHOOK})
"""what never goes unwatched unless a workflow names it"""


class EffectState(StrEnum):
    """Where an effect is now."""

    PROPOSED = "proposed"  # nobody has decided
    WAITING = "waiting"  # a person is asked
    APPROVED = "approved"  # to be carried out
    CARRYING = "carrying"  # under way; what happened is looked up on the forge before it is tried again
    CARRIED = "carried"  # done, with its receipt
    REJECTED = "rejected"  # by a person or by policy
    FAILED = "failed"
    RECORDED = "recorded"  # shadow or rehearsal: it would have been carried out


class ArrivalState(StrEnum):
    """Where an event from outside is now."""

    STORED = "stored"  # to be matched
    WORKED = "worked"  # matched; the runs that it started name it
    IGNORED = "ignored"  # a duplicate in meaning, or an act of our own; `reason` says which


class TickState(StrEnum):
    """What became of one due time of a schedule."""

    FIRED = "fired"
    QUEUED = "queued"  # the run before it has not ended
    SKIPPED = "skipped"  # by the overlap rule
    MISSED = "missed"  # nobody was there, and the catch-up rule lets it go
