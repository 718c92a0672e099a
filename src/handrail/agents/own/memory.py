"""What a session remembers: on disk one JSON line for everything said and done, before it is shown; and for the model.

A line stands once `keep` has returned, whatever becomes of the process; a torn line is left out when read. What a
running session remembers is made of the same records in the same way. Kinds: `state` (mode, plan, …), `message`,
`chunk` (text as it was streamed, from a place in the answer on), `call` (what came of one: unknown once it has begun,
then its result), `compacted` (from here on the model knows only this).
"""

from __future__ import annotations

import fcntl
import json
import os
from dataclasses import dataclass, field, replace
from itertools import accumulate
from pathlib import Path
from typing import Any

from handrail.agents.own.messages import Json, Message, encode, from_json
from handrail.agents.own.wires import Wire
from handrail.errors import Conflict, NotFound, StorageFull
from handrail.text import clip

UNKNOWN = "interrupted: outcome unknown; look before you repeat it"
NOT_RUN = "not run: the turn ended before it began"
CUT_SHORT = "\n[interrupted here]"
_FULL, _ENOUGH, _KEPT = 0.8, 0.6, 0.3
"""shares of the window: where it is made smaller, what shortening must reach, the newest steps that a summary leaves"""
_BYTES = 4
"""bytes of a request a token, about"""
_OLD_RESULT = 600
"""characters that stay of an old result"""
_SUMMARISE = Path(__file__).with_name("summarise.md").read_text("utf-8")


@dataclass
class Memory:
    """What the records tell. `said` is all of it, `live` what the model still knows, `calls` how many there were."""

    mode: str = "ask"
    always: list[str] = field(default_factory=list)
    plan: list[Json] = field(default_factory=list)
    said: list[Message] = field(default_factory=list)
    live: list[Message] = field(default_factory=list)
    calls: int = 0
    chunks: str = ""

    def take(self, kind: str, record: dict[str, Any]) -> None:
        """Add one record."""
        match kind:
            case "state":
                vars(self).update(record)
            case "chunk":
                self.chunks = self.chunks[: record["at"]] + record["text"]
            case "call":
                (call,) = (call for call in self.live[-1].calls if call.number == record["number"])
                call.result, call.ok = record["result"], record["ok"]
            case "compacted":
                self.settle()
                self.live = [from_json(message) for message in record["messages"]]
            case "message":
                self._add(from_json(record["message"]))
            case _:
                raise ValueError(kind)

    def settle(self) -> None:
        """Close what is open: calls without a result, an answer that broke off."""
        for call in self.live[-1].calls if self.live else ():
            call.result = NOT_RUN if call.result is None else call.result
        text, self.chunks = self.chunks, ""
        if text.strip():
            self._add(Message("agent", text + CUT_SHORT))

    def _add(self, message: Message) -> None:
        if message.role == "agent":
            self.chunks = ""
        self.settle()
        self.said.append(message)
        self.live.append(message)
        for call in message.calls:
            self.calls += 1
            call.number, call.id = self.calls, call.id or f"own_{self.calls}"


class Journal:
    """The open journal of one session, and what it holds: `memory`, where no call is left without a result.

    Raises Conflict where another process has it open, NotFound where there is none, or one of another version.
    """

    def __init__(self, folder: Path, session: str, *, create: bool = False) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path, self.memory = folder / f"{session}.jsonl", Memory()
        flags = os.O_RDWR | os.O_APPEND | (os.O_CREAT | os.O_EXCL if create else 0)
        try:
            self._file = os.open(self.path, flags, 0o600)
        except FileNotFoundError as error:
            raise NotFound(f"session {session} is not known here") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            self._read()
        except BlockingIOError as error:
            self.close()
            raise Conflict(f"session {session} is open in another process") from error
        except (AttributeError, LookupError, TypeError, ValueError) as error:
            self.close()
            said = "was kept by another version of Handrail's agent: its memory is lost"
            raise NotFound(f"session {session} {said}") from error

    def keep(self, kind: str, **record: object) -> None:
        """Remember something, on disk first; StorageFull where the disk does not take it."""
        # The new line comes first: it closes what a crash or a full disk has torn.
        line = memoryview(b"\n" + encode({"k": kind, **record}).encode())
        try:
            while line:
                line = line[os.write(self._file, line) :]
        except OSError as error:
            raise StorageFull(f"{self.path} takes no more ({error.strerror}): make room there") from error
        self.memory.take(kind, record)

    def close(self) -> None:
        """Let another process have it."""
        os.close(self._file)

    def _read(self) -> None:
        for line in self.path.read_bytes().splitlines():
            try:
                record = dict(json.loads(line))
            except (TypeError, ValueError):
                continue  # torn
            self.memory.take(record.pop("k"), record)
        self.memory.settle()


class History:
    """A conversation as its model is told it; `head` is the request without it, `window` is in tokens.

    What the memory holds is final whenever something is asked of the history.
    """

    def __init__(self, wire: Wire, head: Json, window: int, memory: Memory) -> None:
        self._wire, self._head, self._window, self.memory = wire, head, window, memory
        self._floor = 0.0  # a window that cannot be made any emptier is left alone until it has grown by so much
        self._told = list[str]()  # the history only grows, so each message is told once

    def forget(self) -> None:
        """Go on with what the memory holds now, which was made smaller."""
        self._floor, self._told = self.used / self._window + 0.05, []

    def request(self) -> bytes:
        """The whole request."""
        *older, newest = self.memory.live
        self._told += map(self._wire.told, older[len(self._told) :])
        return self._wire.request(self._head, [*self._told, self._wire.told(newest, newest=True)])

    @property
    def used(self) -> int:
        """Tokens, about: what the provider counted at last, and an estimate for what came after."""
        size = 0
        for message in reversed(self.memory.live):
            if counted := message.used.get("input", 0) + message.used.get("output", 0):
                return int(counted) + (size + sum(len(call.result or "") for call in message.calls)) // _BYTES
            size += self._size(message)
        return (size + len(encode(self._head))) // _BYTES

    @property
    def full(self) -> bool:
        """Whether it is time to make it smaller."""
        return self.used > self._window * max(_FULL, self._floor)

    def shortened(self) -> list[Message] | None:
        """The messages with old tool results cut short; None where that would not make room enough."""
        steps = [at for at, message in enumerate(self.memory.live) if message.calls][:-3]
        messages = [_short(message) if at in steps else message for at, message in enumerate(self.memory.live)]
        size = len(encode(self._head)) + sum(map(self._size, messages))
        return messages if size // _BYTES <= _ENOUGH * self._window else None

    def halves(self) -> tuple[list[Message], list[Message]]:
        """What a summary is to stand for, and the newest steps that stay, from an answer on."""
        sizes = list(accumulate(map(self._size, reversed(self.memory.live))))[::-1]
        room = _KEPT * self._window * _BYTES
        steps = (
            at for at, message in enumerate(self.memory.live) if at and message.role == "agent" and sizes[at] <= room
        )
        cut = next(steps, len(self.memory.live))
        return self.memory.live[:cut], self.memory.live[cut:]

    def question(self, old: list[Message]) -> Message:
        """What is asked of the model, without tools, for a summary of `old`."""
        return Message("user", _SUMMARISE + clip("\n\n".join(map(_record, old)), self._window * 2))

    def summarised(self, summary: str, old: list[Message], kept: list[Message]) -> list[Message]:
        """The messages with `summary` in place of `old`; the goal and the newest wish stay word by word."""
        goal, *later = [message.text for message in old if message.role == "user"]
        # Where it was summarised before, the goal of then is the goal.
        goal = goal.partition("</goal>\n<notes>")[0].removeprefix("<goal>\n").strip()
        text = f"<goal>\n{clip(goal, self._window)}\n</goal>\n<notes>\n{summary}\n</notes>\n"
        if later:
            text += f"<newest_request>\n{clip(later[-1], self._window)}\n</newest_request>\n"
        return [Message("user", f"{text}The conversation so far was replaced by these notes. Go on from here."), *kept]

    def _size(self, message: Message) -> int:
        return len(self._wire.told(message))


def _short(message: Message) -> Message:
    why = " to save room; run it again if you need it"
    return replace(message, calls=[replace(c, result=clip(c.result or "", _OLD_RESULT, why)) for c in message.calls])


def _record(message: Message) -> str:
    calls = [
        f"CALL {c.name} {clip(str(c.args), _OLD_RESULT)}\n{clip(c.result or '', _OLD_RESULT)}" for c in message.calls
    ]
    return "\n".join([f"{message.role.upper()}: {message.text}", *calls])
