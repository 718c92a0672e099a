"""What runs are made with: the rooms below, and the two seams to what carries effects and brings repositories."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from typing import Protocol

from msgspec import Struct, field

from handrail.config import Config
from handrail.notify import Notice
from handrail.runs.plan import Target
from handrail.runs.verdict import Pace
from handrail.sessions.supervisor import Sessions
from handrail.store.effects import EffectRow
from handrail.store.engine import Store
from handrail.store.log import Write
from handrail.types import Json, now


class Carried(Struct, frozen=True):
    """An effect that was carried out, or found to have been; `receipt` proves it."""

    receipt: Json


class Refused(Struct, frozen=True):
    """An effect that was not carried out.

    Args:
        cause: a stable word.
        reason: a sentence.
        passing: another try may succeed, with nothing changed.
        wait: seconds after which that is worth it, where it is known.
        waits: it is under way elsewhere, and its end is looked for after `wait`; that is no try.
    """

    cause: str
    reason: str
    passing: bool = False
    wait: float | None = None
    waits: bool = False


class Carrier(Protocol):
    """Carries effects out, each at most once however often it is asked."""

    async def carry(self, effect: EffectRow, source: Path) -> Carried | Refused:
        """Carry out an effect; `source` is the bare repository that holds its commits."""
        ...


class Brought(Struct, frozen=True):
    """A checkout of a target.

    Args:
        path: of it.
        ref: the revision to begin from; None is its HEAD.
        foreign: that is the head of a pull request, which anybody may have written.
    """

    path: Path
    ref: str | None
    foreign: bool = False


class Sources(Protocol):
    """Brings the repositories of a run to this machine."""

    async def bring(self, target: Target) -> Brought:
        """A checkout of the target.

        Raises:
            InvalidInput: there is no such repository.
            HandrailError: it could not be brought here.
        """
        ...


class Rooms(Struct, frozen=True):
    """The rooms that runs use."""

    config: Config
    store: Store
    sessions: Sessions
    carrier: Carrier
    sources: Sources
    tell: Callable[[Notice, str, tuple[str, ...]], tuple[Write, ...]] = lambda _notice, _key, _to: ()
    """how people are told: of what, once for which key, over which channels (none named: all)"""
    clock: Callable[[], datetime] = now
    pace: Pace = field(default_factory=Pace)
