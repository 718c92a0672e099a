"""One model call: relayed byte for byte, while a reader on the side learns what it used."""

from __future__ import annotations

from datetime import datetime
from time import monotonic

from msgspec import Struct, field

from handrail.gateway import ModelCall, Provider
from handrail.gateway.asks import Ask
from handrail.gateway.demo import Played
from handrail.gateway.forward import Client, answer_headers
from handrail.gateway.listener import Connection, Request
from handrail.gateway.refusals import Reason, refuse
from handrail.gateway.routes import Route
from handrail.gateway.upstream import Answer, BrokenError
from handrail.gateway.usage import Reader, Reading
from handrail.providers import retry_after
from handrail.types import NanoUSD, SessionId, now

_ERROR_LIMIT = 1 << 20
TOO_MANY = 429


class Call(Struct):
    """A call on its way, and what has become of it."""

    client: Client
    provider: Provider
    route: Route
    request: Request
    ask: Ask
    time: datetime = field(default_factory=now)
    status: int = 0
    """what the agent saw; 0 before an answer"""
    sent: bool = False
    """the provider may have begun to work on it"""
    refused: bool = False
    """the provider answered with an error"""
    broken: bool = True
    """the answer has not come to its end"""
    error: str | None = None
    wait: float | None = None
    """seconds after which the provider, out of quota, wants to be asked again"""
    reader: Reader | None = None
    _begun: float = field(default_factory=monotonic)

    def reading(self) -> Reading:
        """What it used. A call that never reached the provider, or was refused there, used nothing."""
        if not self.sent or self.refused:
            return Reading()
        size = len(self.ask.body)
        if self.reader is None:
            return Reading(input=size // 4, partial=True)
        return self.reader.result(request=size, broken=self.broken)

    def metered(self, session: SessionId, reading: Reading, cost: NanoUSD | None) -> ModelCall:
        """The line for the ledger."""
        return ModelCall(
            session=session,
            turn=None,
            time=self.time,
            provider=self.provider.name,
            wire=self.route.wire,
            model=reading.model or self.ask.model,
            status=self.status,
            input_tokens=reading.input,
            cached_tokens=reading.cached,
            output_tokens=reading.output,
            cost=cost,
            partial=reading.partial,
            seconds=monotonic() - self._begun,
            error=self.error,
        )


async def relay(call: Call, out: Connection, *, metered: bool = True) -> None:
    """Send the request on and the answer back.

    What the provider says goes through as it is, errors too; where it says nothing, the agent gets a 502 in its wire's
    shape, or a broken stream if the answer had begun.

    Raises:
        ConnectionError: the agent is gone.
    """
    call.sent = True
    try:
        answer = await call.client.send(call.provider, call.route, call.request, call.ask.body)
    except BrokenError as error:
        call.sent = error.sent
        call.error = f"{error.word} before an answer"
        text = f"the provider {call.provider.name!r} could not be reached ({error.word})"
        refusal = refuse(call.route.format, Reason.UNREACHABLE, text)
        call.status = refusal.status
        await out.respond(refusal.status, refusal.body)
        return
    try:
        await _pass_on(call, answer, out, metered=metered)
    finally:
        answer.drop()


async def _pass_on(call: Call, answer: Answer | Played, out: Connection, *, metered: bool) -> None:
    call.status = answer.status
    if call.status >= 400:
        await _pass_error(call, answer, out)
        return
    if metered:
        sse = answer.header(b"content-type").startswith("text/event-stream")
        call.reader = Reader(call.route.format, sse=sse, encoding=answer.header(b"content-encoding") or "identity")
    await out.begin(call.status, answer_headers(answer))
    try:
        while data := await answer.read():
            # Once sent, then read: the agent's byte never waits for the meter.
            await out.send(data)
            if call.reader:
                call.reader.feed(data)
    except BrokenError as error:
        call.error = f"{error.word} within the answer"
        out.abort()
        return
    call.broken = False
    out.end()


async def _pass_error(call: Call, answer: Answer | Played, out: Connection) -> None:
    """An error goes through as it is, except that our key, should the provider repeat it, is struck out."""
    body = b""
    try:
        while data := await answer.read():
            body += data
            if len(body) > _ERROR_LIMIT:
                break
    except BrokenError as error:
        call.error = f"HTTP {call.status}, then {error.word}"
    key = call.provider.key.encode()
    body = body.replace(key, b"*" * len(key))[:_ERROR_LIMIT]
    shown = body[:300].decode(errors="replace")
    call.error = call.error or f"HTTP {call.status}: {shown}"
    call.refused, call.broken = True, False
    if call.status == TOO_MANY:
        call.wait = retry_after(answer.header(b"retry-after"))
    headers = [header for header in answer_headers(answer) if header[0] != b"content-length"]
    await out.respond(call.status, body, headers)
