"""Calls the model: answers streamed, failures tried again within bounds."""

from __future__ import annotations

import email.utils
import json
import random
import re
import time
from collections.abc import Callable
from contextlib import suppress

import httpx2

from handrail.agents.own.cancel import Cancel
from handrail.agents.own.door import Door
from handrail.agents.own.messages import Message
from handrail.agents.own.settings import Settings
from handrail.agents.own.wires import Draft, StreamBroken, Wire
from handrail.errors import ProviderError

_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
_KINDS = {401: "authentication_failed", 403: "authentication_failed", 402: "billing_error", 429: "rate_limit"}
_SPENT = re.compile(r"insufficient_quota|quota exceeded|budget|billing|credit balance", re.IGNORECASE)
_TOO_LONG = re.compile(r"context.{0,20}(length|window)|(prompt|input).{0,20}too long|token count", re.IGNORECASE)
_LARGEST = 64 << 20
"""bytes of one event; OpenAI's last one repeats the whole answer"""
_LONGEST_WAIT = 60.0
"""seconds; a provider that asks for more is not waited for"""


class ModelError(ProviderError):
    """No answer can be had. `kind` is in Claude Code's words, which drivers know; `too_long`: the window is full."""

    def __init__(self, message: str, kind: str, *, too_long: bool = False) -> None:
        super().__init__(message)
        self.kind, self.too_long = kind, too_long


class _AgainError(ModelError):
    """An attempt failed in a way that may pass; `after` is how many seconds the provider asks for."""

    def __init__(self, message: str, kind: str = "server_error", after: float | None = None) -> None:
        super().__init__(message, kind)
        self.after = after


class Model:
    """The provider as one session's turns see it; one call at a time."""

    def __init__(self, settings: Settings, wire: Wire) -> None:
        self._settings, self._wire = settings, wire
        headers = {name: value.format(settings.token) for name, value in wire.headers.items()}
        url = f"{settings.model_url}{wire.path.format(settings.model.removeprefix('models/'))}"
        self._door = Door(url, headers, settings.idle)

    def ask(
        self, body: bytes, first: int, cancel: Cancel, told: Callable[[Draft], None], failed: Callable[[str], None]
    ) -> Message:
        """The answer to the request `body`, its calls numbered from `first`.

        `told` is called whenever something came, `failed` with a sentence before an attempt is repeated. Raises
        Cancelled by `cancel`, ModelError where it is refused or still fails at the last attempt.
        """
        for name in ("model_url", "model"):
            if not getattr(self._settings, name):
                raise ModelError(f"HANDRAIL_{name.upper()} is not set: no model can be asked", "invalid_request")
        attempts, attempt = self._settings.attempts, 1
        while True:
            try:
                return self._once(body, first, cancel, told)
            except _AgainError as problem:
                cancel.check()
                backoff = self._settings.backoff * 2 ** (attempt - 1) * random.uniform(0.75, 1.25)  # noqa: S311
                wait = backoff if problem.after is None else problem.after
                if attempt == attempts or wait > _LONGEST_WAIT:
                    tries = f"{attempt} attempt{'s' if attempt > 1 else ''}"
                    raise ModelError(f"{problem} (given up after {tries})", problem.kind) from problem
                attempt += 1
                failed(f"{problem}; trying again in {wait:.1f} s, attempt {attempt} of {attempts}")
                cancel.check(wait)

    def _once(self, body: bytes, first: int, cancel: Cancel, told: Callable[[Draft], None]) -> Message:
        draft = Draft()
        try:
            with self._door.post(body, cancel) as response:
                if response.status_code != 200:
                    raise _refusal(response.status_code, response.headers, response.read())
                for event in httpx2.EventSource(response, max_event_size=_LARGEST):
                    cancel.check()
                    if event.data == "[DONE]":
                        draft.stop = draft.stop or "end"
                    elif event.data:
                        self._wire.read(draft, json.loads(event.data))
                        told(draft)
                return draft.finish(self._wire.name, first)
        except json.JSONDecodeError as error:
            raise _AgainError("model call failed: the stream holds what is not JSON") from error
        except (httpx2.TransportError, StreamBroken) as error:
            raise _AgainError(f"model call failed: {str(error) or type(error).__name__}") from error
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            raise _AgainError(f"model call failed: an event without what it must have ({error!r})") from error


def _refusal(status: int, headers: httpx2.Headers, raw: bytes) -> ModelError:
    text = raw.decode("utf-8", "replace")
    spent, message = bool(_SPENT.search(text)), _message(text)
    said = f"model call refused, HTTP {status}: {message}"
    kind = "billing_error" if spent else _KINDS.get(status, "server_error" if status >= 500 else "invalid_request")
    if status in _AGAIN and not (spent and status == 429):
        return _AgainError(said, kind, _retry_after(headers.get("retry-after", "")))
    return ModelError(said, kind, too_long=status in {400, 413} and bool(_TOO_LONG.search(message)))


def _message(text: str) -> str:
    with suppress(ValueError, AttributeError, IndexError):
        value = json.loads(text)
        value = value[0] if isinstance(value, list) else value
        error = value.get("error", value)
        text = error.get("message", text) if isinstance(error, dict) else str(error)
    return " ".join(text.split())[:500] or "no reason given"


def _retry_after(value: str) -> float | None:
    """Seconds of a `retry-after` header, which may also be a date (RFC 9110 section 10.2.3)."""
    with suppress(ValueError):
        return max(0.0, float(value))
    with suppress(ValueError):
        return max(0.0, email.utils.parsedate_to_datetime(value).timestamp() - time.time())
    return None
