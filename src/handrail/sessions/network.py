"""Network decisions as events: each kind of decision at once, its repetitions counted.

A program that tries a thousand times writes one line and then a count. What is told twice is the sum, so nothing is
lost by it: `times` says how many attempts a line stands for.
"""

from __future__ import annotations

import time
from collections.abc import Callable

from msgspec import Struct

from handrail.egress import Decision, Verdict
from handrail.kinds import Kind
from handrail.types import Json

PAUSE = 60.0
"""seconds between two lines about the same"""
MOST = 200
"""different places told apart; the rest is counted together"""
_OTHERS = Decision("", 0, Verdict.DENIED, "many different places were tried: these are not told apart any more")

Put = Callable[[Kind, Json], None]
_Key = tuple[str, int, str, str]


class _Tally(Struct):
    times: int = 0
    bytes: int = 0
    told: float | None = None


class Network:
    """Takes the decisions of one session's proxy and puts them into the log.

    Args:
        put: adds an event.
    """

    def __init__(self, put: Put) -> None:
        self._put = put
        self._tallies: dict[_Key, _Tally] = {}

    def decided(self, decision: Decision) -> None:
        """`egress.OnDecision`."""
        ended = decision.verdict is Verdict.ENDED
        verdict = Verdict.ALLOWED if ended else decision.verdict
        key = (decision.host, decision.port, str(verdict), decision.reason)
        if key not in self._tallies and len(self._tallies) >= MOST:
            key = (_OTHERS.host, _OTHERS.port, str(_OTHERS.verdict), _OTHERS.reason)
        tally = self._tallies.setdefault(key, _Tally())
        tally.bytes += decision.bytes
        if ended:
            return
        tally.times += 1
        if tally.told is None or time.monotonic() - tally.told >= PAUSE:
            self._tell(key, tally)

    def settle(self) -> None:
        """Tell what was only counted: the turn has ended."""
        for key, tally in self._tallies.items():
            if tally.times or tally.bytes:
                self._tell(key, tally)

    def _tell(self, key: _Key, tally: _Tally) -> None:
        host, port, verdict, reason = key
        data: Json = {"host": host, "port": port, "verdict": verdict, "reason": reason, "times": tally.times}
        if tally.bytes:
            data["bytes"] = tally.bytes
        tally.times, tally.bytes, tally.told = 0, 0, time.monotonic()
        self._put(Kind.NETWORK_DECIDED, data)
