"""The rooms wired together: opened in order, closed in the other order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable, Mapping

from msgspec import Struct

from handrail.agents.roster import Roster
from handrail.clock import Clock
from handrail.commands import secrets, shelf
from handrail.commands.budgets import load_prices
from handrail.commands.courier import Courier
from handrail.commands.desk import Desk, Running
from handrail.commands.forge_shelf import ForgeShelf
from handrail.commands.launch import Launch
from handrail.commands.outward import Outward
from handrail.commands.polls import Asking
from handrail.commands.proposing import Proposing
from handrail.commands.shelf import Shelf
from handrail.commands.walls import Probes
from handrail.config import Config
from handrail.egress.addresses import Guard
from handrail.egress.proxy import Egress
from handrail.egress.vault import Vault
from handrail.forges import mcp
from handrail.gateway.keys import load_master
from handrail.gateway.server import Gateway
from handrail.identity.roll import AGAIN, Roll
from handrail.loop import Loop
from handrail.notify.links import Links
from handrail.notify.post import Post
from handrail.runs.local import LocalCarrier, LocalSources
from handrail.runs.peers import Peers, identity
from handrail.runs.rooms import Rooms as RunRooms
from handrail.runs.supervisor import Runs
from handrail.sandbox.backends import open_backend
from handrail.sessions.rooms import Rooms
from handrail.sessions.supervisor import Sessions
from handrail.store.engine import Store
from handrail.triggers.dispatch import Dispatcher
from handrail.triggers.foresight import Foresight
from handrail.triggers.poller import Poller
from handrail.triggers.sources import Sources
from handrail.triggers.ticker import Ticker
from handrail.types import SandboxKind, SessionId

LOG = logging.getLogger("handrail.server")
SESSIONS_GRACE = 6.0
"""seconds for the sessions to end their agents"""


class Parts(Struct, frozen=True):
    """The rooms below sessions, opened."""

    store: Store
    shelf: Shelf
    forges: ForgeShelf
    vault: Vault
    post: Post
    gateway: Gateway
    probes: Probes
    roster: Roster
    egress: Egress
    roll: Roll


@contextlib.asynccontextmanager
async def desk(config: Config, running: Running, environ: Mapping[str, str]) -> AsyncIterator[Desk]:
    """The desk of a server, with sessions and runs that go on where the last server left them.

    Raises:
        HandrailError: the data directory cannot be used.
    """
    async with contextlib.AsyncExitStack() as closing:
        parts = await _open(closing, config, running, environ)
        bell: list[Runs] = []  # sessions are made before the runs that hear of their outcomes

        def settled(session: SessionId) -> None:
            for runs in bell:
                runs.settled(session)

        sessions = Sessions(_rooms(config, parts, settled))
        closing.push_async_callback(_stop, sessions)
        outward = Outward(parts.store, config.data, parts.forges, parts.post)
        parts.gateway.mounted[mcp.PATH] = Proposing(parts.store, parts.forges, parts.post.writes).serve
        carrier, sources = LocalCarrier(outward), LocalSources(outward)
        rooms = RunRooms(config, parts.store, sessions, carrier, sources, parts.post.writes, parts.post.clock)
        runs = Runs(rooms)
        bell.append(runs)
        closing.push_async_callback(runs.stop)
        launch = Launch(parts.store, runs, parts.forges)
        ticker = Ticker(parts.store, launch.scheduled, launch)
        closing.push_async_callback(ticker.stop)
        dispatcher = Dispatcher(parts.store, launch.listeners, launch.for_event, parts.post.writes)
        closing.push_async_callback(dispatcher.stop)
        poller = Poller(parts.store, Asking(parts.store, parts.forges), dispatcher.wake)
        closing.push_async_callback(poller.stop)
        foresight = Foresight(parts.store, launch.scheduled, parts.forges.check, parts.post.writes)
        closing.push_async_callback(foresight.stop)
        courier = Courier(parts.store, config.data, carrier, parts.post.writes)
        closing.push_async_callback(courier.stop)
        peers = Peers(rooms, runs)
        closing.push_async_callback(peers.stop)
        for room in (parts.gateway, peers, sessions, parts.post, runs, courier, ticker, dispatcher, poller, foresight):
            await room.start()
        yield Desk(
            config=config,
            store=parts.store,
            sessions=sessions,
            runs=runs,
            launch=launch,
            ticker=ticker,
            sources=Sources(parts.store),
            dispatcher=dispatcher,
            poller=poller,
            shelf=parts.shelf,
            forges=parts.forges,
            vault=parts.vault,
            outward=outward,
            courier=courier,
            gateway=parts.gateway,
            probes=parts.probes,
            roster=parts.roster,
            post=parts.post,
            roll=parts.roll,
            running=running,
        )


async def _open(
    closing: contextlib.AsyncExitStack, config: Config, running: Running, environ: Mapping[str, str]
) -> Parts:
    """The rooms below sessions, in the order in which they need each other."""
    backends = {kind: open_backend(kind) for kind in SandboxKind}
    probes = Probes(backends)
    store = await closing.enter_async_context(await Store.open(config.place))
    store.server = identity(config.data) if store.shared else store.server
    clock = Clock()
    master = load_master(config.data, environ)
    providers = await shelf.load(store, master, environ)
    forges = ForgeShelf(store, master)
    closing.push_async_callback(forges.close)
    vault = await secrets.load(store, master)
    post = Post(store, config.data, environ, url=running.url, links=Links(master), clock=clock)
    closing.push_async_callback(post.stop)
    gateway = Gateway(providers.registry, clock=clock)
    await load_prices(store, gateway.prices)
    closing.push_async_callback(gateway.close)
    for backend in backends.values():
        closing.push_async_callback(backend.close)
    closing.push_async_callback(probes.stop)
    egress = Egress(Guard(config.inside()))
    closing.push_async_callback(egress.close)
    roster = Roster(config.data, environ)
    roll = await Roll.open(store)
    if store.shared:
        members = Loop("members", roll.again, retry=AGAIN, first=AGAIN)
        closing.push_async_callback(members.stop)
        members.start()
    return Parts(store, providers, forges, vault, post, gateway, probes, roster, egress, roll)


def _rooms(config: Config, parts: Parts, settled: Callable[[SessionId], None]) -> Rooms:
    """What sessions are made with."""
    return Rooms(
        config, parts.store, parts.roster, parts.gateway, parts.probes.backend, parts.egress, parts.vault,
        parts.post.writes, parts.post.clock, settled=settled,
    )  # fmt: skip


async def _stop(sessions: Sessions) -> None:
    try:
        async with asyncio.timeout(SESSIONS_GRACE):
            await sessions.stop()
    except TimeoutError:
        LOG.warning("some agents did not end within %.0f s; they die with this process", SESSIONS_GRACE)
