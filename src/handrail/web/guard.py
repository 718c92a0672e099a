"""The door: who comes in, and what a browser may do with what it gets. What they may do then: `roles`.

Over the unix socket everyone is the owner, since the file's mode (0600) let them in. Over TCP, any program of the
machine and any page in a browser can connect: so a token, a check of `Host` (DNS rebinding) and of `Origin`
(cross-site requests). Cookies know no ports, so SameSite alone does not keep out another local server's page.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import ipaddress
from collections.abc import Awaitable, Callable
from typing import ClassVar
from urllib.parse import urlsplit

from starlette.datastructures import Headers
from starlette.requests import cookie_parser
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from handrail.commands.actor import NOBODY, OWNER, Actor, person
from handrail.errors import Forbidden, HandrailError, SignInNeeded
from handrail.identity import YOU
from handrail.identity.roll import Roll
from handrail.types import Veiled

COOKIE = "handrail"
LINKED = "/answer"
"""the page behind a link of a message; its link is a key of its own, see `pages.links`"""
HOOKS = "/hooks/"
"""where events come in: each is signed, which `commands.events` checks"""
STATIC = "/static/"
"""stylesheet and scripts: the same for everybody, and needed by the page behind a link"""
OPEN_TO_ALL = frozenset({"/health", "/open"})
NEEDED = "Nobody is signed in here: open the link that `handrail open` prints on the machine of this server."
ENDED = "You are signed in here no longer: that ends after 30 days, when you sign out, or when an owner removes you."
POLICY_VIOLATION = 1008
"""https://www.rfc-editor.org/rfc/rfc6455#section-7.4.1"""
SAFE = frozenset({"GET", "HEAD", "OPTIONS"})

_HEADERS = {
    "content-security-policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src 'self' data:; "
        "form-action 'self'; frame-ancestors 'none'; base-uri 'none'"
    ),
    "x-frame-options": "DENY",
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
}


class Keys(Veiled, frozen=True):
    """What opens the door: the token, and what forms are signed with (so that no page holds the token)."""

    veiled: ClassVar = frozenset({"token"})
    token: str

    def form_of(self, actor: Actor) -> str:
        """The value that every form of a page carries (CSRF); each person has another one."""
        return self._derived(f"form {actor.name}")

    def opens(self, token: str) -> bool:
        """Whether `token` is the token, in constant time."""
        return hmac.compare_digest(token.encode("utf-8", "replace"), self.token.encode())

    def signed_form(self, actor: Actor, value: str) -> bool:
        """Whether a form came from one of our pages, made for `actor`, in constant time."""
        return hmac.compare_digest(value.encode("utf-8", "replace"), self.form_of(actor).encode())

    def _derived(self, purpose: str) -> str:
        digest = hmac.digest(self.token.encode(), f"handrail {purpose}".encode(), hashlib.sha256)
        return base64.urlsafe_b64encode(digest).rstrip(b"=").decode()


_RAW = [(name.encode(), value.encode()) for name, value in (*_HEADERS.items(), ("cache-control", "no-store"))]

Refuse = Callable[[Scope, Receive, Send, HandrailError], Awaitable[None]]


class Guard:
    """The door in front of the application.

    Args:
        app: what is behind it.
        keys: what opens it.
        roll: whose browsers are signed in.
        socket: path of the unix socket, as the transport names it; None where there is none.
        host: the address that the server was told to listen on.
        refuse: answers a refusal, as a page or as a problem.
    """

    def __init__(self, app: ASGIApp, *, keys: Keys, roll: Roll, socket: str | None, host: str, refuse: Refuse) -> None:
        self._app = app
        self._keys = keys
        self._roll = roll
        self._socket = socket
        self._host = host
        self._refuse = refuse

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Let a request in as its actor, or refuse it."""
        if scope["type"] == "websocket":
            await self._opened(scope, receive, send)
            return
        if scope["type"] != "http":
            return
        outward = _hardened(send)
        try:
            cookie = self._admit(scope)
        except (Forbidden, SignInNeeded) as error:
            await self._refuse(scope, receive, outward, error)
            return
        if cookie:
            await self._roll.note(scope["handrail.actor"].name)
            outward = self._while_signed_in(cookie, outward)
        await self._app(scope, receive, outward)

    async def _opened(self, scope: Scope, receive: Receive, send: Send) -> None:
        """The same for a WebSocket, which a browser opens with its cookie from any page: so its origin decides."""
        seen = {**scope, "method": "POST"}
        try:
            cookie = self._admit(seen)
        except (Forbidden, SignInNeeded):
            await receive()  # websocket.connect
            await send({"type": "websocket.close", "code": POLICY_VIOLATION})  # before it is accepted: 403
            return

        def out() -> bool:
            return bool(cookie) and self._roll.who(cookie) is None

        async def inward() -> Message:
            message = await receive()
            return {"type": "websocket.disconnect", "code": POLICY_VIOLATION} if out() else message

        async def outward(message: Message) -> None:
            await send({"type": "websocket.close", "code": POLICY_VIOLATION} if out() else message)

        await self._app({**scope, "handrail.actor": seen["handrail.actor"]}, inward, outward)

    def _while_signed_in(self, cookie: str, send: Send) -> Send:
        """What a stream sends, until its browser is signed out: then it ends, and nothing more goes out."""
        ended = False

        async def outward(message: Message) -> None:
            nonlocal ended
            if ended:
                return
            if message.get("more_body") and self._roll.who(cookie) is None:
                ended = True
                message = {"type": "http.response.body", "body": b"", "more_body": False}
            await send(message)

        return outward

    def _admit(self, scope: Scope) -> str:
        """Say in `scope` who asks; returns the cookie where that was what told it.

        Raises:
            Forbidden: this may not come in.
            SignInNeeded: nobody said who they are.
        """
        scope["handrail.actor"] = OWNER
        if self._socket is not None and scope.get("server") == (self._socket, None):
            return ""
        # reached under the name that people know this server by
        if scope["path"] == LINKED or scope["path"].startswith((HOOKS, STATIC)):
            scope["handrail.actor"] = NOBODY
            return ""
        headers = Headers(scope=scope)
        host = headers.get("host", "")
        if not is_loopback(host, self._host):
            raise Forbidden(f"This server answers on this machine only, not for the host {host[:100]!r}.")
        origin = headers.get("origin")
        if origin is not None and not _same_origin(origin, host):
            raise Forbidden(f"A page of {origin[:100]!r} may not call this server.")
        scheme, _, token = headers.get("authorization", "").partition(" ")
        if token and scope["path"] not in OPEN_TO_ALL:
            if scheme.lower() == "bearer" and self._keys.opens(token.strip()):
                return ""
            raise SignInNeeded(
                "The token is not the one of this server: take it from server.json in the data directory."
            )
        # a browser sends Origin with every request that changes something; one that does not is no browser of today
        if scope["method"] not in SAFE and origin is None and (scope["path"] in OPEN_TO_ALL or cookie_of(headers)):
            raise Forbidden("A request by cookie must say its origin.")
        return self._by_cookie(scope, cookie_of(headers))

    def _by_cookie(self, scope: Scope, cookie: str) -> str:
        name = self._roll.who(cookie)
        role = None if name is None else self._roll.role(name)
        if name is not None and role is not None:
            scope["handrail.actor"] = OWNER if name == YOU else person(name, role)
            return cookie
        scope["handrail.actor"] = NOBODY
        if scope["path"] in OPEN_TO_ALL:
            return ""
        raise SignInNeeded(ENDED if cookie else NEEDED)


def is_loopback(host: str, listening: str) -> bool:
    """Whether a `Host` header names this machine by a loopback name, so that no foreign domain is rebound to it."""
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        return False
    if name == "localhost" or name.endswith(".localhost") or name == listening.lower():
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def _same_origin(origin: str, host: str) -> bool:
    parts = urlsplit(origin)
    return parts.scheme == "http" and parts.netloc.lower() == host.lower()


def cookie_of(headers: Headers) -> str:
    """The cookie that tells who a browser is; empty where there is none."""
    return cookie_parser(headers.get("cookie", "")).get(COOKIE, "")


def _hardened(send: Send) -> Send:
    async def outward(message: Message) -> None:
        if message["type"] == "http.response.start":
            told = [*message["headers"]]
            names = {name.lower() for name, _ in told}
            message = {**message, "headers": [*told, *(pair for pair in _RAW if pair[0] not in names)]}
        await send(message)

    return outward
