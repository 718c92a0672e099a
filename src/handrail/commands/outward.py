"""Where runs meet the world: effects carried out at forges and through channels, repositories brought from forges."""

from __future__ import annotations

import asyncio
import re
import time
from pathlib import Path

from msgspec.structs import asdict

from handrail.automation import EffectKind
from handrail.commands.forge_shelf import ForgeShelf
from handrail.commands.pushing import Pushing
from handrail.errors import ForgeError, HandrailError, InvalidInput, StorageFull, Unavailable
from handrail.forges import ForgeKind, faults
from handrail.forges import effects as e
from handrail.forges.deliver import Patience, carry_out
from handrail.notify import Notice, Occasion
from handrail.notify.post import MAYBE, Post
from handrail.runs.evidence import UNKNOWN
from handrail.runs.plan import Target
from handrail.runs.rooms import Brought, Carried, Refused
from handrail.store import outbox
from handrail.store.effects import EffectRow
from handrail.store.engine import Store
from handrail.store.outbox import OutboxRow
from handrail.store.tables import Delivery
from handrail.types import now
from handrail.workspaces import push
from handrail.workspaces.bring import bring

_PULLS = {ForgeKind.GITHUB: "refs/pull/{}/head", ForgeKind.GITEA: "refs/pull/{}/head"}
_PULLS[ForgeKind.GITLAB] = "refs/merge-requests/{}/head"
_PATIENCE = Patience(tries=2, longest=2.0)
"""whoever has something carried out tries again later, and meanwhile keeps nobody waiting"""
_DELIVERY = 5.0
"""seconds that a message is waited for until it was delivered"""
_PLACE = re.compile(r"([a-z0-9][a-z0-9._-]{0,63}):([A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)+)")


class Outward:
    """A `Carrier` and a `Sources` of runs.

    Args:
        store: the database.
        data: the data directory; what is brought here lies in its `checkouts`.
        forges: the forges that are set up.
        post: delivers messages.
    """

    def __init__(self, store: Store, data: Path, forges: ForgeShelf, post: Post) -> None:
        self._store = store
        self._data = data
        self._forges = forges
        self._post = post

    async def carry(self, effect: EffectRow, source: Path) -> Carried | Refused:
        """See `Carrier.carry`. The marker at the forge is the effect's id."""
        try:
            said = e.parse(effect.kind, effect.body)
            if isinstance(said, e.Message | e.Webhook):
                return await self._tell(effect, said)
            if effect.forge is None or effect.kind not in e.AT_FORGE:
                return Refused("no_forge", f"no forge is named that could carry out a {effect.kind.replace('_', ' ')}")
            forge = await self._forges.get(effect.forge)
            receipt = await carry_out(forge, said, effect.id, push=Pushing(), source=source, patience=_PATIENCE)
        except ForgeError as error:
            return Refused(error.cause, error.message, error.passing, error.wait)
        except InvalidInput as error:
            return Refused("invalid", error.message)
        except HandrailError as error:
            return Refused(error.code, error.message, passing=isinstance(error, StorageFull | Unavailable))
        return Carried(asdict(receipt))

    async def _tell(self, effect: EffectRow, said: e.Message | e.Webhook) -> Carried | Refused:
        """Into the outbox, which has one row for it; it is carried out when it was delivered from there.

        One that may have been delivered is sent again only when a person has the effect tried anew.
        """
        kind = self._post.settings().channels.get(said.channel)
        if kind is None:
            return Refused("not_found", f"there is no channel {said.channel!r} in notify.toml")
        if effect.kind is EffectKind.WEBHOOK and kind.kind != "webhook":
            return Refused("unsupported", f"the channel {said.channel} is no webhook but {kind.kind}")
        facts: dict[str, object] = {"effect": effect.id, "text": said.text}
        if effect.run is not None:
            facts["run"] = effect.run
        notice = Notice(Occasion.MESSAGE, said.title, said.text, effect.session, facts=facts)
        key = f"message:{effect.id}"
        there = await outbox.find(self._store, key, said.channel)
        again = () if there is None or effect.tries > 1 else (outbox.again(there, now()),)
        await self._store.log.write(*again, self._post.one(notice, key, said.channel))
        row = await self._delivered(key, said.channel)
        if row is None or row.state not in (Delivery.SENT, Delivery.DEAD):
            why = f"it waits for the channel {said.channel}" + (f": {row.error}" if row and row.error else "")
            left = 0.0 if row is None or row.due is None else (row.due - now()).total_seconds()
            return Refused("not_delivered", why, passing=True, wait=max(left, 0.0) + _DELIVERY, waits=True)
        if row.state is Delivery.DEAD:
            maybe = str(row.error).startswith(MAYBE)
            return Refused(UNKNOWN if maybe else "not_delivered", f"{said.channel}: {row.error}")
        receipt: dict[str, object] = {"kind": effect.kind, "url": None, "hash": e.digest(said)}
        at = (row.ended or now()).isoformat()
        return Carried({**receipt, "ids": {"outbox": key, "channel": said.channel}, "time": at})

    async def _delivered(self, key: str, channel: str) -> OutboxRow | None:
        """The message once it is on its end, or after a while as it is."""
        until = time.monotonic() + _DELIVERY
        while True:
            row = await outbox.find(self._store, key, channel)
            if row is None or row.due is None or time.monotonic() > until:
                return row
            await asyncio.sleep(0.05)

    async def bring(self, target: Target) -> Brought:
        """See `Sources.bring`: `FORGE:owner/name`, or a clone URL that lies under a forge that is set up."""
        named = _PLACE.fullmatch(target.repository)
        known = (named[1], named[2]) if named else await self._forges.of_remote(target.repository)
        if known is None:
            mend = "give FORGE:owner/name of a forge that is set up (`handrail forges`), or a path"
            raise InvalidInput("repository", target.repository, mend)
        name, repository = known
        forge = await self._forges.get(name)
        remote = await forge.remote(repository)
        refs = (target.ref,) if target.ref else ()
        pull = _PULLS.get(forge.kind)
        foreign = not refs and target.number is not None and pull is not None
        if foreign and pull is not None:
            refs = (pull.format(target.number),)
        place = self._data / "checkouts" / name / repository
        found = await bring(place, remote.url, remote.settings, refs)
        if isinstance(found, push.Refused) and foreign:
            foreign = False  # the number is an issue's
            found = await bring(place, remote.url, remote.settings, ())
        if isinstance(found, push.Refused):
            raise faults.of_git(f"bringing {repository} from {name}", found.said)
        return Brought(place, found, foreign=foreign)
