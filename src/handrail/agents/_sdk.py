"""The door to the ACP SDK. Importing `acp` builds 345 ms of pydantic models: too dear before the server is ready."""

from __future__ import annotations

import functools
import importlib
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from acp.connection import Connection
    from acp.exceptions import RequestError


@dataclass(frozen=True, slots=True)
class Sdk:
    """The two classes of the SDK that Handrail uses."""

    connection: type[Connection]
    request_error: type[RequestError]


@functools.cache
def sdk() -> Sdk:
    """The SDK, imported at the first call; safe from several threads (Python's import lock makes the others wait)."""
    return Sdk(
        importlib.import_module("acp.connection").Connection,
        importlib.import_module("acp.exceptions").RequestError,
    )


def warm() -> None:
    """Import the SDK ahead of the first session. Blocks about 0.6 s of CPU: call it in a thread."""
    sdk()
