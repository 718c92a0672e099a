"""What an agent's shell said, as a terminal shows it: made from the log, for whoever watches. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from handrail.clean import clean, one_line
from handrail.kinds import Kind
from handrail.types import Event

SHELL = "execute"
"""the kind of tool that runs commands"""
_COLOURS = re.compile(r"(\x1b\[[0-9;]{0,32}m)")
_ENDS = {"failed": "31", "denied": "33", "interrupted": "33"}


class Playback:
    """Folds events into what a terminal is sent next; colours stay, everything else that acts on one is taken out."""

    def __init__(self) -> None:
        self._said: dict[str, str] = {}
        """call → its output so far"""

    def take(self, events: Iterable[Event]) -> str:
        """What `events` add."""
        return "".join(self._one(event) for event in events)

    def _one(self, event: Event) -> str:
        data, call = event.data, str(event.data.get("call") or "")
        if event.kind == Kind.TOOL_STARTED and data.get("tool") == SHELL:
            self._said[call] = ""
            title = one_line(str(data.get("title") or ""), 400)
            return f"\x1b[1m$ {title}\x1b[0m\r\n" + self._output(call, data.get("output"))
        if event.kind not in (Kind.TOOL_UPDATED, Kind.TOOL_ENDED) or call not in self._said:
            return ""
        out = self._output(call, data.get("output"))
        if event.kind == Kind.TOOL_ENDED:
            said, status = self._said.pop(call), str(data.get("status") or "")
            out += "\r\n" if said and not said.endswith("\n") else ""
            out += f"\x1b[{_ENDS[status]}m({status})\x1b[0m\r\n" if status in _ENDS else ""
        return out

    def _output(self, call: str, output: object) -> str:
        if not isinstance(output, str):
            return ""
        before = self._said[call]
        self._said[call] = output
        # an output is told whole each time; one that was cut in its middle is shown anew
        return shown(output.removeprefix(before))


def shown(text: str) -> str:
    """Output as a terminal may have it."""
    parts = _COLOURS.split(text)
    kept = "".join(part if at % 2 else clean(part) for at, part in enumerate(parts))
    return (kept + ("\x1b[0m" if len(parts) > 1 else "")).replace("\n", "\r\n")
