"""Budgets that sessions share: bound in the gateway, kept in the store, counted from the ledger after a restart."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime
from functools import partial

from handrail.errors import InvalidInput, NotFound
from handrail.gateway.server import Gateway
from handrail.store import budgets as rows
from handrail.store.engine import Store
from handrail.types import Budget, Period, Scope, SessionId, Used

KINDS = ("run", "workflow", "member", "team", "session")
"""what sessions can share"""
_SCOPE = re.compile(rf"(?:{'|'.join(KINDS)}):[^\s\x00-\x1f\x7f:][^\x00-\x1f\x7f]{{0,199}}")


def scope(field: str, word: str) -> Scope:
    """A scope, `kind:name`.

    Raises:
        InvalidInput: it is none.
    """
    if not _SCOPE.fullmatch(word):
        raise InvalidInput(field, word, f"give one of {', '.join(KINDS)}, a colon and a name, such as member:alice")
    return Scope(word)


def scopes_of(session: SessionId, given: Iterable[str], by: str) -> tuple[Scope, ...]:
    """What a new session shares: what it was given, who made it (unless a member is given), and itself.

    Raises:
        InvalidInput: one of them is no scope.
    """
    words = [scope("scopes", word) for word in given]
    if not any(word.startswith("member:") for word in words):
        words.append(scope("scopes", f"member:{by}"))
    return tuple(dict.fromkeys((*words, Scope(f"session:{session}"))))


async def put(store: Store, gateway: Gateway, budget: Budget) -> None:
    """Bind a scope from now on, in place of its budget of that period; what it used before counts."""
    await store.log.write(*rows.put(budget))
    await _bind(store, gateway, budget)
    reopen(gateway)


async def remove(store: Store, gateway: Gateway, word: Scope, period: Period | None) -> None:
    """Unbind a scope, or one period of it.

    Raises:
        NotFound: it has no such budget.
    """
    if not any(b.scope == word and period in (None, b.period) for b in await rows.everything(store)):
        span = "" if period is None else f" for a {period.value}" if period is not Period.TOTAL else " in total"
        raise NotFound(f"there is no budget of {word}{span}")
    await store.log.write(guard=rows.remove(word, period))
    gateway.pots.remove(word, period)
    reopen(gateway)


def reopen(gateway: Gateway) -> None:
    """Limits have changed: what was refused may be asked again."""
    for account in gateway.accounts.values():
        account.open()


async def told(gateway: Gateway, word: Scope) -> None:
    """Wait until the ledger knows every ended call of a scope's sessions."""
    for account in list(gateway.accounts.values()):
        if word in account.terms.scopes:
            await account.settled(told=True)


async def load(store: Store, gateway: Gateway) -> None:
    """Bind every budget that is kept, with what the ledger says is used of it, and keep what is spent from now on."""
    gateway.pots.keep = partial(_spend, store)
    for budget in await rows.everything(store):
        await _bind(store, gateway, budget)


async def _bind(store: Store, gateway: Gateway, budget: Budget) -> None:
    async def read(since: datetime | None) -> Used:
        await told(gateway, budget.scope)
        return await rows.used(store, budget.scope, since, gateway.pots.working)

    spent = await rows.spent(store, budget.scope, budget.period)
    await gateway.pots.put(budget, read, spent=spent)


async def _spend(store: Store, budget: Budget) -> None:
    await store.log.write(rows.spend(budget))
