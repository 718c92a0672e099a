"""A session's memory on disk: the list of messages, one JSON line for everything said and done, before it is shown.

A line stands once `write` has returned, whatever becomes of the process; a torn last line is left out when read. Kinds:
`state` (cwd, mode, …), `message`, `chunk` (text as it was streamed), `again` (forget the chunks), `call` (what came of
one: unknown once it has begun, then its result), `compacted` (from here on the model knows only this).
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from dataclasses import dataclass, field
from pathlib import Path

from handrail.agents.own.messages import Json, Message, encode, from_json
from handrail.errors import Conflict, NotFound, StorageFull

UNKNOWN = "interrupted: outcome unknown; look before you repeat it"
NOT_RUN = "not run: the turn ended before it began"
CUT_SHORT = "\n[interrupted here]"


class Journal:
    """The open journal of one session; Conflict where another process has it open, NotFound where there is none."""

    def __init__(self, folder: Path, session: str, *, create: bool = False) -> None:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.path = folder / f"{session}.jsonl"
        self._mend = b""
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
        """All that it holds, no call left without a result."""
        raw, memory = self.path.read_bytes(), Memory()
        self._mend = b"" if raw.endswith(b"\n") else b"\n"
        for line in raw.splitlines():
            try:
                record = json.loads(line)
            except ValueError:
                continue  # torn by a crash or a full disk
            if isinstance(record, dict):
                memory.take(record)
        memory.settle()
        return memory


@dataclass
class Memory:
    """What a journal tells. `said` is all of it, `live` what the model still knows, `calls` how many there were."""

    cwd: str = ""
    mode: str = "ask"
    always: list[str] = field(default_factory=list)
    plan: list[Json] = field(default_factory=list)
    said: list[Message] = field(default_factory=list)
    live: list[Message] = field(default_factory=list)
    calls: int = 0
    _chunks: str = ""

    def take(self, record: Json) -> None:  # noqa: C901  # a table of kinds
        """Add one record."""
        match record.pop("k"):
            case "state":
                for name, value in record.items():
                    setattr(self, name, value)
            case "chunk":
                self._chunks += record["text"]
            case "again":
                self._chunks = ""
            case "call":
                for call in self.live[-1].calls:
                    if call.number == record["number"]:
                        call.result, call.ok = record["result"], record["ok"]
            case "compacted":
                self.settle()
                self.live = list(map(from_json, record["messages"]))
            case "message":
                message = from_json(record["message"])
                if message.role == "agent":
                    self._chunks = ""
                self.settle()
                self._add(message)

    def settle(self) -> None:
        """Close what is open: calls without a result, an answer that broke off."""
        for call in self.live[-1].calls if self.live else ():
            call.result = NOT_RUN if call.result is None else call.result
        if self._chunks:
            self._add(Message("agent", self._chunks + CUT_SHORT))
        self._chunks = ""

    def _add(self, message: Message) -> None:
        self.said.append(message)
        self.live.append(message)
        self.calls = message.calls[-1].number if message.calls else self.calls
