"""The two classes of the ACP SDK that Handrail uses, without the rest of it.

`import acp` builds some hundred pydantic models of the whole protocol: two thirds of what all other imports of a server
cost in CPU, and 8 MB. Handrail reads messages by itself (`agents.decode`); the connection alone needs none of those.
https://github.com/agentclientprotocol/python-sdk
"""

from __future__ import annotations

import importlib
import sys
from importlib.util import find_spec, module_from_spec
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from acp.connection import Connection
    from acp.exceptions import RequestError


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
            for name in [name for name in sys.modules if name.partition(".")[0] == "acp"]:
                del sys.modules[name]


if not TYPE_CHECKING:
    Connection, RequestError = _load("acp.connection.Connection", "acp.exceptions.RequestError")

__all__ = ["Connection", "RequestError"]
