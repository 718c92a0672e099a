"""One HTTP POST as channels need it: bounded in time and size, without redirects, failures in words."""

from __future__ import annotations

from collections.abc import Mapping
from urllib.parse import urlsplit

import httpx2

from handrail.errors import InvalidInput
from handrail.notify import Failure

PATIENCE = 15.0
"""seconds for the whole request"""
_LONGEST = 1 << 16
_AGAIN = frozenset({408, 409, 425, 429})
"""client errors that another try may mend"""


def require_url(field: str, url: str) -> None:
    """Refuse what is no address of a web server.

    Raises:
        InvalidInput: it is none.
    """
    try:
        parts = urlsplit(url)
        good = parts.scheme in ("http", "https") and bool(parts.hostname) and (parts.port is None or parts.port > 0)
    except ValueError:
        good = False
    if not good:
        raise InvalidInput(field, url, "give an address such as https://example.com/hook")


async def post(url: str, body: bytes, headers: Mapping[str, str], *, patience: float = PATIENCE) -> bytes | Failure:
    """Send `body`; returns the answer's first 64 KiB where its status is 2xx."""
    try:
        async with (
            httpx2.AsyncClient(timeout=patience, follow_redirects=False) as client,
            client.stream("POST", url, content=body, headers=dict(headers)) as answer,
        ):
            taken = b""
            async for part in answer.aiter_bytes():
                taken += part
                if len(taken) >= _LONGEST:
                    break
            if answer.is_success:
                return taken[:_LONGEST]
            return _refused(answer, taken)
    except (httpx2.ConnectError, httpx2.ConnectTimeout) as error:
        return Failure(f"{_host(url)} cannot be reached: {error or type(error).__name__}")
    except httpx2.TimeoutException:
        return Failure(f"{_host(url)} did not answer within {patience:.0f} s", unsure=True)
    except httpx2.HTTPError as error:
        return Failure(f"{_host(url)} gave no answer: {error or type(error).__name__}", unsure=True)


def _refused(answer: httpx2.Response, taken: bytes) -> Failure:
    status = answer.status_code
    said = " ".join(taken[:200].decode("utf-8", "replace").split())
    reason = f"{_host(str(answer.request.url))} answered {status}" + (f": {said}" if said else "")
    after = answer.headers.get("retry-after", "")
    wait = float(after) if after.isascii() and after.isdigit() else 0.0
    lasting = status < 500 and status not in _AGAIN
    return Failure(reason, lasting=lasting, wait=min(wait, 3600.0))


def _host(url: str) -> str:
    """The server alone: an address can hold a secret."""
    return urlsplit(url).hostname or "the server"
