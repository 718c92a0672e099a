"""The gateway itself: who may call, what it may cost, where it goes, what it used."""

from __future__ import annotations

import asyncio
import logging
import secrets
import socket
from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import unquote

from handrail.errors import HandrailError, InvalidInput
from handrail.gateway import Grant, OnCall, listener
from handrail.gateway.accounts import Account, BudgetSpentError, Reservation, Terms
from handrail.gateway.asks import DEFAULT_OUTPUT, Ask, MalformedError, read
from handrail.gateway.calls import Call, relay
from handrail.gateway.forward import Client
from handrail.gateway.listener import Connection, Request
from handrail.gateway.pots import Pots
from handrail.gateway.prices import Price, Prices
from handrail.gateway.providers import Providers
from handrail.gateway.refusals import Reason, Refusal, refuse
from handrail.gateway.routes import Action, Format, Route, guess, match
from handrail.gateway.upstream import Timeouts
from handrail.gateway.usage import Reading
from handrail.types import NanoUSD, Scope, SessionId, now

_LOG = logging.getLogger(__name__)
_MODELS = 1000
"""models whose longest output is remembered, at the most"""

Mounted = Callable[[SessionId, Request, Connection], Awaitable[None]]
"""answers one request of a session at a path that is not the gateway's own"""


class Gateway:
    """The one door to model providers; a `Meter`. Use it from one event loop.

    Args:
        providers: where calls go; may be changed while it runs.
        prices: the user's own prices, by `provider/model` or model (`*` allowed); they win over the price list.
        timeouts: how long providers may take.
        clock: tells the time that the periods of budgets go by.
    """

    def __init__(
        self,
        providers: Providers | None = None,
        prices: Mapping[str, Price] | None = None,
        timeouts: Timeouts | None = None,
        clock: Callable[[], datetime] = now,
    ) -> None:
        self.providers = providers or Providers()
        self.pots = Pots(clock)
        """budgets that sessions share"""
        self.prices = Prices(prices)
        self._longest: dict[str, int] = {}
        self._client = Client(timeouts or Timeouts())
        self._tokens: dict[str, Account] = {}
        self.accounts: dict[SessionId, Account] = {}
        """of the sessions with a live grant"""
        self._doors: set[Callable[[], Awaitable[None]]] = set()
        self._tasks: set[asyncio.Task[None]] = set()
        self.mounted: dict[str, Mounted] = {}
        """what else answers at a path of every session's door; who calls is known by the session's token"""

    # --- Meter ---

    def grant(
        self,
        session: SessionId,
        *,
        budget: NanoUSD | None,
        spent: NanoUSD,
        on_call: OnCall,
        provider: str | None = None,
        turn_budget: NanoUSD | None = None,
        scopes: Sequence[Scope] = (),
        models: bool = True,
    ) -> Grant:
        """Open the door for a session (see `Meter`). A grant that it already had ends here, and its calls with it.

        Args:
            session: whose calls these are.
            budget: cap over everything, `spent` included; None is no cap.
            spent: what the ledger already holds for the session; 0 lets the cap count from now.
            on_call: told of each ended call, in order; near the cap, no further call of the session is admitted until
                it has returned (see `accounts`). If it raises, the call is kept and told again before the next one,
                which is refused if that fails too.
            provider: the provider's name that the session asked for; others serve the wires it does not speak.
            turn_budget: cap of each turn; None is no cap.
            scopes: whose shared budgets bind the session as well.
            models: its token opens models, and not only what is `mounted`.

        Raises:
            InvalidInput: a budget is negative.
            NotFound: there is no provider of that name.
        """
        _check(budget)
        _check(turn_budget)
        if provider is not None:
            self.providers.get(provider)
        self.revoke(session)
        token = f"handrail-{secrets.token_urlsafe(24)}"
        terms = Terms(budget, spent, turn_budget, tuple(scopes))
        account = Account(session, token, terms=terms, pots=self.pots, on_call=on_call, provider=provider)
        account.models = models
        self.accounts[session] = self._tokens[token] = account
        return Grant(session, token, budget)

    def set_budget(self, session: SessionId, budget: NanoUSD | None) -> None:
        """Change the cap of a live grant; counts as in `grant`. Without a grant nothing happens.

        Raises:
            InvalidInput: the budget is negative.
        """
        _check(budget)
        if account := self.accounts.get(session):
            account.budget = budget

    def revoke(self, session: SessionId) -> None:
        """The session's token is dead from now on, and its calls under way are cut. Idempotent."""
        if account := self.accounts.pop(session, None):
            del self._tokens[account.token]
            account.cut()

    def exhausted(self, session: SessionId) -> str | None:
        """Which budget is spent, so that calls were refused or would be; None while calls may leave."""
        account = self.accounts.get(session)
        return None if account is None else account.exhausted

    async def told(self, session: SessionId) -> None:
        """Wait until the ledger knows every ended call of the session (see `Meter`)."""
        if account := self.accounts.get(session):
            await account.settled(told=True)

    def spent(self, session: SessionId) -> NanoUSD:
        """What a session with a live grant has spent, `spent` of the grant included; 0 without one."""
        account = self.accounts.get(session)
        return NanoUSD(account.spent if account else 0)

    # --- life ---

    async def start(self) -> None:
        """Make the client to the providers ready: it reads the system's certificates while the rest starts."""
        self._client.open()

    async def serve(self, sock: socket.socket) -> Callable[[], Awaitable[None]]:
        """Serve a listening socket, TCP or unix, until the returned closer is awaited (a sandbox `Door`).

        The price list begins to load with the first door, while the agent behind it starts.
        """
        self.prices.warm()
        close = await listener.serve(sock, self._handle)
        self._doors.add(close)

        async def closer() -> None:
            if close in self._doors:
                self._doors.discard(close)
                await close()

        return closer

    def entrance(self) -> listener.Entrance:
        """What makes the protocol of each connection, for a port shared with something else; who asks closes it."""
        self.prices.warm()
        return listener.Entrance(self._handle)

    async def close(self) -> None:
        """Cut every call, settle it, tell the ledgers, close every door and connection. Idempotent."""
        for session in list(self.accounts):
            self.revoke(session)
        for door in list(self._doors):
            self._doors.discard(door)
            await door()
        while self._tasks:
            await asyncio.wait(self._tasks)
        await self._client.close()
        await self.prices.close()

    # --- requests ---

    async def _handle(self, request: Request, out: Connection) -> None:
        if (mounted := self.mounted.get(request.path)) is not None:
            await _elsewhere(mounted, self._account(request), request, out)
            return
        route = match(request.method, request.path, request.table)
        if route is None:
            text = f"{request.method} {request.path[:200]} is not a path of the gateway"
            await _say(out, refuse(guess(request.path), Reason.NOT_FOUND, text))
            return
        if route.action is Action.ALIVE:
            await out.respond(200, b'{"handrail": "gateway"}')
            return
        account = self._account(request)
        if account is None:
            text = "the session's token is missing, unknown or no longer valid"
            await _say(out, refuse(route.format, Reason.TOKEN, text))
            return
        task = asyncio.current_task()
        if task:
            account.calls.add(task)
        try:
            await self._admit(account, route, request, out)
        except (ConnectionError, asyncio.CancelledError):
            out.abort()
            raise
        except Exception:  # noqa: BLE001  # the edge of a request: say it, keep serving the others
            _LOG.exception("A model call of session %s failed inside the gateway", account.session)
            if out.begun:
                out.abort()
            else:
                await _say(out, refuse(route.format, Reason.INTERNAL, "the gateway failed; its log says why"))
        finally:
            if task:
                account.calls.discard(task)

    def _account(self, request: Request) -> Account | None:
        for candidate in _tokens(request):
            if account := self._tokens.get(candidate):
                return account
        return None

    async def _admit(self, account: Account, route: Route, request: Request, out: Connection) -> None:
        provider = self.providers.resolve(route.wire, account.provider) if account.models else None
        if provider is None:
            text = f"no provider speaks {route.wire.value} here: add one, or set its key in the environment"
            if not account.models:
                text = "the agent of this session has a login of its own, and no model of this server"
            await _say(out, refuse(route.format, Reason.PROVIDER, text))
            return
        if route.action is Action.LOOK:
            await relay(Call(self._client, provider, route, request, Ask(route, request.body)), out, metered=False)
            return
        if request.table.get("content-encoding", "identity") != "identity":
            await _say(out, refuse(route.format, Reason.REQUEST, "send the body without content-encoding"))
            return
        try:
            ask = read(route, request.body, whole=account.capped)
        except MalformedError as error:
            await _say(out, refuse(route.format, Reason.REQUEST, str(error)))
            return
        call = Call(self._client, provider, route, request, ask)
        try:
            await account.settled()
            reserved = await account.reserve(*await self._estimate(account, call))
        except BudgetSpentError as error:
            await _say(out, refuse(route.format, Reason.BUDGET, str(error)))
            return
        except HandrailError as error:
            await _say(out, refuse(route.format, Reason.INTERNAL, f"the ledger cannot be written: {error.message}"))
            return
        try:
            await relay(call, out)
        finally:
            self._settle(account, call, reserved)

    async def _estimate(self, account: Account, call: Call) -> tuple[int | None, int]:
        """The most that a call is expected to cost (None: it has no price), and its tokens."""
        if not account.capped:
            return None, 0
        body, longest = call.ask.body, call.ask.max_output
        if longest is None:
            longest = max(DEFAULT_OUTPUT, self._longest.get(call.ask.model, 0))
        given = len(body) // 3 + 1
        kept = given if call.route.format is Format.ANTHROPIC and b'"cache_control"' in body else 0
        reading = Reading(input=given, cache_written=kept, output=longest)
        cost = await self.prices.cost(call.provider, call.route.format, (call.ask.model,), reading, now())
        return cost, given + longest

    def _settle(self, account: Account, call: Call, reserved: Reservation) -> None:
        if self.prices.loaded:
            self._count(account, call, reserved)
            self._keep(self._tell(account))
        else:
            account.settling(self._keep(self._record(account, call, reserved)))

    def _keep(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _record(self, account: Account, call: Call, reserved: Reservation) -> None:
        await self.prices.ready()
        self._count(account, call, reserved)
        await self._tell(account)

    def _count(self, account: Account, call: Call, reserved: Reservation) -> None:
        """Put what the call cost in the place of what was reserved for it."""
        account.resets = None if call.wait is None else now() + timedelta(seconds=call.wait)
        reading = call.reading()
        cost: NanoUSD | None = NanoUSD(0)
        if account.capped:
            _learn(self._longest, call.ask.model, reading.output)
        if reading.input or reading.output:
            # The answer's name is enough as a rule; for the other one the whole request would have to be read.
            enough = reading.model and not self.prices.overrides
            names = (reading.model,) if enough else (reading.model, call.ask.model)
            cost = self.prices.known(call.provider, call.route.format, names, reading, call.time)
            if cost is None and enough:
                cost = self.prices.known(call.provider, call.route.format, (call.ask.model,), reading, call.time)
        account.settle(reserved, call.metered(account.session, reading, cost))

    async def _tell(self, account: Account) -> None:
        try:
            await account.tell()
        except Exception:  # noqa: BLE001  # the edge of a task: the call is kept and told again before the next one
            _LOG.exception("The ledger of session %s did not take a model call", account.session)


async def _elsewhere(mounted: Mounted, account: Account | None, request: Request, out: Connection) -> None:
    if account is None:
        await out.respond(401, b'{"error": "the token of the session is missing or no longer valid"}')
        return
    try:
        await mounted(account.session, request, out)
    except (ConnectionError, asyncio.CancelledError):
        out.abort()
        raise
    except Exception:  # noqa: BLE001  # the edge of a request: say it, keep serving the others
        _LOG.exception("A request of session %s to %s failed", account.session, request.path)
        if out.begun:
            out.abort()
        else:
            await out.respond(500, b'{"error": "this failed inside Handrail; its log says why"}')


def _learn(longest: dict[str, int], model: str, output: int) -> None:
    """Remember the longest output of a model; names come from agents, so not any number of them."""
    known = longest.get(model)
    if output > (known or DEFAULT_OUTPUT) and (known is not None or len(longest) < _MODELS):
        longest[model] = output


def _check(budget: int | None) -> None:
    if budget is not None and budget < 0:
        raise InvalidInput("budget", budget, "give an amount of 0 or more, or none")


async def _say(out: Connection, refusal: Refusal) -> None:
    # OpenAI's and Anthropic's own clients read this header before they retry.
    headers = [(b"content-type", b"application/json"), (b"x-should-retry", b"false")]
    await out.respond(refusal.status, refusal.body, headers)


def _tokens(request: Request) -> list[str]:
    """Where agents put their key: a header of each wire, or Gemini's query."""
    table = request.table
    scheme, _, bearer = table.get("authorization", "").partition(" ")
    named = [unquote(part[4:]) for part in request.query.split("&") if part.startswith("key=")]
    found = [table.get("x-api-key"), bearer.strip() if scheme.lower() == "bearer" else None]
    return [token for token in (*found, table.get("x-goog-api-key"), *named) if token]
