"""The desk: the rooms that acts call, wired once by the composition root and handed on as an argument."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime

from msgspec import Struct

from handrail.agents.roster import Roster
from handrail.commands.courier import Courier
from handrail.commands.forge_shelf import ForgeShelf
from handrail.commands.launch import Launch
from handrail.commands.outward import Outward
from handrail.commands.shelf import Shelf
from handrail.commands.walls import Probes
from handrail.config import Config
from handrail.egress.vault import Vault
from handrail.gateway.server import Gateway
from handrail.identity.roll import Roll
from handrail.notify.post import Post
from handrail.runs.supervisor import Runs
from handrail.sessions.supervisor import Sessions
from handrail.store.engine import Store
from handrail.triggers.dispatch import Dispatcher
from handrail.triggers.poller import Poller
from handrail.triggers.sources import Sources
from handrail.triggers.ticker import Ticker


class Running(Struct, frozen=True):
    """The server as it runs now."""

    version: str
    pid: int
    url: str
    socket: str
    started: datetime
    stop: Callable[[], None]
    """ask it to end, in order and soon"""


class Desk(Struct, frozen=True):
    """What acts work with."""

    config: Config
    store: Store
    sessions: Sessions
    runs: Runs
    launch: Launch
    ticker: Ticker
    sources: Sources
    dispatcher: Dispatcher
    poller: Poller
    shelf: Shelf
    forges: ForgeShelf
    vault: Vault
    outward: Outward
    courier: Courier
    gateway: Gateway
    probes: Probes
    roster: Roster
    post: Post
    roll: Roll
    running: Running
