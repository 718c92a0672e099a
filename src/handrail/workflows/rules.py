"""The rule of a schedule: when it is due, and what becomes of a tick that nobody saw, or that meets a run."""

from __future__ import annotations

from datetime import timedelta
from enum import StrEnum

from msgspec import Struct

from handrail.workflows.cron import Cron


class CatchUp(StrEnum):
    """What happens to ticks that came due while nobody was there."""

    NONE = "none"  # they are missed
    LATEST = "latest"  # the last of them fires
    ALL = "all"  # each of them fires, in order


class Overlap(StrEnum):
    """What happens to a tick while a run of the same workflow goes on."""

    SKIP = "skip"  # it is skipped
    QUEUE = "queue"  # its run waits for the one before
    CANCEL_RUNNING = "cancel_running"  # the run before is cancelled


class Rule(Struct, frozen=True):
    """One schedule of a workflow.

    Args:
        cron: when it is due.
        catch_up: what happens to missed ticks.
        lateness: no tick fires later than this after its due time.
        overlap: what happens while a run goes on.
    """

    cron: Cron
    catch_up: CatchUp = CatchUp.LATEST
    lateness: timedelta = timedelta(hours=24)
    overlap: Overlap = Overlap.SKIP
