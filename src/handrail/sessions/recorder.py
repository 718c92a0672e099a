"""Turns an agent's updates into events: folds tool calls, joins text, writes in order, never blocks the wire."""

from __future__ import annotations

import asyncio
import time

from msgspec import Struct, field

from handrail.agents import Context, Failure, Plan, Text, ToolUpdate, Update
from handrail.kinds import Kind
from handrail.sessions.circles import Circles
from handrail.store.log import Draft, EventLog
from handrail.text import clip
from handrail.types import Json, SessionId

TEXT_PAUSE = 0.04
"""seconds that text alone waits for more text: 25 rows a second are smooth to read and cheap to keep"""

_SHORT = 200
"""characters of a call's title within a sentence"""
_ENDED = frozenset({"completed", "failed"})


class Card(Struct):
    """What is known of one tool call."""

    call: str
    tool: str | None
    title: str
    input: Json | None = None
    output: str | None = None
    status: str = "pending"
    started: float = field(default_factory=time.monotonic)
    denied: bool = False


def printable(text: str, limit: int) -> str:
    """`text` without lone surrogates, cut to `limit` characters with the cut said."""
    return clip(text, limit).encode("utf-8", "replace").decode("utf-8")


class Recorder:
    """The one writer of a session's updates.

    Args:
        log: where events go.
        session: whose they are.
        limit: characters of one tool call's output (and of each side of a diff) that are kept.
        loop: how often the same call may give the same answer, running (see `circles`).
    """

    def __init__(self, log: EventLog, session: SessionId, limit: int, loop: int = 0) -> None:
        self._log = log
        self._session = session
        self._limit = limit
        self._drafts: list[Draft] = []
        self._cards: dict[str, Card] = {}
        self._ended: set[str] = set()
        self._wake = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self._task: asyncio.Task[None] | None = None
        self._draining = 0
        self.turn: int | None = None
        self.tools = 0
        self.failure: Failure | None = None
        self.pause = asyncio.Event()
        """a tool call has ended, and no other is under way"""
        self.circle = asyncio.Event()
        """the agent goes round in circles"""
        self.circling = ""
        """in which, as a sentence"""
        self._circles = Circles(loop)
        self.step: str | None = None
        """the step of the agent's plan that is in progress"""

    def begin(self, turn: int) -> None:
        """Count and stamp what follows as part of `turn`."""
        self.turn = turn
        self.tools = 0
        self.failure = None
        self.pause.clear()
        self.circle.clear()
        self._circles.clear()
        self._cards.clear()
        self._ended.clear()
        if self._task is None:
            self._task = asyncio.create_task(self._write(), name=f"recorder {self._session}")

    def update(self, update: Update) -> None:
        """Take one update. Synchronous: the order of the wire is the order of the log."""
        match update:
            case Text():
                data: Json = {"text": printable(update.text, 1 << 20)}
                if update.message_id is not None:
                    data["message"] = update.message_id
                self._put(Kind.AGENT_THOUGHT if update.thought else Kind.AGENT_TEXT, data)
            case ToolUpdate():
                self.tool(update)
            case Plan():
                entries = [
                    {"text": e.text, "status": e.status} | ({"priority": e.priority} if e.priority else {})
                    for e in update.entries
                ]
                self.step = next((e.text for e in update.entries if e.status == "in_progress"), None)
                self._put(Kind.PLAN_UPDATED, {"entries": entries})
            case Context():
                usage: Json = {"used": update.used, "size": update.size}
                if update.cost_usd is not None:
                    usage["cost_usd"] = update.cost_usd
                self._put(Kind.CONTEXT_UPDATED, usage)
            case Failure():
                self.failure = update
                self._put(Kind.NOTICE, {"level": "warning" if update.retrying else "error", "text": update.title})
            case _:
                pass

    def tool(self, update: ToolUpdate) -> Card | None:
        """Fold one tool update into its card; returns the card, or None where the call has ended already."""
        if update.call_id in self._ended:
            return None
        card = self._cards.get(update.call_id)
        changed = self._fields(update)
        if card is None:
            card = Card(update.call_id, update.kind, update.title or update.kind or "tool", update.input)
            self._cards[update.call_id] = card
            self.tools += 1
            output = changed.pop("output", None)
            changed.pop("status", None)
            self._put(
                Kind.TOOL_STARTED, {"call": card.call, "title": card.title, "tool": card.tool or "other"} | changed
            )
            changed = {} if output is None else {"output": output}
        else:
            changed = self._news(card, changed)
        if update.output is not None:
            card.output = update.output
        if update.status in _ENDED:
            self._settle(card, str(update.status), changed)
            self._look(card, str(update.status))
            if not self._cards:
                self.pause.set()
        elif changed:
            card.status = update.status or card.status
            self._put(Kind.TOOL_UPDATED, {"call": card.call} | changed)
        return card

    @property
    def writing(self) -> asyncio.Task[None]:
        """The task that writes; it ends only when it cannot.

        Raises:
            RuntimeError: no turn has begun.
        """
        if self._task is None:
            raise RuntimeError("the recorder writes from the first turn on")
        return self._task

    def deny(self, call: str) -> None:
        """Remember that a person or the policy refused this call."""
        if card := self._cards.get(call):
            card.denied = True

    def settle(self) -> None:
        """End the cards that the agent left open when its turn ended."""
        for card in list(self._cards.values()):
            self._settle(card, "denied" if card.denied else "interrupted", {})

    def put(self, kind: Kind, data: Json) -> None:
        """Add an event in order with the updates."""
        self._put(kind, data)

    async def drain(self) -> None:
        """Wait until all that was taken is in the log.

        Raises:
            StorageFull: it could not be written.
        """
        self._draining += 1
        try:
            while self._drafts or not self._idle.is_set():
                if self._task is not None and self._task.done():
                    self._task.result()
                    break
                self._log.hurry()
                waiting = asyncio.ensure_future(self._idle.wait())
                parts: set[asyncio.Future[object]] = {waiting} if self._task is None else {waiting, self._task}  # type: ignore[arg-type]
                await asyncio.wait(parts, return_when=asyncio.FIRST_COMPLETED)
                waiting.cancel()
        finally:
            self._draining -= 1

    async def close(self) -> None:
        """Write what is left and stop."""
        task = self._task
        if task is None:
            return
        try:
            await self.drain()
        finally:
            self._task = None
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    def _put(self, kind: Kind, data: Json) -> None:
        if self._drafts and kind in (Kind.AGENT_TEXT, Kind.AGENT_THOUGHT):
            last = self._drafts[-1]
            if last.kind is kind and last.data.get("message") == data.get("message") and last.turn == self.turn:
                joined = last.data | {"text": f"{last.data['text']}{data['text']}"}
                self._drafts[-1] = Draft(kind, joined, self.turn)
                return
        self._drafts.append(Draft(kind, data, self.turn))
        self._idle.clear()
        self._wake.set()

    async def _write(self) -> None:
        while True:
            await self._wake.wait()
            self._wake.clear()
            if all(draft.kind in (Kind.AGENT_TEXT, Kind.AGENT_THOUGHT) for draft in self._drafts):
                await asyncio.sleep(TEXT_PAUSE)
            drafts, self._drafts = self._drafts, []
            if drafts:
                # What an agent does comes in little bursts, and a model call's line is on its way: one commit for all.
                await self._log.append(self._session, drafts, hurry=self._draining > 0)
            if not self._drafts:
                self._idle.set()

    def _fields(self, update: ToolUpdate) -> Json:
        data: Json = {}
        if update.title is not None:
            data["title"] = printable(update.title, 2000)
        if update.status is not None:
            data["status"] = update.status
        if update.kind is not None:
            data["tool"] = update.kind
        if update.input:
            data["input"] = self._bounded(update.input)
        if update.output is not None:
            data["output"] = printable(update.output, self._limit)
        if update.diffs:
            data["diffs"] = [
                {
                    "path": diff.path,
                    "old": None if diff.old is None else printable(diff.old, self._limit),
                    "new": printable(diff.new, self._limit),
                }
                for diff in update.diffs
            ]
        if update.paths:
            data["paths"] = list(update.paths)
        return data

    def _bounded(self, value: Json) -> Json:
        return {
            printable(key, 200): printable(item, self._limit) if isinstance(item, str) else item
            for key, item in value.items()
        }

    def _news(self, card: Card, changed: Json) -> Json:
        """Only what differs from the card, which then knows it."""
        if changed.get("title") == card.title:
            changed.pop("title")
        elif "title" in changed:
            card.title = str(changed["title"])
        if changed.get("tool") == card.tool:
            changed.pop("tool")
        elif "tool" in changed:
            card.tool = str(changed["tool"])
        given = changed.get("input")
        if isinstance(given, dict):
            if given == card.input:
                changed.pop("input")
            card.input = given
        if changed.get("status") == card.status:
            changed.pop("status")
        if "output" in changed and changed["output"] == card.output:
            changed.pop("output")
        return changed

    def _settle(self, card: Card, status: str, changed: Json) -> None:
        self._cards.pop(card.call, None)
        self._ended.add(card.call)
        changed.pop("status", None)
        seconds = round(time.monotonic() - card.started, 3)
        if card.denied and status == "failed":
            status = "denied"
        self._put(Kind.TOOL_ENDED, {"call": card.call, "status": status, "seconds": seconds} | changed)

    def _look(self, card: Card, status: str) -> None:
        """See whether the agent goes round in circles."""
        times = self._circles.note(card.tool, card.input or card.title, status, card.output)
        if times is not None and not self.circle.is_set():
            what = card.title if len(card.title) <= _SHORT else f"{card.title[:_SHORT]}…"
            self.circling = f"the agent made the same call with the same answer {times} times running: {what}"
            self._put(Kind.NOTICE, {"level": "warning", "text": self.circling})
            self.circle.set()
