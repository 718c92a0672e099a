"""Calls of a forge's API: one client for all forges, lenient reading, every failure one of `faults`."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx2
from msgspec import Struct

from handrail.errors import InvalidInput
from handrail.forges import faults

TIMEOUT = httpx2.Timeout(30.0, connect=10.0)
MOST_PAGES = 50
_SIZE = 100
_NEXT = re.compile(r'<([^>]*)>;\s*rel="next"')

Authorise = Callable[[], Awaitable[Mapping[str, str]]]
"""The headers that let a call in; may ask the forge for a token first."""


def client() -> httpx2.AsyncClient:
    """A client for all forges. It follows no redirect: credentials go where they were meant for and nowhere else."""
    limits = httpx2.Limits(max_connections=32, max_keepalive_connections=8)
    return httpx2.AsyncClient(timeout=TIMEOUT, follow_redirects=False, limits=limits, trust_env=True)


class Answer(Struct, frozen=True):
    """What a forge answered.

    Args:
        data: out of its JSON.
        headers: by lower-case name.
        same: nothing changed since the answer with the tag that was sent along; `data` is None.
    """

    data: Any
    headers: Mapping[str, str]
    same: bool = False


class Api:
    """The calls of one forge with one credential.

    Args:
        http: from `client`.
        name: the forge in words, as the beginning of a sentence.
        base: base URL of its API.
        authorise: what lets a call in.
        size: what the forge calls the length of a page.
    """

    def __init__(
        self, http: httpx2.AsyncClient, name: str, base: str, authorise: Authorise, *, size: str = "per_page"
    ) -> None:
        self._size = size
        self._http = http
        self._name = name
        self._base = base
        self._authorise = authorise

    async def call(
        self,
        method: str,
        path: str,
        what: str,
        *,
        body: Mapping[str, object] | None = None,
        query: Mapping[str, str | int] | None = None,
        headers: Mapping[str, str] | None = None,
        tag: str | None = None,
    ) -> Answer:
        """One call.

        Args:
            method: GET, POST, …
            path: below the base, its parts quoted.
            what: the act in words, for the sentence if it fails: "opening the pull request in a/b".
            body: sent as JSON.
            query: of the URL.
            headers: instead of those of `authorise`.
            tag: of an earlier answer (`etag`): an answer that would be the same is not sent again, and costs nothing.

        Raises:
            ForgeError: anything but 2xx, or no answer.
        """
        said = f"{self._name}: {what}"
        sent = dict(headers) if headers is not None else dict(await self._authorise())
        sent |= {} if tag is None else {"if-none-match": tag}
        try:
            answer = await self._http.request(
                method, self._base + path, json=body, params=dict(query or {}), headers=sent
            )
        except (httpx2.TransportError, httpx2.DecodingError) as error:
            reason = str(error) or type(error).__name__
            raise faults.ForgeDown(f"{said} failed: no answer ({reason[:200]})") from error
        except httpx2.InvalidURL as error:
            raise InvalidInput("url", self._base, "give a URL that can be called") from error
        table = {name.lower(): value for name, value in answer.headers.items()}
        if answer.status_code == 304 and tag is not None:
            return Answer(None, table, same=True)
        if not 200 <= answer.status_code < 300:
            raise faults.of_answer(said, answer.status_code, table, _said(answer.content))
        try:
            data = json.loads(answer.content) if answer.content.strip() else None
        except ValueError as error:
            raise faults.ForgeDown(f"{said} failed: the answer is no JSON; is {self._base} the API?") from error
        return Answer(data, table)

    async def pages(
        self,
        path: str,
        what: str,
        query: Mapping[str, str | int] | None = None,
        *,
        tag: str | None = None,
        heard: Callable[[Answer], None] | None = None,
    ) -> AsyncIterator[Any]:
        """The items of a list, over all its pages.

        Args:
            path: below the base.
            what: the act in words.
            query: of the URL.
            tag: of an earlier first page; where that is the same still, the list is empty.
            heard: is told the answer of each page before its items are given.

        Raises:
            ForgeError: as `call`.
        """
        asked: dict[str, str | int] = {self._size: _SIZE, **(query or {})}
        for page in range(MOST_PAGES):
            answer = await self.call("GET", path, what, query=asked, tag=None if page else tag)
            if heard is not None:
                heard(answer)
            items = (
                answer.data
                if isinstance(answer.data, list)
                else next((value for value in (answer.data or {}).values() if isinstance(value, list)), [])
            )
            for item in items:
                yield item
            following = _NEXT.search(answer.headers.get("link", ""))
            if following is None:
                return
            # only its query is taken: the rest of the address stays ours
            asked |= {name: values[-1] for name, values in parse_qs(urlsplit(following[1]).query).items()}


def _said(content: bytes) -> str:
    """What a forge says went wrong, out of the shapes that forges use."""
    try:
        data = json.loads(content)
    except ValueError:
        return ""
    if not isinstance(data, dict):
        return str(data)
    parts = [data.get("message"), data.get("error"), data.get("error_description"), data.get("errors")]
    return "; ".join(_flat(part) for part in parts if part)


def _flat(part: Any) -> str:
    if isinstance(part, dict):
        return str(part.get("message") or " ".join(f"{key} {_flat(value)}" for key, value in part.items()))
    if isinstance(part, list):
        return "; ".join(_flat(item) for item in part)
    return str(part)
