"""Calls the model: a connection that a cancellation shuts, answers streamed, failures tried again within bounds."""

from __future__ import annotations

import json
import random
import re
import secrets
from collections.abc import Callable, Iterator

from handrail.agents.door import Answer, Door, DoorError, events
from handrail.agents.own.cancel import Cancel
from handrail.agents.own.settings import Settings
from handrail.agents.own.wires import WIRES, Message, StreamBroken
from handrail.errors import ProviderError
from handrail.providers import retry_after

_AGAIN = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 520, 522, 524, 529})
_SPENT = re.compile(r"insufficient_quota|quota exceeded|budget|billing|credit balance", re.IGNORECASE)
_TOO_LONG = re.compile(r"context.{0,20}(length|window)|(prompt|input).{0,20}too long|token count", re.IGNORECASE)
_MESSAGE = re.compile(r'"message"\s*:\s*("(?:[^"\\]|\\.)*")')
"""where the reason stands in a refusal, whatever is round it"""
_LONGEST_WAIT = 60.0
"""seconds; a provider that asks for more is not waited for"""


class ModelError(ProviderError):
    """No answer can be had.

    Args:
        message: one sentence, by whose words drivers know of what kind it is.
        wait: seconds after which it may pass, 0 where nobody knows how many; None: it will not.
        refused: the HTTP status of a refusal, if it is one.
    """

    def __init__(self, message: str, wait: float | None = None, refused: int = 0) -> None:
        super().__init__(message)
        self.wait, self.refused = wait, refused
        self.too_long = refused in {400, 413} and bool(_TOO_LONG.search(message))  # the window is full


class Model:
    """The provider as one session's turns see it; one call at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings, self._wire = settings, WIRES[settings.wire]
        headers = {name: value.format(settings.token) for name, value in self._wire.headers.items()}
        base = settings.model_url.rstrip("/").removesuffix("/v1beta").removesuffix("/v1")
        path = self._wire.path.format(settings.model.removeprefix("models/"))
        self.door = Door(f"{base}{path}", headers, settings.idle)

    def ask(self, body: bytes, cancel: Cancel, failed: Callable[[str], None]) -> Iterator[Message]:
        """The answer to the request `body` as it grows, the last time whole; each attempt makes one of its own.

        `failed` is told a sentence before another attempt. Raises Cancelled by `cancel`, ModelError where it is refused
        or still fails at the last one.
        """
        for name in ("model_url", "model"):
            if not getattr(self._settings, name):
                raise ModelError(f"HANDRAIL_{name.upper()} is not set: no model can be asked")
        attempt, attempts, backoff = 1, self._settings.attempts, self._settings.backoff
        while True:
            try:
                yield from self._once(body, cancel)
            except ModelError as problem:
                cancel.check()
                if problem.wait is None:
                    raise
                wait = problem.wait or backoff * random.uniform(0.75, 1.25)  # noqa: S311
                if attempt == attempts or wait > _LONGEST_WAIT:
                    tries = f"{attempt} attempt{'s' if attempt > 1 else ''}"
                    raise ModelError(f"{problem} (given up after {tries})", None, problem.refused) from problem
                attempt, backoff = attempt + 1, backoff * 2
                failed(f"{problem}; trying again in {wait:.1f} s, attempt {attempt} of {attempts}")
                cancel.check(wait)
            else:
                return

    def _once(self, body: bytes, cancel: Cancel) -> Iterator[Message]:
        answer = Message("agent", stop="", key=secrets.token_hex(4))
        try:
            with cancel.stopping(self.door.stop), self.door.post(body, cancel.check) as response:
                if response.status != 200:
                    raise _refusal(response)
                for data in events(response):
                    cancel.check()
                    if data == "[DONE]":
                        answer.stop = answer.stop or "end"
                    elif data:
                        self._wire.take(answer, json.loads(data))
                        yield answer
                yield self._wire.finish(answer)
        except json.JSONDecodeError:
            why = "the stream holds what is not JSON"
        except (DoorError, StreamBroken) as error:
            why = str(error)
        except (KeyError, IndexError, TypeError, AttributeError) as error:
            why = f"an event without what it must have ({error!r})"
        else:
            return
        raise ModelError(f"model call failed: {why}", wait=0)


def _refusal(response: Answer) -> ModelError:
    status, text = response.status, response.read()
    said = json.loads(found[1], strict=False) if (found := _MESSAGE.search(text)) else text
    message = " ".join(said.split())[:500] or "no reason given"
    again = status in _AGAIN and not (status == 429 and _SPENT.search(text))
    wait = (retry_after(response.headers.get("retry-after", "")) or 0) if again else None
    return ModelError(f"model call refused, HTTP {status}: {message}", wait, status)
