"""What the walls hold on this machine: tried once, in the background, while the server is ready already."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Mapping

from msgspec import Struct

from handrail.errors import HandrailError, MissingPart
from handrail.sandbox import Backend, Guarantee
from handrail.types import SandboxKind

LOG = logging.getLogger("handrail.walls")
PROBING = "probing"


class Held(Struct, frozen=True):
    """What one kind of walls was measured to hold. `detail` is `probing` until that is known, or why it cannot be."""

    kind: SandboxKind
    holds: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    detail: str = ""
    mend: str | None = None

    @property
    def known(self) -> bool:
        """Whether the trial has ended."""
        return self.detail != PROBING

    @property
    def usable(self) -> bool:
        """Whether a session can run inside."""
        return self.known and self.mend is None


class Probes:
    """Tries each kind of walls once.

    Args:
        backends: the kinds there are.
    """

    def __init__(self, backends: Mapping[SandboxKind, Backend]) -> None:
        self._backends = backends
        self._trials: dict[SandboxKind, asyncio.Task[Guarantee]] = {}

    def start(self, kind: SandboxKind) -> None:
        """Begin to try `kind`, unless that was begun."""
        if kind not in self._trials:
            trial = asyncio.create_task(self._backends[kind].probe(), name=f"probe {kind}")
            trial.add_done_callback(_log)
            self._trials[kind] = trial

    async def backend(self, kind: SandboxKind) -> Backend:
        """The walls of `kind`, as soon as they have been tried.

        Raises:
            MissingPart: a program is not installed.
            SandboxError: they do not hold here.
        """
        await self._measured(kind)
        return self._backends[kind]

    async def held(self, kind: SandboxKind) -> Held:
        """Wait for the trial of `kind`, and tell its result."""
        self.start(kind)
        await asyncio.wait({self._trials[kind]})
        return self.now(kind)

    def now(self, kind: SandboxKind) -> Held:
        """What is known of `kind` at this moment; begins to try it."""
        self.start(kind)
        trial = self._trials[kind]
        if not trial.done():
            return Held(kind, detail=PROBING)
        error = trial.exception()
        if error is not None:
            message = (
                error.message if isinstance(error, HandrailError) else "the trial of the walls failed: see the log"
            )
            mend = "install what is missing" if isinstance(error, MissingPart) else "let `handrail doctor` show why"
            return Held(kind, lacks=_names(~Guarantee.NOTHING), detail=message, mend=mend)
        guarantee = trial.result()
        return Held(kind, _names(guarantee), _names(~guarantee))

    async def stop(self) -> None:
        """Give up what is still being tried."""
        for trial in self._trials.values():
            trial.cancel()
        await asyncio.gather(*self._trials.values(), return_exceptions=True)

    async def _measured(self, kind: SandboxKind) -> Guarantee:
        self.start(kind)
        trial = self._trials[kind]
        try:
            # shielded: a caller that goes away must not end the trial for the others
            return await asyncio.shield(trial)
        except BaseException:
            # what was missing may have been installed since, what was in the way be gone: the next caller tries again
            if trial.done() and self._trials.get(kind) is trial:
                del self._trials[kind]
            raise


def _log(trial: asyncio.Task[Guarantee]) -> None:
    error = None if trial.cancelled() else trial.exception()
    if isinstance(error, HandrailError):
        LOG.warning("%s: %s", trial.get_name(), error.message)
    elif error is not None:
        LOG.error("%s failed in a way that nobody foresaw", trial.get_name(), exc_info=error)


def _names(guarantee: Guarantee) -> tuple[str, ...]:
    return tuple(str(flag.name).lower() for flag in Guarantee if flag in guarantee)
