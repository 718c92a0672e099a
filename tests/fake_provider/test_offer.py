from __future__ import annotations

import json
from typing import Any

import pytest

from tests.fake_provider.offer import Offer, ToolCall, calls, fill, offered

STEPS: list[dict[str, Any]] = [
    {"shell": "ls"},
    {"write": {"path": "/w/a", "content": "x\n"}},
    {"edit": {"path": "/w/a", "old": "x", "new": "y"}},
    {"read": "/w/a"},
]


def offer(tools: dict[str, list[str]], required: dict[str, dict[str, Any]] | None = None) -> Offer:
    """An Anthropic-shaped offer of tools with string properties; `required` adds typed ones that must be given."""
    entries = []
    for name, names in tools.items():
        properties: dict[str, Any] = {key: {"type": "string"} for key in names} | (required or {})
        entries.append({"name": name, "input_schema": {"properties": properties, "required": list(required or {})}})
    return offered(json.dumps({"tools": entries}).encode(), {})


def made(tools: Offer) -> list[tuple[str, Any]]:
    return [(call.name, call.args if call.text is None else call.text) for step in STEPS for call in calls(step, tools)]


@pytest.mark.parametrize(
    ("tools", "path", "old", "new"),
    [
        (("Bash", "Write", "Edit", "Read"), "file_path", "old_string", "new_string"),
        (("run_shell_command", "write_file", "replace", "read_file"), "file_path", "old_string", "new_string"),
        (("run_shell_command", "write_file", "edit", "read_file"), "absolute_path", "old_string", "new_string"),
        (("bash", "write", "edit", "read"), "filePath", "oldString", "newString"),
        (("shell", "write", "edit", "read"), "path", "before", "after"),
    ],
    ids=["claude", "gemini", "qwen", "opencode", "goose"],
)
def test_separate_tools(tools: tuple[str, str, str, str], path: str, old: str, new: str) -> None:
    shell, write, edit, read = tools
    given = offer({shell: ["command"], write: [path, "content"], edit: [path, old, new], read: [path]})
    assert made(given) == [
        (shell, {"command": "ls"}),
        (write, {path: "/w/a", "content": "x\n"}),
        (edit, {path: "/w/a", old: "x", new: "y"}),
        (read, {path: "/w/a"}),
    ]


def test_one_editor_tool_with_commands() -> None:
    risk = {"security_risk": {"enum": ["LOW", "HIGH"]}}
    given = offer(
        {"terminal": ["command"], "file_editor": ["command", "path", "file_text", "old_str", "new_str"]}, risk
    )
    assert made(given) == [
        ("terminal", {"command": "ls", "security_risk": "LOW"}),
        ("file_editor", {"command": "create", "path": "/w/a", "file_text": "x\n", "security_risk": "LOW"}),
        (
            "file_editor",
            {"command": "str_replace", "path": "/w/a", "old_str": "x", "new_str": "y"} | {"security_risk": "LOW"},
        ),
        ("file_editor", {"command": "view", "path": "/w/a", "security_risk": "LOW"}),
    ]


PATCH = "*** Begin Patch\n*** Update File: /w/a\n@@\n-x\n+y\n*** End Patch\n"


def test_codex_with_exec_command_alone_patches_by_heredoc() -> None:
    shell, write, edit, read = made(offer({"exec_command": ["cmd"]}))
    assert shell == ("exec_command", {"cmd": "ls"})
    assert write[1]["cmd"].startswith("apply_patch <<'EOF'\n*** Begin Patch\n*** Add File: /w/a\n+x\n")
    assert edit == ("exec_command", {"cmd": f"apply_patch <<'EOF'\n{PATCH}EOF"})
    assert read == ("exec_command", {"cmd": "cat /w/a"})


def test_codex_with_patch_tool_and_argv_shell() -> None:
    shell = {"type": "function", "name": "shell", "parameters": {"properties": {"command": {"type": "array"}}}}
    body = {"tools": [shell, {"type": "custom", "name": "apply_patch", "format": {"type": "grammar"}}]}
    given = offered(json.dumps(body).encode(), {})
    assert made(given)[0] == ("shell", {"command": ["bash", "-lc", "ls"]})
    assert made(given)[2] == ("apply_patch", PATCH)


def test_opencode_has_a_word_of_its_own_for_a_patch() -> None:
    given = offer({"bash": ["command"], "apply_patch": ["patchText"]})
    assert made(given)[2] == ("apply_patch", {"patchText": PATCH})
    assert made(offer({"apply_patch": ["input"]}))[2] == ("apply_patch", {"input": PATCH})


def test_codex_code_mode_arrives_in_an_input_item() -> None:
    item = {"type": "additional_tools", "tools": [{"type": "custom", "name": "exec"}]}
    given = offered(json.dumps({"input": [item], "tools": []}).encode(), {})
    assert made(given)[0][1].startswith('const r = await tools.exec_command({"cmd": "ls"});')
    assert made(given)[2][1].startswith(f"const r = await tools.apply_patch({json.dumps(PATCH)});")


def test_shell_stands_in_for_missing_file_tools() -> None:
    shell, write, edit, read = made(offer({"bash": ["command"]}))
    assert {name for name, _ in (shell, write, edit, read)} == {"bash"}
    assert "printf %s 'x\n' > /w/a" in write[1]["command"]


def test_edit_as_a_list() -> None:
    inner = {"type": "object", "properties": {"old_text": {}, "new_text": {}}}
    tool = {"name": "edit", "input_schema": {"properties": {"path": {}, "edits": {"type": "array", "items": inner}}}}
    given = offered(json.dumps({"tools": [tool]}).encode(), {})
    expected = {"path": "/w/a", "edits": [{"old_text": "x", "new_text": "y"}]}
    assert calls(STEPS[2], given) == [ToolCall("edit", expected)]


def test_namespaces_and_gemini_declarations_are_read_and_remembered() -> None:
    declared = {"functionDeclarations": [{"name": "replace", "parametersJsonSchema": {}}]}
    spaced = {"type": "namespace", "name": "mcp__lab", "tools": [{"type": "function", "name": "ping"}]}
    body = json.dumps({"tools": [declared, spaced], "text": "ü"}, ensure_ascii=False).encode()
    cache: dict[bytes, list[tuple[bytes, Offer]]] = {}
    assert set(offered(body, cache)) == {"replace", "ping"}
    assert offered(body, cache) == offered(body, {})
    assert len(cache) == 1
    assert calls({"tool": "ping", "namespace": "mcp__lab"}, {}) == [ToolCall("ping", namespace="mcp__lab")]


def test_fill_gives_the_least_that_fits() -> None:
    assert fill({"type": ["string", "null"]}) == "scripted"
    assert fill({"anyOf": [{"type": "integer", "minimum": 3}]}) == 3
    assert fill({"properties": {"a": {"type": "array"}, "b": {"type": "OBJECT"}}}) == {"a": [], "b": {}}
