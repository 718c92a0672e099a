"""The tools that a request offers, and how a step by meaning becomes a call of one of them."""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass, field
from typing import Any

from tests.fake_provider.script import Step

Args = dict[str, Any]

_EDITORS = ("text_editor", "developer__text_editor", "file_editor", "str_replace_editor")
_NAMES = {
    "shell": (
        *("Bash", "bash", "run_shell_command", "exec_command", "shell", "developer__shell", "shell_command"),
        *("terminal", "execute_bash", "container.exec", "run"),
    ),
    "write": ("Write", "write", "write_file", "developer__write", "create_file", *_EDITORS),
    "edit": ("Edit", "edit", "replace", "edit_file", "developer__edit", *_EDITORS),
    "read": ("Read", "read", "read_file", *_EDITORS),
    "search": ("Grep", "grep", "grep_search", "search_file_content", "search"),
}
_ARGUMENTS = {
    "path": ("file_path", "filePath", "absolute_path", "path", "file", "filename"),
    "content": ("content", "file_text", "contents", "text"),
    "old": ("old_string", "oldString", "old_str", "old", "before", "old_text", "search"),
    "new": ("new_string", "newString", "new_str", "new", "after", "new_text", "replace"),
    "command": ("command", "cmd", "script"),
    "patch": ("input", "patch", "patchText"),
    "pattern": ("pattern", "query", "regex", "text"),
}
_EDITOR = {"write": ("create", "write"), "edit": ("str_replace", "replace"), "read": ("view", "read")}
_TOOLS = re.compile(rb'"tools"\s*:\s*(?=\[\s*\{)')


@dataclass(frozen=True, slots=True)
class Tool:
    """One offered tool. A custom tool of OpenAI Responses takes free text in place of arguments."""

    name: str
    schema: Args
    custom: bool = False


@dataclass(frozen=True, slots=True)
class ToolCall:
    """One call that the answer makes."""

    name: str
    args: Args = field(default_factory=dict)
    text: str | None = None
    """the input of a custom tool"""
    namespace: str | None = None


Offer = dict[str, Tool]
Parsed = dict[bytes, list[tuple[bytes, Offer]]]
"""tool arrays seen before, by their first bytes: parsing 60 KB of schemas on each call would dominate"""


def offered(body: bytes, cache: Parsed) -> Offer:
    """All tools of a request, by name; empty when it offers none."""
    tools: Offer = {}
    at = 0
    while match := _TOOLS.search(body, at):
        at = match.end()
        head = body[at : at + 64]
        known = next((entry for entry in cache.get(head, []) if body.startswith(entry[0], at)), None)
        if known is None:
            array, length = json.JSONDecoder().raw_decode(body[at:].decode())
            raw = body[at:].decode()[:length].encode()
            known = (raw, {tool.name: tool for entry in array for tool in _read(entry)})
            cache.setdefault(head, []).append(known)
        tools |= known[1]
        at += len(known[0])
    return tools


def _read(entry: Any) -> list[Tool]:
    if not isinstance(entry, dict):
        return []
    declared: list[Any] = entry.get("functionDeclarations") or entry.get("tools") or []
    if declared:
        return [tool for inner in declared for tool in _read(inner)]
    inner = entry.get("function", entry)
    if "name" not in inner:
        return []
    schema: Args = next((inner[k] for k in ("input_schema", "parametersJsonSchema", "parameters") if inner.get(k)), {})
    return [Tool(inner["name"], schema, entry.get("type") == "custom")]


def calls(step: Step, offer: Offer) -> list[ToolCall]:
    """The calls that `step` makes, in the words of the agent that offers these tools."""
    if "tools" in step:
        return [call for inner in step["tools"] for call in calls(inner, offer)]
    if "tool" in step:
        tool = offer.get(step["tool"])
        args = step.get("args", {})
        text = args if isinstance(args, str) else None
        if tool and tool.custom and text is None:
            text = str(args.get("input", ""))
        return [ToolCall(step["tool"], {} if isinstance(args, str) else args, text, step.get("namespace"))]
    for meaning in _NAMES:
        if meaning in step:
            return [_mean(meaning, step[meaning], offer)]
    return []


def _mean(meaning: str, value: Any, offer: Offer) -> ToolCall:
    want = _wanted(meaning, value)
    tool = next((offer[name] for name in _NAMES[meaning] if name in offer), None)
    if tool is not None and not tool.custom:
        return ToolCall(tool.name, _arguments(meaning, want, tool.schema))
    if "exec" in offer and offer["exec"].custom:
        return ToolCall("exec", text=_code_mode(meaning, want))
    if meaning in ("write", "edit") and "apply_patch" in offer:
        patch, patching = _patch(meaning, want), offer["apply_patch"]
        known = patching.schema.get("properties", {})
        name = next((name for name in _ARGUMENTS["patch"] if name in known), "input")
        return ToolCall("apply_patch", {name: patch}, patch if patching.custom else None)
    if meaning == "shell":
        return ToolCall(_NAMES["shell"][0], want)
    codex = "exec_command" in offer or "shell_command" in offer
    return _mean("shell", _as_command(meaning, want, codex=codex), offer)


def _wanted(meaning: str, value: Any) -> Args:
    if meaning == "shell":
        return {"command": value}
    if meaning == "search":
        return {"pattern": value}
    return {"path": value} if isinstance(value, str) else dict(value)


def _arguments(meaning: str, want: Args, schema: Args) -> Args:
    properties: Args = schema.get("properties", {})
    args: Args = {}
    if "edits" in properties and meaning == "edit":
        inner = properties["edits"].get("items", {}).get("properties", {})
        args["edits"] = [_rename({"old": want["old"], "new": want["new"]}, inner)]
        want = {"path": want["path"]}
    args |= _rename(want, properties)
    command = properties.get("command", {})
    if meaning == "shell" and command.get("type") == "array":
        args["command"] = ["bash", "-lc", want["command"]]
    elif meaning in _EDITOR and command:
        choices = command.get("enum", _EDITOR[meaning])
        args["command"] = next(word for word in _EDITOR[meaning] if word in choices)
    for name in schema.get("required", []):
        if name not in args:
            args[name] = fill(properties.get(name, {}))
    return args


def _rename(want: Args, properties: Args) -> Args:
    return {next((n for n in _ARGUMENTS.get(k, ()) if n in properties), k): value for k, value in want.items()}


def fill(schema: Any) -> Any:
    """The least value that fits a JSON schema, loosely."""
    if not isinstance(schema, dict):
        return {}
    if schema.get("enum"):
        return schema["enum"][0]
    if "const" in schema:
        return schema["const"]
    if options := schema.get("anyOf") or schema.get("oneOf"):
        return fill(options[0])
    kind = schema.get("type", "object" if "properties" in schema else "string")
    kind = (kind[0] if isinstance(kind, list) else kind).lower()
    if kind == "object":
        properties: Args = schema.get("properties", {})
        return {name: fill(properties.get(name)) for name in schema.get("required") or list(properties)}
    simple: dict[str, Any] = {"boolean": False, "array": [], "null": None}
    if kind in ("number", "integer"):
        return schema.get("minimum", 0)
    return simple.get(kind, "scripted")


def _patch(meaning: str, want: Args) -> str:
    if meaning == "write":
        lines = [f"*** Add File: {want['path']}", *("+" + line for line in want["content"].splitlines())]
    else:
        lines = [f"*** Update File: {want['path']}", "@@"]
        lines += ["-" + line for line in want["old"].splitlines()] + ["+" + line for line in want["new"].splitlines()]
    return "\n".join(["*** Begin Patch", *lines, "*** End Patch"]) + "\n"


def _as_command(meaning: str, want: Args, *, codex: bool) -> str:
    if meaning == "search":
        return f"grep -rnF -- {shlex.quote(want['pattern'])} ."
    if meaning == "read":
        return f"cat {shlex.quote(want['path'])}"
    if codex:
        return f"apply_patch <<'EOF'\n{_patch(meaning, want)}EOF"
    path = shlex.quote(want["path"])
    if meaning == "write":
        return f'mkdir -p "$(dirname {path})" && printf %s {shlex.quote(want["content"])} > {path}'
    code = (
        "import sys,pathlib as l; p=l.Path(sys.argv[1]); p.write_text(p.read_text().replace(sys.argv[2],sys.argv[3],1))"
    )
    return shlex.join(["python3", "-c", code, want["path"], want["old"], want["new"]])


def _code_mode(meaning: str, want: Args) -> str:
    if meaning in ("write", "edit"):
        return f"const r = await tools.apply_patch({json.dumps(_patch(meaning, want))}); text(JSON.stringify(r));"
    command = want["command"] if meaning == "shell" else _as_command(meaning, want, codex=True)
    return f"const r = await tools.exec_command({json.dumps({'cmd': command})}); text(JSON.stringify(r));"
