"""The rooms wired together: opened in order, closed in the other order."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Mapping

from handrail.agents.roster import Roster
from handrail.commands import effects, secrets, shelf
from handrail.commands.desk import Desk, Running
from handrail.commands.forge_shelf import ForgeShelf
from handrail.commands.launch import Launch
from handrail.commands.outward import Outward
from handrail.commands.proposing import Proposing
from handrail.commands.walls import Probes
from handrail.config import Config
from handrail.egress.addresses import Guard
from handrail.egress.proxy import Egress
from handrail.errors import HandrailError
from handrail.forges import mcp
from handrail.gateway.keys import load_master
from handrail.gateway.server import Gateway
from handrail.notify.links import Links
from handrail.notify.post import Post
from handrail.runs.local import LocalCarrier, LocalSources
from handrail.runs.rooms import Rooms as RunRooms
from handrail.runs.supervisor import Runs
from handrail.sandbox.backends import open_backend
from handrail.sessions.rooms import Rooms
from handrail.sessions.supervisor import Sessions
from handrail.store.engine import Store
from handrail.triggers.ticker import Ticker
from handrail.types import SandboxKind, SessionId

LOG = logging.getLogger("handrail.server")
SESSIONS_GRACE = 6.0
"""seconds for the sessions to end their agents"""


@contextlib.asynccontextmanager
async def desk(config: Config, running: Running, environ: Mapping[str, str]) -> AsyncIterator[Desk]:
    """The desk of a server, with sessions that go on where the last server left them.

    Raises:
        HandrailError: the data directory cannot be used.
    """
    backends = {kind: open_backend(kind) for kind in SandboxKind}
    probes = Probes(backends)
    async with contextlib.AsyncExitStack() as closing:
        store = await closing.enter_async_context(await Store.open(config.database))
        master = load_master(config.data, environ)
        providers = await shelf.load(store, master, environ)
        forges = ForgeShelf(store, master)
        closing.push_async_callback(forges.close)
        vault = await secrets.load(store, master)
        post = Post(store, config.data, environ, url=running.url, links=Links(master))
        closing.push_async_callback(post.stop)
        gateway = Gateway(providers.registry)
        closing.push_async_callback(gateway.close)
        for backend in backends.values():
            closing.push_async_callback(backend.close)
        closing.push_async_callback(probes.stop)
        roster = Roster(config.data, environ)
        egress = Egress(Guard(config.inside()))
        closing.push_async_callback(egress.close)
        bell: list[Runs] = []  # sessions are made before the runs that hear of their outcomes

        def settled(session: SessionId) -> None:
            for runs in bell:
                runs.settled(session)

        rooms = Rooms(config, store, roster, gateway, probes.backend, egress, vault, post.writes, settled=settled)
        sessions = Sessions(rooms)
        closing.push_async_callback(_stop, sessions)
        outward = Outward(store, config.data, forges, post)
        gateway.mounted[mcp.PATH] = Proposing(store, forges, post.writes).serve
        runs = Runs(RunRooms(config, store, sessions, LocalCarrier(outward), LocalSources(outward), post.writes))
        bell.append(runs)
        closing.push_async_callback(runs.stop)
        launch = Launch(store, runs, forges)
        ticker = Ticker(store, launch.scheduled, launch)
        closing.push_async_callback(ticker.stop)
        await gateway.start()
        await sessions.start()
        await post.start()
        await runs.start()
        await ticker.start()
        made = Desk(
            config, store, sessions, runs, launch, ticker, providers, forges, vault, outward, gateway, probes, roster,
            post, running,
        )  # fmt: skip
        resuming = asyncio.create_task(_resume(made))
        closing.callback(resuming.cancel)
        yield made


async def _resume(made: Desk) -> None:
    try:
        await effects.resume(made)
    except HandrailError as error:
        LOG.warning("effects that were under way wait for the next start: %s", error)


async def _stop(sessions: Sessions) -> None:
    try:
        async with asyncio.timeout(SESSIONS_GRACE):
            await sessions.stop()
    except TimeoutError:
        LOG.warning("some agents did not end within %.0f s; they die with this process", SESSIONS_GRACE)
