"""One session, followed live: events come in, lines go out; what a person types is a prompt, an answer or a verb."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from enum import Enum

from handrail.cli import acts
from handrail.cli.answering import Reply, understood
from handrail.cli.client import Client, Obj
from handrail.cli.layout import Span, duration, line
from handrail.cli.meter import Meter
from handrail.cli.options import fits
from handrail.cli.render import Out, Transcript, answers, question
from handrail.cli.screen import Eof, Interrupt, Key, Screen, Typed
from handrail.errors import HandrailError
from handrail.kinds import Kind

EXIT_OF_OUTCOME = {"done": 0, "nothing_to_do": 0, "needs_person": 3, "blocked": 3}
FAILED_OUTCOME = 4
INTERRUPTED = 130
_TWICE = 2.0  # seconds within which a second Ctrl-C leaves
_GUARD = 0.5  # seconds for which a new question takes no answer: the key was meant for what stood there before
_HELP = """\
what you type goes to the agent; while it works it is queued
  /diff [TURN]       the change so far, or of one turn
  /undo [TURN]       back to the state before the last turn, or after TURN
  /apply [BRANCH]    bring the change to your checkout as a branch
  /handoff GOAL --check CMD [--budget USD] [--turns N] [--time 30m]
                     let the agent work on its own until the checks pass
  /take              take control back
  /cost              what it cost so far
  /quit              leave; the session goes on (so does Ctrl-D)
Ctrl-C cancels the turn, twice leaves"""


class Until(Enum):
    """What ends following."""

    LEFT = "left"  # the person leaves, or a pipe is empty and the last turn has ended
    OUTCOME = "outcome"  # the goal's outcome is reached
    ENDED = "ended"  # the session ends


class Conversation:
    """Follows one session.

    Args:
        client: the server.
        session: as the API gave it.
        screen: shows and reads.
        transcript: turns events into lines.
        until: when to stop.
    """

    def __init__(self, client: Client, session: Obj, screen: Screen, transcript: Transcript, until: Until) -> None:
        self._client = client
        self._id = str(session["id"])
        self._screen = screen
        self._transcript = transcript
        self._meter = Meter(session)
        self._until = until
        self._running = session.get("state") in {"running", "waiting"}
        self._handed_off = session.get("control") == "agent"
        self._questions: dict[str, Obj] = {}
        self._waiting_lines: list[str] = []
        self._sent: dict[str, str] = {}  # prompts on their way, until their turn starts
        self._interrupted = -_TWICE
        self._asked_at = 0.0
        self._since = time.monotonic()
        self._choosing = False
        self._eof = False
        self._failed = False
        self._exit: int | None = None

    async def run(self, *, first: str | None = None) -> int:
        """Follow until the end; gives back the exit status. `first` is sent at once."""
        self._screen.status(self._status)
        arrived: asyncio.Queue[Obj | Key | BaseException] = asyncio.Queue()
        sources = (self._client.events(self._id, self._transcript.last_seq), self._screen.keys())
        tasks = [asyncio.create_task(self._pump(source, arrived)) for source in sources]
        try:
            if first is not None:
                await self._send(first)
            while self._exit is None:
                thing = await arrived.get()
                if isinstance(thing, BaseException):
                    raise thing
                await self._handle(thing)
                self._exit = self._exit if self._exit is not None else await self._when_idle()
        finally:
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)
        return self._exit

    async def _pump(self, source: AsyncIterator[Obj | Key], arrived: asyncio.Queue[Obj | Key | BaseException]) -> None:
        """Carry what `source` yields, or the error that ends it, to the one queue that the loop reads."""
        try:
            async for thing in source:
                await arrived.put(thing)
        except HandrailError as error:
            await arrived.put(error)

    async def _handle(self, thing: Obj | Key) -> None:
        try:
            if isinstance(thing, Typed):
                await self._typed(thing.text)
            elif isinstance(thing, Interrupt):
                await self._interrupt(thing.at)
            elif isinstance(thing, Eof):
                self._eof = True
                if self._screen.live:
                    self._leave()
            else:
                self.take_in(thing)
        except HandrailError as error:
            if not self._screen.live:
                raise
            self._say(error.message, "red")

    def take_in(self, event: Obj, *, replayed: bool = False) -> None:
        """Show an event and remember what it changes. `replayed`: it happened before this face looked."""
        before = self._transcript.doing
        self._screen.show(self._transcript.feed(event))
        if self._transcript.doing != before:
            self._since = time.monotonic()
        self._meter.take_in(event)
        kind, data = event.get("kind"), event.get("data") or {}
        if kind == Kind.TURN_STARTED:
            self._running = True
            self._arrived(data)
        elif kind == Kind.TURN_ENDED:
            self._running = False
            self._failed = bool(data.get("error")) or data.get("stop_reason") not in {None, "end_turn"}
        elif kind == Kind.PROMPT_WITHDRAWN:
            self._arrived(data)
        elif kind == Kind.CONTROL_CHANGED:
            self._handed_off = data.get("control") == "agent"
        elif kind == Kind.APPROVAL_ASKED:
            self._ask(data, replayed=replayed)
        elif kind == Kind.APPROVAL_ANSWERED:
            self._questions.pop(str(data.get("approval")), None)
        elif not replayed:
            self._perhaps_over(str(kind), data)

    def _perhaps_over(self, kind: str, data: Obj) -> None:
        if kind == Kind.OUTCOME_REACHED:
            self._screen.ring()
            self._handed_off = False
            if self._until is Until.OUTCOME:
                self._exit = EXIT_OF_OUTCOME.get(str(data.get("outcome")), FAILED_OUTCOME)
        elif kind == Kind.SESSION_ENDED:
            self._exit = FAILED_OUTCOME if self._until is Until.OUTCOME else int(self._failed)

    def _ask(self, data: Obj, *, replayed: bool) -> None:
        self._questions[str(data.get("approval"))] = data
        self._asked_at = 0.0 if replayed else time.monotonic()
        if not replayed:
            self._screen.ring()
        if self._screen.live:
            self._screen.show([answers(data)])
        elif not replayed:
            self._say(f"  answer with: handrail approve {data.get('approval')}  (or: handrail deny …)", "yellow")

    async def _typed(self, text: str) -> None:
        if not self._screen.live:
            if text.strip():
                self._waiting_lines.append(text)
        elif self._choosing:
            await self._choose(text.strip().lower())
        elif text.startswith("/"):
            await self._slash(text)
        elif self._questions:
            await self._reply(text)
        elif text.strip():
            await self._send(text)

    async def _send(self, text: str) -> None:
        text = fits(text, "PROMPT", self._client.data)
        told = await self._client.post(f"/sessions/{self._id}/prompts", {"text": text})
        self._sent[str(told.get("prompt"))] = text.strip()

    def _arrived(self, data: Obj) -> None:
        """A prompt is no longer on its way; one that was never queued is known by its text only."""
        text = str(data.get("text") or "").strip()
        # what Handrail has to say of limits stands before it, with an empty line between
        same = (name for name, sent in self._sent.items() if text == sent or text.endswith(f"\n\n{sent}"))
        known = data.get("prompt") or next(same, None)
        self._sent.pop(str(known), None)

    async def _when_idle(self) -> int | None:
        """For a pipe: send the next line when nothing runs, or end after the last one."""
        if self._screen.live or self._until is not Until.LEFT or self._running or self._handed_off:
            return None
        if self._sent:
            return None
        if self._waiting_lines:
            await self._send(self._waiting_lines.pop(0))
            return None
        return int(self._failed) if self._eof else None

    async def _reply(self, text: str) -> None:
        approval, data = next(iter(self._questions.items()))
        if text.strip().lower() in {"s", "show"}:
            self._screen.show([*question(data, full=True), answers(data)])
            return
        reply = understood(text, data)
        if reply is None:
            self._screen.show([line(Span("the agent waits for an answer:", "yellow")), answers(data)])
        elif time.monotonic() - self._asked_at < _GUARD:
            self._say("the question had only just appeared: answer it again", "yellow")
        else:
            await self.answer(approval, reply)

    async def answer(self, approval: str, reply: Reply) -> None:
        """Send an answer; that somebody else was first is said by the server and is no reason to ask again."""
        self._questions.pop(approval, None)
        await self._client.post(f"/approvals/{approval}", reply.body())

    async def _interrupt(self, at: float) -> None:
        again = at - self._interrupted < _TWICE
        self._interrupted = at
        if again or (self._until is not Until.LEFT and not self._screen.live):
            self._leave()
            self._exit = INTERRUPTED
        elif self._until is Until.OUTCOME:
            self._choosing = True
            self._say("d: leave it working and go, c: cancel it, Enter: go on following", "yellow")
        elif self._running:
            self._say("cancelling the turn; Ctrl-C again leaves", "yellow")
            await self._client.post(f"/sessions/{self._id}/cancel")
        else:
            self._say("Ctrl-C again leaves, so does Ctrl-D", "dim")

    async def _choose(self, word: str) -> None:
        self._choosing = False
        if word.startswith("d"):
            self._leave()
            self._exit = INTERRUPTED
        elif word.startswith("c"):
            await self._client.post(f"/sessions/{self._id}/take")
            self._say("cancelled: the session is yours again, what it made is kept", "yellow")
            self._exit = FAILED_OUTCOME

    def _leave(self) -> None:
        self._exit = 0
        goes_on = "works on" if self._running or self._handed_off else "stays"
        self._say(f"the session {goes_on}; come back with: handrail attach {self._id[:12]}", "dim")

    async def _slash(self, text: str) -> None:
        word, _, rest = text.partition(" ")
        act = _SLASH.get(word)
        if act is None:
            self._say(f"no such verb: {word}; /help lists them", "yellow")
        elif act == "quit":
            self._leave()
        elif act == "help":
            self._screen.show([line(row) for row in _HELP.split("\n")])
        else:
            self._screen.show(await self._act(act, rest.strip()))

    async def _act(self, act: str, rest: str) -> list[Out]:
        number = int(rest) if rest.isdigit() else None
        if act == "diff":
            return list(acts.patch_lines(await acts.diff(self._client, self._id, turn=number)))
        if act == "undo":
            return list((await acts.undo(self._client, self._id, number))[1])
        if act == "apply":
            return list((await acts.apply(self._client, self._id, branch=rest or None, uncommitted=False))[1])
        if act == "cost":
            return list(await acts.spent(self._client, self._id))
        if act == "handoff":
            await self._client.post(f"/sessions/{self._id}/handoff", acts.typed_goal(rest))
        else:
            await self._client.post(f"/sessions/{self._id}/take")
        return []

    def _status(self) -> str:
        parts = []
        if self._questions:
            parts.append("the agent waits for your answer")
        elif self._running:
            parts.append(f"{self._transcript.doing or 'working'} {duration(round(time.monotonic() - self._since))}")
        if parts:
            parts.append(self._meter.told())
        if self._running and self._sent:
            parts.append(f"queued {len(self._sent)}")
        if self._running:
            parts.append("Ctrl-C cancels")
        return " · ".join(parts)

    def _say(self, text: str, style: str) -> None:
        self._screen.show([line(Span(text, style))])


_SLASH = {f"/{name}": name for name in ("diff", "undo", "apply", "handoff", "take", "cost", "help", "quit")}
_SLASH |= {"/exit": "quit", "/?": "help"}
