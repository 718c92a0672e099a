"""The roll: who may come in, read from the store and kept in step with it, and with other servers of it."""

from __future__ import annotations

import hashlib
import re
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime, timedelta

from msgspec.structs import replace

from handrail.errors import Conflict, Forbidden, InvalidInput, NotFound
from handrail.identity import YOU
from handrail.store import members as rows
from handrail.store.engine import Store
from handrail.store.members import LoginRow, MemberRow
from handrail.types import Role, now

SIGNED_IN = timedelta(days=30)
"""how long a browser stays signed in"""
LINK = timedelta(days=7)
"""how long a link lets somebody in"""
MOST_BROWSERS = 20
"""browsers of one person; the oldest is signed out for the next"""
AGAIN = 5.0
"""seconds after which what another server did to the roll is known here"""
_NOTED = timedelta(minutes=1)
_NAME = re.compile(r"[a-z][a-z0-9._-]{0,39}")
_TAKEN = frozenset(
    {YOU, "nobody", "handrail", "policy", "schedule", "event", "run", "agent", "workflow", "owner", "member"}
)
"""what the log says of other things than people"""
_BYTES = 32


class Roll:
    """Members and signed-in browsers.

    Args:
        store: where they are kept.
        people: the members.
        browsers: those that are signed in.
        clock: tells the time.
    """

    def __init__(
        self,
        store: Store,
        people: list[MemberRow],
        browsers: list[LoginRow],
        clock: Callable[[], datetime] = now,
    ) -> None:
        self._store = store
        self._clock = clock
        self._people = {row.name: row for row in people}
        self._browsers = {row.cookie: row for row in browsers}
        self._under_way = self._changed = 0

    @classmethod
    async def open(cls, store: Store, clock: Callable[[], datetime] = now) -> Roll:
        """The roll of a store; browsers whose time is over are forgotten."""
        await store.log.write(rows.overdue(clock()))
        return cls(store, await rows.everybody(store), await rows.browsers(store), clock)

    async def again(self) -> float:
        """Read the roll anew, since other servers of the database change it too; returns seconds until the next time.

        What was read while somebody was let in or out here is left: it may be from before that.
        """
        if not self._under_way:
            before = self._changed
            people, browsers = await rows.everybody(self._store), await rows.browsers(self._store)
            if before == self._changed and not self._under_way:
                self._people = {row.name: row for row in people}
                self._browsers = {row.cookie: row for row in browsers}
        return AGAIN

    @contextmanager
    def _changing(self) -> Iterator[None]:
        """The database is being told of a change, which one of the two knows before the other."""
        self._under_way += 1
        try:
            yield
        finally:
            self._under_way -= 1
            self._changed += 1

    def everybody(self) -> list[MemberRow]:
        """The members by name, without those who were removed."""
        return sorted((row for row in self._people.values() if row.revoked is None), key=lambda row: row.name)

    def role(self, name: str) -> Role | None:
        """What somebody may do; None for who is no member."""
        if name == YOU:
            return Role.OWNER
        row = self._people.get(name)
        return None if row is None or row.revoked is not None else row.role

    async def add(self, name: str, role: Role, by: str) -> str:
        """Make somebody a member; returns what a link that lets them in once must hold.

        Raises:
            InvalidInput: the name cannot be one.
            Conflict: there is one of that name.
        """
        if not _NAME.fullmatch(name) or name in _TAKEN:
            mend = "give up to 40 small letters, digits, dots and dashes, beginning with a letter"
            raise InvalidInput("name", name, f"{mend}; {', '.join(sorted(_TAKEN))} mean something else")
        if self.role(name) is not None:
            raise Conflict(f"{name} is a member already: `handrail members link {name}` prints a new link")
        return await self._invited(MemberRow(name=name, role=role, added=self._clock(), added_by=by))

    async def invite(self, name: str) -> str:
        """A new link for a member; the one before opens nothing any more. Browsers stay signed in.

        Raises:
            NotFound: there is no such member.
        """
        return await self._invited(self._member(name))

    async def remove(self, name: str) -> None:
        """Take a member off the roll: their browsers are signed out and their link opens nothing.

        Raises:
            NotFound: there is no such member.
        """
        row = replace(self._member(name), link=None, link_due=None, revoked=self._clock())
        # first here, so that nobody comes in meanwhile
        self._people[name] = row
        for cookie in [login.cookie for login in self._browsers.values() if login.member == name]:
            del self._browsers[cookie]
        with self._changing():
            await self._store.log.write(*rows.put(row), rows.all_out(name))

    def invited(self, token: str) -> MemberRow:
        """Whom a link lets in; it stays good.

        Raises:
            Forbidden: it lets nobody in, or not any more.
        """
        given, at = _digest(token), self._clock()
        for row in self._people.values():
            if row.link == given and row.revoked is None and row.link_due is not None and row.link_due > at:
                return row
        raise Forbidden("This link was used, is too old, or is of another server: ask an owner for a new one.")

    async def accept(self, token: str) -> str:
        """Use a link up; returns the cookie of the browser.

        Raises:
            Forbidden: it lets nobody in, or not any more.
        """
        row = self.invited(token)
        try:
            with self._changing():
                await self._store.log.write(guard=rows.used(_digest(token)))
                self._people[row.name] = replace(self._people[row.name], link=None, link_due=None)
        except Conflict as error:
            raise Forbidden("This link was used just now: ask an owner for a new one.") from error
        return await self.sign_in(row.name)

    async def sign_in(self, name: str) -> str:
        """Let a browser of somebody in, whatever proved who they are; returns its cookie, a new one each time.

        Raises:
            Forbidden: they are no member.
        """
        if self.role(name) is None:
            raise Forbidden(f"{name} is no member here: ask an owner.")
        cookie, at = secrets.token_urlsafe(_BYTES), self._clock()
        login = LoginRow(cookie=_digest(cookie), member=name, created=at, due=at + SIGNED_IN)
        own = sorted((one for one in self._browsers.values() if one.member == name), key=lambda one: one.created)
        gone = own[: max(0, len(own) - MOST_BROWSERS + 1)]
        with self._changing():
            await self._store.log.write(rows.let_in(login), *(rows.out(one.cookie) for one in gone))
            if self.role(name) is None:  # removed meanwhile
                await self._store.log.write(rows.out(login.cookie))
                raise Forbidden(f"{name} is no member here: ask an owner.")
            for one in gone:
                self._browsers.pop(one.cookie, None)
            self._browsers[login.cookie] = login
        return cookie

    async def sign_out(self, cookie: str) -> None:
        """Forget a browser, if it is known."""
        if self._browsers.pop(_digest(cookie), None) is not None:
            with self._changing():
                await self._store.log.write(rows.out(_digest(cookie)))

    def who(self, cookie: str) -> str | None:
        """Whose browser has this cookie; None where nobody's has, or its time is over."""
        login = self._browsers.get(_digest(cookie)) if cookie else None
        if login is None or login.due <= self._clock() or self.role(login.member) is None:
            return None
        return login.member

    async def note(self, name: str) -> None:
        """Note that a member was here, to the minute."""
        row, at = self._people.get(name), self._clock()
        if row is not None and (row.seen is None or at - row.seen >= _NOTED):
            self._people[name] = replace(row, seen=at)
            with self._changing():
                await self._store.log.write(rows.seen(name, at))

    def _member(self, name: str) -> MemberRow:
        row = self._people.get(name)
        if row is None or row.revoked is not None:
            raise NotFound(f"there is no member {name!r}")
        return row

    async def _invited(self, row: MemberRow) -> str:
        token = secrets.token_urlsafe(_BYTES)
        row = replace(row, link=_digest(token), link_due=self._clock() + LINK)
        with self._changing():
            await self._store.log.write(*rows.put(row))
            self._people[row.name] = row
        return token


def _digest(text: str) -> str:
    """What is kept of a secret: it holds 256 random bits, so that a plain hash cannot be guessed back."""
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()
