"""Calls the model: answers streamed, failures tried again within bounds."""

from __future__ import annotations

import json
import random
import re
from collections.abc import Callable
from contextlib import suppress

import httpx2

from handrail.agents.own.cancel import Cancel
from handrail.agents.own.door import Door
from handrail.agents.own.messages import Message
from handrail.agents.own.settings import Settings
from handrail.agents.own.wires import Draft, StreamBroken
from handrail.errors import ProviderError
from handrail.providers import retry_after

_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
_KINDS = {401: "authentication_failed", 403: "authentication_failed", 402: "billing_error", 429: "rate_limit"}
_SPENT = re.compile(r"insufficient_quota|quota exceeded|budget|billing|credit balance", re.IGNORECASE)
_TOO_LONG = re.compile(r"context.{0,20}(length|window)|(prompt|input).{0,20}too long|token count", re.IGNORECASE)
_LARGEST = 64 << 20
"""bytes of one event; OpenAI's last one repeats the whole answer"""
_LONGEST_WAIT = 60.0
"""seconds; a provider that asks for more is not waited for"""


class ModelError(ProviderError):
    """No answer can be had.

    Args:
        message: one sentence.
        kind: of what kind it is, in Claude Code's words, which drivers know.
        again: it may pass, after `wait` seconds where the provider asks for so many.
        too_long: the window is full.
    """

    def __init__(
        self, message: str, kind: str, *, again: bool = False, wait: float | None = None, too_long: bool = False
    ) -> None:
        super().__init__(message)
        self.kind, self.again, self.wait, self.too_long = kind, again, wait, too_long


class Model:
    """The provider as one session's turns see it; one call at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings, wire = settings, settings.wire
        headers = {name: value.format(settings.token) for name, value in wire.headers.items()}
        url = f"{settings.model_url}{wire.path.format(settings.model.removeprefix('models/'))}"
        self._door = Door(url, headers, settings.idle)

    def ask(self, body: bytes, cancel: Cancel, begin: Callable[[], Draft], failed: Callable[[str], None]) -> Message:
        """The answer to the request `body`.

        Each attempt fills a draft that `begin` makes; `failed` is told a sentence before another one. Raises Cancelled
        by `cancel`, ModelError where it is refused or still fails at the last attempt.
        """
        for name in ("model_url", "model"):
            if not getattr(self._settings, name):
                raise ModelError(f"HANDRAIL_{name.upper()} is not set: no model can be asked", "invalid_request")
        attempt, attempts = 0, self._settings.attempts
        while True:
            attempt += 1
            try:
                return self._once(body, cancel, begin())
            except ModelError as problem:
                cancel.check()
                backoff = self._settings.backoff * 2 ** (attempt - 1) * random.uniform(0.75, 1.25)  # noqa: S311
                wait = backoff if problem.wait is None else problem.wait
                if not problem.again:
                    raise
                if attempt == attempts or wait > _LONGEST_WAIT:
                    tries = f"{attempt} attempt{'s' if attempt > 1 else ''}"
                    raise ModelError(f"{problem} (given up after {tries})", problem.kind) from problem
                failed(f"{problem}; trying again in {wait:.1f} s, attempt {attempt + 1} of {attempts}")
            cancel.check(wait)

    def _once(self, body: bytes, cancel: Cancel, draft: Draft) -> Message:
        try:
            with self._door.post(body, cancel) as response:
                if response.status_code != 200:
                    raise _refusal(response)
                for event in httpx2.EventSource(response, max_event_size=_LARGEST):
                    cancel.check()
                    if event.data == "[DONE]":
                        draft.stop = draft.stop or "end"
                    elif event.data:
                        self._settings.wire.read(draft, json.loads(event.data))
                return draft.finish(self._settings.wire)
        except json.JSONDecodeError:
            why = "the stream holds what is not JSON"
        except (httpx2.TransportError, StreamBroken) as error:
            why = str(error) or type(error).__name__
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            why = f"an event without what it must have ({error!r})"
        raise ModelError(f"model call failed: {why}", "server_error", again=True)


def _refusal(response: httpx2.Response) -> ModelError:
    status, text = response.status_code, response.read().decode("utf-8", "replace")
    spent, message = bool(_SPENT.search(text)), _message(text)
    kind = "billing_error" if spent else _KINDS.get(status, "server_error" if status >= 500 else "invalid_request")
    again = status in _AGAIN and not (spent and status == 429)
    wait = retry_after(response.headers.get("retry-after", ""))
    too_long = status in {400, 413} and bool(_TOO_LONG.search(message))
    said = f"model call refused, HTTP {status}: {message}"
    return ModelError(said, kind, again=again, wait=wait, too_long=too_long)


def _message(text: str) -> str:
    with suppress(ValueError, AttributeError, IndexError):
        value = json.loads(text)
        value = value[0] if isinstance(value, list) else value
        error = value.get("error", value)
        text = error.get("message", text) if isinstance(error, dict) else str(error)
    return " ".join(text.split())[:500] or "no reason given"
