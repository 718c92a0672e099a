"""The tools of MCP servers, over streamable HTTP: https://modelcontextprotocol.io/specification/2025-06-18/basic.

A call is never sent twice: whether a lost one was done, nobody here knows.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any

from handrail import __version__
from handrail.agents.door import DoorError, Remote
from handrail.agents.own.cancel import Cancel
from handrail.agents.own.tools import Step, Tool, ToolFault
from handrail.agents.own.wires import Json
from handrail.text import clip

_VERSION = "2025-06-18"
_PATIENCE = 120.0
"""seconds of silence"""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,64}")


def offered(servers: Iterable[Json], own: Mapping[str, Tool], limit: int) -> dict[str, Tool]:
    """The tools of ACP's `mcpServers` by name; `own` keep their names. A server that fails is told on stderr.

    A result has at most `limit` characters.
    """
    tools: dict[str, Tool] = {}
    for server in servers:
        try:
            for tool in Server(server, limit).tools():
                plain = tool.told["name"]
                tool.told["name"] = plain if plain not in {**own, **tools} else f"{server['name']}_{plain}"[:64]
                tools[tool.told["name"]] = tool
        except (ToolFault, DoorError, KeyError, TypeError, AttributeError, ValueError) as fault:
            sys.stderr.write(f"MCP server {server.get('name')!r} is left out: {fault}\n")
    return tools


class Server:
    """One server as ACP tells of it; ToolFault where it is none that is spoken to over HTTP."""

    def __init__(self, told: Json, limit: int) -> None:
        if told.get("type") != "http":
            raise ToolFault("only servers over HTTP are spoken to")
        headers = {str(header["name"]): str(header["value"]) for header in told.get("headers") or ()}
        self._remote, self._limit = Remote(str(told["url"]), headers, _PATIENCE), limit

    def tools(self) -> list[Tool]:
        """What it offers. Raises ToolFault or KeyError."""
        about = {"name": "handrail", "version": __version__}
        hello = self._ask(Cancel(), "initialize", protocolVersion=_VERSION, capabilities={}, clientInfo=about)
        self._remote.door.headers["mcp-protocol-version"] = str(hello["protocolVersion"])
        self._remote.tell("notifications/initialized", {})
        offered = self._ask(Cancel(), "tools/list").get("tools") or ()
        return [self._tool(told) for told in offered if _NAME.fullmatch(str(told.get("name")))]

    def _tool(self, told: Json) -> Tool:
        name, hints = str(told["name"]), told.get("annotations") or {}
        harmless = hints.get("readOnlyHint") is True or hints.get("destructiveHint") is False

        def run(step: Step, /, **args: object) -> str:
            step.begin(str(told.get("title") or name), "other", asks=not harmless)
            came = self._ask(step.cancel, "tools/call", name=name, arguments=args)
            parts = [str(part.get("text") or f"({part.get('type')})") for part in came.get("content") or ()]
            text = clip("\n".join(parts), self._limit) or "(nothing)"
            if came.get("isError") is True:
                raise ToolFault(text)
            return text

        schema = told.get("inputSchema") or {"type": "object", "properties": {}}
        about = clip(str(told.get("description") or ""), 4000)
        return Tool(run, {"name": name, "description": about, "parameters": schema})

    def _ask(self, cancel: Cancel, method: str, **params: object) -> Any:
        try:
            with cancel.stopping(self._remote.door.stop):
                return self._remote.ask(method, params, cancel.check)
        except DoorError as error:
            cancel.check()
            raise ToolFault(f"`{method}` failed: {clip(str(error), 500)}") from error
