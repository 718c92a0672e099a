"""Calls the model: one connection kept open, answers streamed, failures tried again within bounds."""

from __future__ import annotations

import email.utils
import json
import random
import re
import socket
import time
from collections.abc import Callable
from contextlib import suppress

import httpx2

from handrail.agents.own.cancel import Cancel
from handrail.agents.own.messages import Answer, Json
from handrail.agents.own.settings import Settings
from handrail.agents.own.wires import Draft, ModelError, StreamBroken, Wire

_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
_KINDS = {401: "authentication_failed", 403: "authentication_failed", 402: "billing_error", 429: "rate_limit"}
_SPENT = re.compile(r"insufficient_quota|quota exceeded|budget|billing|credit balance", re.IGNORECASE)
_TOO_LONG = re.compile(r"context.{0,20}(length|window)|(prompt|input).{0,20}too long|token count", re.IGNORECASE)
_LONGEST_WAIT = 60.0
"""seconds; a provider that asks for more is not waited for"""


class _AgainError(Exception):
    """An attempt failed in a way that may pass; `after` is how many seconds the provider asks for."""

    def __init__(self, reason: str, kind: str = "server_error", after: float | None = None) -> None:
        super().__init__(reason)
        self.kind = kind
        self.after = after


class Model:
    """The provider as one session's turns see it; one call at a time."""

    def __init__(self, settings: Settings, wire: Wire) -> None:
        self.wire = wire
        self._settings = settings
        self._socket: socket.socket | None = None
        local = settings.url.startswith("http://")
        # Loading the certificates takes 20 ms: not for a gateway on loopback. Proxies are for the world outside.
        self._client = httpx2.Client(verify=not local, trust_env=not local)
        self._url = httpx2.URL(f"{settings.url or 'http://127.0.0.1:1'}{wire.path(settings.model)}")
        self._headers = wire.headers(settings.token) | {
            "content-type": "application/json",
            "accept-encoding": "identity",
            "user-agent": "handrail",
        }
        self._timeout = {"connect": 10.0, "read": settings.idle, "write": 60.0, "pool": 10.0}

    def ask(
        self, body: bytes, first: int, cancel: Cancel, told: Callable[[Draft], None], failed: Callable[[str], None]
    ) -> Answer:
        """One answer, tool calls numbered from `first`.

        Args:
            body: the whole request.
            first: number of the first tool call.
            cancel: ends the call at once.
            told: called whenever something new was streamed.
            failed: called with a sentence before an attempt is repeated.

        Raises:
            Cancelled: by `cancel`.
            ModelError: refused, or still failing at the last attempt.
        """
        for name, value in (("HANDRAIL_MODEL_URL", self._settings.url), ("HANDRAIL_MODEL", self._settings.model)):
            if not value:
                raise ModelError(f"{name} is not set: no model can be asked", "invalid_request")
        attempt = 1
        while True:
            try:
                return self._once(body, first, cancel, told)
            except _AgainError as problem:
                cancel.check()
                wait = problem.after
                if wait is None:
                    wait = self._settings.backoff * 2 ** (attempt - 1) * random.uniform(0.75, 1.25)  # noqa: S311
                if attempt == self._settings.attempts or wait > _LONGEST_WAIT:
                    tries = f"{attempt} attempt{'s' if attempt > 1 else ''}"
                    raise ModelError(f"{problem} (given up after {tries})", problem.kind) from problem
                attempt += 1
                failed(f"{problem}; trying again in {wait:.1f} s, attempt {attempt} of {self._settings.attempts}")
                cancel.sleep(wait)

    def close(self) -> None:
        """Drop the connection."""
        self._client.close()

    def _once(self, body: bytes, first: int, cancel: Cancel, told: Callable[[Draft], None]) -> Answer:
        def watch(event: str, info: Json) -> None:
            # A cancellation must find the socket to shut; a new one may be connected at any attempt.
            if event.endswith(("connect_tcp.complete", "start_tls.complete")):
                self._socket = info["return_value"].get_extra_info("socket")
                cancel.check()

        extensions = {"timeout": self._timeout, "trace": watch}
        request = httpx2.Request("POST", self._url, headers=self._headers, content=body, extensions=extensions)
        try:
            with cancel.stopping(self._shut):
                response = self._client.send(request, stream=True)
                try:
                    if response.status_code != 200:
                        raise self._refusal(response.status_code, response.headers, response.read())
                    return self._stream(response, first, cancel, told)
                finally:
                    response.close()
        except (httpx2.TransportError, StreamBroken, json.JSONDecodeError) as error:
            cancel.check()
            reason = "the stream holds what is not JSON" if isinstance(error, json.JSONDecodeError) else str(error)
            raise _AgainError(f"model call failed: {reason or type(error).__name__}") from error
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise _AgainError(f"model call failed: an event without what it must have ({error!r})") from error

    def _stream(self, response: httpx2.Response, first: int, cancel: Cancel, told: Callable[[Draft], None]) -> Answer:
        draft, rest, read = Draft(), b"", self.wire.read
        for chunk in response.iter_raw():
            cancel.check()
            *lines, rest = (rest + chunk).split(b"\n")
            for line in lines:
                # These four send one line of data an event, so the format's other corners are not needed.
                if not line.startswith(b"data:"):
                    continue
                if (data := line[5:].strip()) == b"[DONE]":
                    draft.stop = draft.stop or "end"
                else:
                    read(draft, json.loads(data))
            if draft.fresh or draft.fresh_thought:
                told(draft)
                draft.fresh = draft.fresh_thought = ""
        return self.wire.finish(draft, first)

    def _refusal(self, status: int, headers: httpx2.Headers, raw: bytes) -> Exception:
        message, spent = _message(raw), bool(_SPENT.search(raw.decode("utf-8", "replace")))
        said = f"model call refused, HTTP {status}: {message}"
        kind = "billing_error" if spent else _KINDS.get(status, "server_error" if status >= 500 else "invalid_request")
        if status in _AGAIN and not (spent and status == 429):
            return _AgainError(said, kind, _retry_after(headers.get("retry-after")))
        return ModelError(said, kind, too_long=status in {400, 413} and bool(_TOO_LONG.search(message)))

    def _shut(self) -> None:
        # Closing would not wake the thread that reads; shutting down does.
        if self._socket is not None:
            with suppress(OSError):
                self._socket.shutdown(socket.SHUT_RDWR)


def _message(raw: bytes) -> str:
    text = raw.decode("utf-8", "replace")
    try:
        value = json.loads(text)
        value = value[0] if isinstance(value, list) else value
        error = value.get("error", value)
        text = error.get("message", text) if isinstance(error, dict) else str(error)
    except (ValueError, AttributeError, IndexError):
        pass
    return " ".join(text.split())[:500] or "no reason given"


def _retry_after(value: str | None) -> float | None:
    """Seconds of a `retry-after` header, which may also be a date (RFC 9110 section 10.2.3)."""
    if not value:
        return None
    with suppress(ValueError):
        return max(0.0, float(value))
    with suppress(ValueError):
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    return None
