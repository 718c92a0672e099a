"""The two classes of the ACP SDK that Handrail uses, without the rest of it.

`import acp` builds some hundred pydantic models of the whole protocol: two thirds of what all other imports of a server
cost in CPU, and 8 MB. Handrail reads messages by itself (`agents.decode`); the connection alone needs none of those.
https://github.com/agentclientprotocol/python-sdk
"""

from __future__ import annotations

import importlib
import sys
import threading
from importlib.util import find_spec, module_from_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from acp.connection import Connection
    from acp.exceptions import RequestError

_ONE = threading.Lock()
"""a server loads them on a thread once it is ready, while an agent may want them already"""


def _load(*names: str) -> list[object]:
    """Objects of the SDK by their full names, imported without running the package's `__init__`.

    Whoever imports `acp` afterwards gets the whole package, as if nothing had been.
    """
    spec = None if "acp" in sys.modules else find_spec("acp")
    if spec is not None:
        sys.modules["acp"] = module_from_spec(spec)
    try:
        return [
            getattr(importlib.import_module(module), name) for module, _, name in (n.rpartition(".") for n in names)
        ]
    finally:
        if spec is not None:
            # a copy: other threads import meanwhile
            for name in [name for name in list(sys.modules) if name.partition(".")[0] == "acp"]:
                del sys.modules[name]


def load() -> None:
    """Import them now, if nobody has: with the pydantic and OpenTelemetry that the SDK wants, 60 ms of CPU."""
    with _ONE:
        if "Connection" not in globals():
            names = ("acp.connection.Connection", "acp.exceptions.RequestError")
            globals()["Connection"], globals()["RequestError"] = _load(*names)


if not TYPE_CHECKING:

    def __getattr__(name: str) -> object:
        """The two by name, imported with the first use: a server is ready before any agent is wanted."""
        if name not in __all__:
            raise AttributeError(name)
        load()
        return globals()[name]


__all__ = ["Connection", "RequestError"]
