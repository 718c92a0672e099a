"""A session's memory on disk: one JSON line for everything said and done, written before it is shown.

A line stands once `write` has returned, whatever becomes of the process; a torn last line is left out when read. Kinds:
`session`, `mode`, `always`, `user`, `chunk` (text as it was streamed), `again` (forget the chunks), `answer`, `begun`
and `result` (a tool: about to run, has run), `plan`, `compacted` (from here on the model knows only this).
"""

from __future__ import annotations

import errno
import fcntl
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from handrail.agents.own.messages import Answer, Json, Message, Result, Results, User, encode, from_json
from handrail.errors import Conflict, NotFound, StorageFull

UNKNOWN = "interrupted: outcome unknown; look before you repeat it"
NOT_RUN = "not run: the turn ended before it began"
CUT_SHORT = "\n[interrupted here]"


class Journal:
    """The open journal of one session; no other process can open it meanwhile.

    Raises:
        NotFound: there is none, and `create` was not said.
        Conflict: another process has it open.
    """

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
        """Append one line."""
        self.append({"k": kind, **record})

    def append(self, record: Json) -> None:
        """Append one line.

        Raises:
            StorageFull: the disk does not take it; what is torn is closed by the next line.
        """
        data = self._mend + encode(record).encode() + b"\n"
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
        """All that it holds, pairs of call and result made whole."""
        raw = self.path.read_bytes()
        if raw and not raw.endswith(b"\n"):
            os.write(self._file, b"\n")
        memory = Memory()
        for record in _records(raw):
            memory.take(record)
        memory.settle()
        return memory


def _records(raw: bytes) -> Iterator[Json]:
    for line in raw.splitlines():
        try:
            record = json.loads(line)
        except ValueError:
            continue  # torn by a crash or a full disk
        if isinstance(record, dict):
            yield record


@dataclass(slots=True)
class Memory:
    """What a journal tells. `said` is all of it, `live` what the model still knows."""

    cwd: str = ""
    mode: str = "ask"
    always: set[str] = field(default_factory=set)
    said: list[Message] = field(default_factory=list)
    live: list[Message] = field(default_factory=list)
    plan: list[Json] = field(default_factory=list)
    calls: int = 0
    """tool calls made so far"""
    _chunks: list[str] = field(default_factory=list)
    _begun: set[int] = field(default_factory=set)
    _results: dict[int, Result] = field(default_factory=dict)

    def take(self, record: Json) -> None:  # noqa: C901  # a table of kinds
        """Add one record."""
        match record["k"]:
            case "session":
                self.cwd = record["cwd"]
            case "mode":
                self.mode = record["mode"]
            case "always":
                self.always.add(record["what"])
            case "chunk":
                self._chunks.append(record["text"])
            case "again":
                self._chunks.clear()
            case "begun":
                self._begun.add(record["number"])
            case "result":
                self._results[record["item"][0]] = Result(*record["item"])
            case "plan":
                self.plan = record["entries"]
            case "compacted":
                self.settle()
                self.live = [from_json(item) for item in record["messages"]]
            case "answer":
                self._chunks.clear()
                self.settle()
                self._add(from_json(record))
            case "user":
                self.settle()
                self._add(User(record["text"]))

    def settle(self) -> None:
        """Close what is open: calls without a result, an answer that broke off."""
        last = self.live[-1] if self.live else None
        if isinstance(last, Answer) and last.calls:
            self.calls = last.calls[-1].number
            items = []
            for call in last.calls:
                why = UNKNOWN if call.number in self._begun else NOT_RUN
                missing = Result(call.number, call.id, call.name, why, ok=False)
                items.append(self._results.pop(call.number, missing))
            self._add(Results(tuple(items)))
        if text := "".join(self._chunks):
            self._add(Answer(text + CUT_SHORT))
        self._chunks.clear()
        self._begun.clear()

    def _add(self, message: Message) -> None:
        self.said.append(message)
        self.live.append(message)
