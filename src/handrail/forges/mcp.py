"""The MCP server that every session has: tools by which an agent proposes effects. It stores them and does nothing.

Model Context Protocol over streamable HTTP, stateless, answers as plain JSON (https://modelcontextprotocol.io/
specification/2025-06-18/basic/transports). The official SDK was passed over as a server: it takes 1.8 s of CPU to
import for these four methods; tests hold this one to its client.
"""

from __future__ import annotations

import json
from collections.abc import Awaitable, Callable, Mapping
from functools import cache, lru_cache
from typing import Any

from handrail import __version__
from handrail.automation import EffectKind
from handrail.errors import HandrailError
from handrail.forges import effects as e
from handrail.types import Json

PATH = "/mcp"
NAME = "handrail"
_VERSIONS = ("2025-06-18", "2025-03-26", "2024-11-05")
_FILLED_IN = frozenset({"repository", "head", "commit", "expected", "replaces"})
"""what Handrail knows better than the agent"""
TOOLS: Mapping[str, tuple[EffectKind, str, frozenset[str]]] = {
    "propose_pull_request": (
        EffectKind.PULL_REQUEST,
        "Propose a pull request with the changes in this workspace. Do not push or commit for it.",
        _FILLED_IN,
    ),
    "propose_push": (
        EffectKind.PUSH,
        "Propose to push the changes in this workspace as a branch, where no pull request is wanted.",
        _FILLED_IN | {"branch"},
    ),
    "propose_comment": (EffectKind.COMMENT, "Propose a comment on an issue or pull request.", _FILLED_IN),
    "propose_review": (
        EffectKind.REVIEW,
        "Propose a review of the pull request that this workspace was made from, with comments on lines.",
        _FILLED_IN,
    ),
    "propose_issue": (EffectKind.ISSUE, "Propose to open an issue.", _FILLED_IN),
    "propose_labels": (EffectKind.LABEL, "Propose labels to add to, or remove from, an issue.", _FILLED_IN),
    "propose_status": (
        EffectKind.STATUS,
        "Propose a status of the commit that this workspace was made from.",
        _FILLED_IN,
    ),
    "propose_merge": (EffectKind.MERGE, "Propose to merge a pull request at a head.", frozenset({"repository"})),
    "propose_message": (EffectKind.MESSAGE, "Propose a message to people.", frozenset()),
    "propose_webhook": (EffectKind.WEBHOOK, "Propose to call a webhook by the name of its channel.", frozenset()),
    "propose_report": (EffectKind.REPORT, "Propose a report, a page that Handrail keeps and shows.", frozenset()),
}
_HINTS = {"readOnlyHint": False, "destructiveHint": False, "openWorldHint": False}
"""a proposal alone changes nothing outside, so nobody need be asked before it is kept"""
_INSTRUCTIONS = (
    "You have no credentials for git hosts or chats and need none. To have something done outside this workspace, "
    "propose it with these tools; a person or the workflow decides, and Handrail does it."
)

Propose = Callable[[EffectKind, Json], Awaitable[str]]
"""keeps a proposal, and says what is to be told of it"""


async def answer(body: bytes, propose: Propose) -> tuple[int, bytes]:
    """The status and body of the answer to one POST.

    Args:
        body: one message, or a list of them.
        propose: keeps a proposal.
    """
    try:
        given = json.loads(body)
    except (ValueError, RecursionError):
        return 400, _dumped(_error(None, -32700, "send one JSON-RPC message"))
    if isinstance(given, list):
        answers = [found for one in given[:100] if (found := await _one(one, propose)) is not None]
        return (200, _dumped(answers)) if answers else (202, b"")
    if isinstance(given, dict) and given.get("method") == "tools/list" and type(given.get("id")) is int:
        return 200, _listed(given["id"])
    found = await _one(given, propose)
    return (202, b"") if found is None else (200, _dumped(found))


async def _one(message: Any, propose: Propose) -> Json | None:
    if not isinstance(message, dict) or not isinstance(message.get("method"), str):
        is_answer = isinstance(message, dict) and ("result" in message or "error" in message)
        return None if is_answer else _error(None, -32600, "send a JSON-RPC request")
    if "id" not in message:
        return None  # a notification
    params = message.get("params")
    params = params if isinstance(params, dict) else {}
    match message["method"]:
        case "initialize":
            asked = params.get("protocolVersion")
            result: Json = {
                "protocolVersion": asked if asked in _VERSIONS else _VERSIONS[0],
                "capabilities": {"tools": {"listChanged": False}},
                "serverInfo": {"name": NAME, "title": "Handrail", "version": __version__},
                "instructions": _INSTRUCTIONS,
            }
        case "ping":
            result = {}
        case "tools/list":
            result = _tools()
        case "tools/call":
            return await _called(message["id"], params, propose)
        case _:  # goose offers no tools when its probe for a newer protocol is answered otherwise
            return _error(message["id"], -32601, "there is no such method here")
    return {"jsonrpc": "2.0", "id": message["id"], "result": result}


@lru_cache(64)
def _listed(id_: int) -> bytes:
    """The whole answer to `tools/list`: every session asks for it, and clients count their messages from one."""
    return _dumped({"jsonrpc": "2.0", "id": id_, "result": _tools()})


@cache
def _tools() -> Json:
    return {"tools": [_tool(name) for name in TOOLS]}


def _tool(name: str) -> Json:
    kind, means, left_out = TOOLS[name]
    return {"name": name, "description": f"{means} Nothing happens before it is decided.",
            "inputSchema": e.schema(kind, left_out), "annotations": _HINTS}  # fmt: skip


async def _called(id_: object, params: Mapping[str, Any], propose: Propose) -> Json:
    name, arguments = str(params.get("name")), params.get("arguments") or {}
    if name not in TOOLS or not isinstance(arguments, dict):
        return _error(id_, -32602, f"there is no tool {name[:80]!r} here")
    kind, _, left_out = TOOLS[name]
    try:
        if extra := sorted(set(arguments) & left_out):
            said, failed = f"leave {', '.join(extra)} out: Handrail fills it in", True
        else:
            said, failed = await propose(kind, arguments), False
    except HandrailError as error:
        said, failed = error.message, True
    result: Json = {"content": [{"type": "text", "text": said}], "isError": failed}
    return {"jsonrpc": "2.0", "id": id_, "result": result}


def _error(id_: object, code: int, said: str) -> Json:
    return {"jsonrpc": "2.0", "id": id_, "error": {"code": code, "message": said}}


def _dumped(value: object) -> bytes:
    return json.dumps(value, ensure_ascii=False).encode("utf-8", "replace")
