"""A session's memory on disk: one JSON line for everything said and done, before it is shown.

A line stands once `write` has returned, whatever becomes of the process; a torn last line is left out when read. What a
running session remembers is made of the same records in the same way. Kinds: `state` (cwd, mode, …), `message`, `chunk`
(text as it was streamed), `again` (forget the chunks), `call` (what came of one: unknown once it has begun, then its
result), `compacted` (from here on the model knows only this).
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from handrail.agents.own.messages import Json, Message, encode, from_json
from handrail.errors import Conflict, NotFound, StorageFull

UNKNOWN = "interrupted: outcome unknown; look before you repeat it"
NOT_RUN = "not run: the turn ended before it began"
CUT_SHORT = "\n[interrupted here]"


class Journal:
    """The open journal of one session; Conflict where another process has it open, NotFound where there is none."""

    def __init__(self, folder: Path, session: str, *, create: bool = False) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path, self._mend = folder / f"{session}.jsonl", b""
        flags = os.O_RDWR | os.O_APPEND | (os.O_CREAT | os.O_EXCL if create else 0)
        try:
            self._file = os.open(self.path, flags, 0o600)
        except FileNotFoundError as error:
            raise NotFound(f"session {session} is not known here") from error
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            os.close(self._file)
            raise Conflict(f"session {session} is open in another process") from error

    def write(self, kind: str, **record: object) -> None:
        """Append one line; StorageFull where the disk does not take it: what is torn is closed by the next line."""
        data = self._mend + encode({"k": kind, **record}).encode() + b"\n"
        self._mend = b"\n"
        try:
            if os.write(self._file, data) != len(data):
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))  # noqa: TRY301  # as the next write would say
        except OSError as error:
            raise StorageFull(f"{self.path} takes no more ({error.strerror}): make room there") from error
        self._mend = b""

    def close(self) -> None:
        """Let another process have it."""
        os.close(self._file)

    def read(self) -> Memory:
        """All that it holds, no call left without a result; NotFound where another version wrote it."""
        raw, memory = self.path.read_bytes(), Memory()
        self._mend = b"\n" if raw and not raw.endswith(b"\n") else b""
        for line in raw.splitlines():
            try:
                record = dict(json.loads(line))
            except (TypeError, ValueError):
                continue  # torn by a crash or a full disk
            try:
                memory.take(record.pop("k"), **{name: _value(name, value) for name, value in record.items()})
            except (AttributeError, LookupError, TypeError, ValueError) as error:
                self.close()
                said = "was kept by another version of Handrail's agent: its memory is lost"
                raise NotFound(f"session {self.path.stem} {said}") from error
        memory.settle()
        return memory


def _value(name: str, value: Any) -> Any:
    if name == "messages":
        return list(map(from_json, value))
    return from_json(value) if name == "message" else value


@dataclass
class Memory:
    """What the records tell. `said` is all of it, `live` what the model still knows, `calls` how many there were."""

    cwd: str = ""
    mode: str = "ask"
    always: list[str] = field(default_factory=list)
    plan: list[Json] = field(default_factory=list)
    said: list[Message] = field(default_factory=list)
    live: list[Message] = field(default_factory=list)
    calls: int = 0
    chunks: str = ""

    def take(self, kind: str, **record: Any) -> None:
        """Add one record."""
        match kind:
            case "state":
                vars(self).update(record)
            case "chunk":
                self.chunks += record["text"]
            case "again":
                self.chunks = ""
            case "call":
                (call,) = (call for call in self.live[-1].calls if call.number == record["number"])
                call.result, call.ok = record["result"], record["ok"]
            case "compacted":
                self.settle()
                self.live = record["messages"]
            case "message":
                self._add(record["message"])
            case _:
                raise ValueError(kind)

    def settle(self) -> None:
        """Close what is open: calls without a result, an answer that broke off."""
        for call in self.live[-1].calls if self.live else ():
            call.result = NOT_RUN if call.result is None else call.result
        if self.chunks:
            text, self.chunks = self.chunks, ""
            self._add(Message("agent", text + CUT_SHORT))

    def _add(self, message: Message) -> None:
        if message.role == "agent":
            self.chunks = ""
        self.settle()
        self.said.append(message)
        self.live.append(message)
        self.calls = message.calls[-1].number if message.calls else self.calls
