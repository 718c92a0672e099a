"""Egress: the one way from inside the walls to the network, for what a session's policy names and nothing else.

`proxy.Egress` serves a listening socket as an HTTP proxy: `CONNECT` for TLS, absolute-form requests for plain HTTP,
and *brokers*, names under `broker.internal` behind which the proxy itself calls an upstream with a secret that nobody
inside ever holds. What it must withstand is told in `docs/explanation/egress.md`. This module holds the shapes.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable
from enum import StrEnum
from typing import ClassVar

from msgspec import Struct, field

from handrail.types import Veiled

BROKERS = ".broker.internal"
"""what a broker's name inside the walls ends in (`internal` is reserved for private use by ICANN)"""


class HostPort(Struct, frozen=True, order=True):
    """A place that may be reached.

    `host` is a lower-case name without a trailing dot, `*.` and a name for everything below that name, or an address
    as `ipaddress` writes it.
    """

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Permit(Struct, frozen=True):
    """One thing that a broker lets through: a method (`*` is any) on paths at or below `path`."""

    method: str
    path: str


class Broker(Veiled, frozen=True):
    """An upstream that the proxy calls itself, with a secret.

    Inside, `http://<name>.broker.internal/x` means `<upstream>/x`. Whatever `header` holds there is replaced.
    """

    veiled: ClassVar = frozenset({"secret"})
    name: str
    upstream: str
    """base URL, `https://host[:port][/path]`; http only where a test or a closed network wants it"""
    header: str
    secret: str
    scheme: str = ""
    """what stands before the secret in the header, such as `Bearer`"""
    permits: tuple[Permit, ...] = (Permit("*", "/"),)

    @property
    def value(self) -> str:
        """The header's real value."""
        return f"{self.scheme} {self.secret}" if self.scheme else self.secret


class Limits(Struct, frozen=True):
    """Caps on one door; bytes, counts and seconds."""

    head_bytes: int = 32 << 10
    """of a request's or a response's head"""
    hello_bytes: int = 64 << 10
    """of a TLS ClientHello"""
    connections: int = 128
    """at a time"""
    up_bytes: int = 1 << 30
    """that one connection sends"""
    down_bytes: int = 8 << 30
    """that one connection receives"""
    head_seconds: float = 15.0
    """for a whole head, and for a whole ClientHello"""
    connect_seconds: float = 15.0
    """for the name, and for the connection to it"""
    idle: float = 300.0
    """without a byte in either direction"""
    seconds: float = 4 * 3600.0
    """for one connection, whatever happens on it"""


Judge = Callable[[HostPort], Awaitable[str | None]]
"""Answers whether a place may be reached, now: None lets it pass, a sentence says why not. It may take its time."""


class Rules(Struct, frozen=True):
    """What one session may reach. Empty rules allow nothing."""

    hosts: frozenset[HostPort] = frozenset()
    brokers: Iterable[Broker] = ()
    """read anew for each request"""
    limits: Limits = field(default_factory=Limits)
    judge: Judge | None = None
    """asked about what is not among `hosts`"""


class Verdict(StrEnum):
    """What became of one attempt."""

    ALLOWED = "allowed"  # told when the connection stands
    DENIED = "denied"  # nothing was opened, or it was cut
    FAILED = "failed"  # allowed, but the other side could not be reached or broke off
    ENDED = "ended"  # an allowed connection is over, with the bytes that it moved


class Decision(Struct, frozen=True):
    """One attempt to reach something, and what was decided.

    `host` is empty and `port` 0 where the attempt was no request at all; `bytes` passed both ways until now.
    """

    host: str
    port: int
    verdict: Verdict
    reason: str
    bytes: int = 0


OnDecision = Callable[[Decision], None]
"""Told of every decision at once; must not block."""
Closer = Callable[[], Awaitable[None]]
Resolver = Callable[[str, int], Awaitable[list[str]]]
"""Name and port to addresses, best first; OSError where there are none. Asked only after the rules said yes."""


class Refused(Exception):
    """An attempt that ends here.

    Args:
        reason: one sentence for the agent, without the platform's name.
        status: of the HTTP answer, where one can still be given.
        host: what was asked for, as far as it is known and printable.
        port: its port; 0 where none is known.
        verdict: denied, or failed where policy had nothing against it.
    """

    def __init__(
        self, reason: str, status: int = 403, host: str = "", port: int = 0, verdict: Verdict = Verdict.DENIED
    ) -> None:
        super().__init__(reason)
        self.reason = reason
        self.status = status
        self.host = host
        self.port = port
        self.verdict = verdict
