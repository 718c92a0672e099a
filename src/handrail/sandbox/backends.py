"""Every kind of walls by its name."""

from __future__ import annotations

from handrail.sandbox.bubblewrap import BubblewrapBackend
from handrail.sandbox.none import NoneBackend
from handrail.sandbox.seatbelt import SeatbeltBackend
from handrail.types import SandboxKind

AnyBackend = BubblewrapBackend | NoneBackend | SeatbeltBackend


def open_backend(kind: SandboxKind) -> AnyBackend:
    """A backend of this kind: a `Backend` that can also be closed. Keep one for as long as its boxes live."""
    match kind:
        case SandboxKind.BUBBLEWRAP:
            return BubblewrapBackend()
        case SandboxKind.NONE:
            return NoneBackend()
        case SandboxKind.SEATBELT:
            return SeatbeltBackend()
