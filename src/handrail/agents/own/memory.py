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
from collections.abc import Callable
from pathlib import Path

from msgspec import Struct, convert, field
from msgspec.structs import replace

from handrail.agents.own.wires import Json, Message, Wire, encode
from handrail.errors import Conflict, NotFound, StorageFull
from handrail.text import clip

UNKNOWN = "interrupted: outcome unknown; look before you repeat it"
NOT_RUN = "not run: the turn ended before it began"
CUT_SHORT = "\n[interrupted here]"
_FULL, _ENOUGH, _KEPT = 0.8, 0.6, 0.3
"""shares of the window: where it is made smaller, what shortening must reach, the newest steps that a summary leaves"""
_BYTES = 4
"""bytes of a request a token, about"""
_OLD = 600
"""characters that stay of an old result"""
_SUMMARISE = Path(__file__).with_name("summarise.md").read_text("utf-8")


class Memory(Struct):
    """What the records tell. `said` is all of it, `live` what the model still knows, `calls` how many there were."""

    mode: str = "ask"
    always: list[str] = field(default_factory=list)
    plan: list[Json] = field(default_factory=list)
    said: list[Message] = field(default_factory=list)
    live: list[Message] = field(default_factory=list)
    calls: int = 0
    chunks: str = ""

    def take(self, kind: str, record: Json) -> None:
        """Add one record, fresh or read."""
        match kind, record:
            case "state", _:
                for name, value in record.items():
                    setattr(self, name, value)
            case "chunk", {"at": at, "text": text}:
                self.chunks = self.chunks[:at] + text
            case "call", {"number": number, "result": result, "ok": ok}:
                (call,) = (call for call in self.live[-1].calls if call.number == number)
                call.result, call.ok = result, ok
            case "compacted", {"messages": messages}:
                self.settle()
                self.live = convert(messages, list[Message])
            case "message", {"message": message}:
                self._add(convert(message, Message))
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
        try:
            self._file = os.open(self.path, os.O_RDWR | os.O_APPEND | (os.O_CREAT | os.O_EXCL) * create, 0o600)
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
        self._opening, self._told = wire.opening(head), list[str]()  # a history grows: each message is told once

    def forget(self) -> None:
        """Go on with what the memory holds now, which was made smaller."""
        self._floor, self._told = self.used / self._window + 0.05, []

    def request(self) -> bytes:
        """The whole request."""
        self._told += map(self._wire.told, self.memory.live[len(self._told) :])
        return self._wire.request(self._opening, self._told)

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

    def smaller(self, ask: Callable[[bytes], str]) -> tuple[str, list[Message]]:
        """What was done, and the messages: old results cut short, else notes of the model in place of older steps.

        Notes are what `ask` gives for a request without tools.
        """
        live = [replace(message, used={}) for message in self.memory.live]  # no provider has counted the new ones
        steps = [at for at, message in enumerate(live) if message.calls][:-3]
        short = [_short(message) if at in steps else message for at, message in enumerate(live)]
        if len(encode(self._head)) + sum(map(self._size, short)) <= _ENOUGH * self._window * _BYTES:
            return "old tool results were shortened", short
        cut, room = len(live), _KEPT * self._window * _BYTES
        for at in range(len(live) - 1, 0, -1):
            room -= self._size(live[at])
            if room < 0:
                break
            cut = at if live[at].role == "agent" else cut
        question = _SUMMARISE + clip("\n\n".join(map(_record, live[:cut])), self._window * 2)
        told = self._wire.told(Message("user", question))
        notes = ask(self._wire.request(self._wire.opening(self._head | {"tools": []}), [told])) or "(no notes)"
        return f"older steps were summarised\n{notes}", [self._summary(notes), *live[cut:]]

    def _summary(self, notes: str) -> Message:
        """Stands for what was said; the goal and the newest wish stay word by word."""
        goal, *later = (clip(message.text, self._window) for message in self.memory.said if message.role == "user")
        newest = f"<newest_request>\n{later[-1]}\n</newest_request>\n" if later else ""
        text = f"<goal>\n{goal}\n</goal>\n<notes>\n{notes}\n</notes>\n{newest}"
        return Message("user", f"{text}The conversation so far was replaced by these notes. Go on from here.")

    def _size(self, message: Message) -> int:
        return len(self._wire.told(message))


def _short(message: Message) -> Message:
    why = " to save room; run it again if you need it"
    return replace(message, calls=[replace(c, result=clip(c.result or "", _OLD, why)) for c in message.calls])


def _record(message: Message) -> str:
    calls = (f"CALL {c.name} {clip(str(c.args), _OLD)}\n{clip(c.result or '', _OLD)}" for c in message.calls)
    return "\n".join([f"{message.role.upper()}: {message.text}", *calls])
