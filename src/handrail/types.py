"""The values that every room shares: identifiers, states, goals, events. Frozen, without behaviour."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from enum import StrEnum
from pathlib import Path
from typing import Any, ClassVar, NewType, Protocol

from msgspec import Struct, field

SessionId = NewType("SessionId", str)
ApprovalId = NewType("ApprovalId", str)
RunId = NewType("RunId", str)
TaskId = NewType("TaskId", str)
EffectId = NewType("EffectId", str)
ArrivalId = NewType("ArrivalId", str)
ServerId = NewType("ServerId", str)
NanoUSD = NewType("NanoUSD", int)
"""Money in billionths of a US dollar: sums stay exact."""
Scope = NewType("Scope", str)
"""What sessions spend together, as `kind:name`: `run:r-1`, `workflow:nightly`, `member:alice`, `team:core`."""

Json = dict[str, object]
"""One JSON object as `json.loads` gives it."""


class Veiled(Struct, frozen=True):
    """A value that is printed without the fields in `veiled`: they hold secrets, and what is printed ends in logs."""

    veiled: ClassVar[frozenset[str]] = frozenset()

    def __rich_repr__(self) -> list[tuple[str, Any]]:  # rich prints by this where it prints a traceback's values
        return [(name, getattr(self, name)) for name in self.__struct_fields__ if name not in self.veiled]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({', '.join(f'{name}={value!r}' for name, value in self.__rich_repr__())})"


def now() -> datetime:
    """The time as an aware UTC datetime; the only clock that stored values come from."""
    return datetime.now(UTC)


class Control(StrEnum):
    """Who holds a session between steps."""

    YOU = "you"
    AGENT = "agent"


SCRIPTED = "demo"
"""the provider of a session that no model works in: a script plays, while no key is set up (`gateway.demo`)"""


class SessionState(StrEnum):
    """What a session is doing now."""

    IDLE = "idle"  # nothing runs; it waits for a prompt
    RUNNING = "running"  # a turn is under way
    WAITING = "waiting"  # a turn is parked on an open approval
    ENDED = "ended"  # closed for good; its change can still be read and applied


class Outcome(StrEnum):
    """How handed-off work ended (design: words)."""

    DONE = "done"
    NOTHING_TO_DO = "nothing_to_do"
    NEEDS_PERSON = "needs_person"
    FAILED = "failed"
    BLOCKED = "blocked"
    CANCELLED = "cancelled"
    LOST = "lost"


NEEDS_A_LOOK = frozenset({Outcome.NEEDS_PERSON, Outcome.FAILED, Outcome.BLOCKED, Outcome.LOST})
"""outcomes that somebody should know of: until they said so, they stand in the inbox"""


class Role(StrEnum):
    """What a person may do here."""

    OWNER = "owner"  # everything
    MEMBER = "member"  # start, read and steer what is their own


class SandboxKind(StrEnum):
    """The walls round an agent process."""

    BUBBLEWRAP = "bubblewrap"
    NONE = "none"
    SEATBELT = "seatbelt"


class StopReason(StrEnum):
    """Why a turn ended: ACP's reasons, and those that only a driver can know."""

    END_TURN = "end_turn"
    MAX_TOKENS = "max_tokens"
    MAX_TURN_REQUESTS = "max_turn_requests"
    REFUSAL = "refusal"
    CANCELLED = "cancelled"
    ERROR = "error"  # the agent or its provider failed, however the agent dressed it
    INTERRUPTED = "interrupted"  # agent or server died in mid-turn
    TIMEOUT = "timeout"  # the watchdog ended a silent turn
    BUDGET = "budget"  # money, tokens or time ran out in the middle of it
    WRAP_UP = "wrap_up"  # set aside to tell the agent that a budget nears its end; a turn to come goes on from there
    LOOP = "loop"  # the agent made the same call with the same answer again and again
    PARKED = "parked"  # it waits for a person; its agent was let go, and a turn to come goes on from there


class Permissions(StrEnum):
    """How an agent's own permission requests are answered, on top of the walls."""

    ASK = "ask"  # reads are allowed; edits, commands and the rest wait for a person
    ALLOW = "allow"  # what stays inside the walls is allowed without asking
    DENY = "deny"  # reads are allowed, everything else is refused


class Check(Struct, frozen=True):
    """A command whose exit status decides, run by Handrail inside the walls."""

    command: str
    timeout: float = 900.0
    """seconds until it counts as failed"""


class Limits(Struct, frozen=True):
    """What a handed-off session may use up; None is no limit."""

    turns: int | None = 20
    budget: NanoUSD | None = None
    seconds: float | None = None


class Period(StrEnum):
    """When a budget begins anew; days, weeks (from Monday) and months are those of UTC."""

    TOTAL = "total"  # never
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class Budget(Struct, frozen=True):
    """What the sessions of one scope may use up together in a period; None is no limit."""

    scope: Scope
    period: Period = Period.TOTAL
    money: NanoUSD | None = None
    tokens: int | None = None
    """input, what was cached included, and output"""
    seconds: float | None = None
    """time in which at least one of its sessions works; sessions side by side count once"""


class Used(Struct, frozen=True):
    """What was used up of a budget."""

    money: NanoUSD = NanoUSD(0)
    tokens: int = 0
    seconds: float = 0.0


class Goal(Struct, frozen=True):
    """What a handed-off session must reach."""

    text: str
    checks: tuple[Check, ...] = ()
    limits: Limits = field(default_factory=Limits)


class Lasts(StrEnum):
    """How long an answer to a question holds."""

    ONCE = "once"
    SESSION = "session"  # what is like it is allowed in this session
    ALWAYS = "always"  # and in every later one of its repository


class Event(Struct, frozen=True):
    """One line of a session's log. `seq` counts from 1 without a gap within the session."""

    session: SessionId
    seq: int
    time: datetime
    kind: str
    data: Json
    turn: int | None = None


class Completed(Struct, frozen=True):
    """A command that ended. Output beyond the caller's limit is cut and `truncated` says so."""

    code: int
    stdout: bytes
    stderr: bytes
    truncated: bool = False
    timed_out: bool = False
    seconds: float = 0.0


class RunInside(Protocol):
    """Runs one command inside a session's walls, without network, and waits for it."""

    async def __call__(
        self,
        argv: Sequence[str],
        *,
        cwd: Path | None = None,
        env: Mapping[str, str] | None = None,
        stdin: bytes = b"",
        limit: int = 1 << 20,
        timeout: float = 60.0,
    ) -> Completed:
        """Run `argv`; `limit` is bytes kept of each stream, `timeout` is seconds. Never raises on a non-zero exit."""
        ...
