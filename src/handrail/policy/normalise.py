"""Turns the permission request of any agent into requests: an action and its target.

Agents of ACP (https://agentclientprotocol.com/protocol/schema#toolcallupdate) say a kind and give their tool's own
input; what the input holds counts, the kind only where it holds nothing that is known. What is not known is `other`.
"""

from __future__ import annotations

import posixpath
from collections.abc import Mapping, Sequence
from urllib.parse import urlsplit

from handrail.policy import Action, Request

_COMMANDS = ("command", "cmd", "commands", "script", "argv", "shell_command", "bash_command")
_PATHS = ("file_path", "path", "abs_path", "filePath", "absolute_path", "filename", "file", "notebook_path",
          "target_file", "dir_path", "directory", "uri", "source", "destination", "old_path", "new_path")  # fmt: skip
_URLS = ("url", "urls", "href")
_FOLDERS = ("cwd", "workdir", "working_directory", "directory", "dir_path")
_CONTENTS = ("content", "contents", "new_string", "new_str", "newString", "new_text", "file_text", "patch", "diff",
             "edits", "new_source", "old_string", "old_str")  # fmt: skip
# editors of the Anthropic and OpenHands kind name what they do in `command` (str_replace_editor)
_EDITS = {"view": Action.READ, "create": Action.WRITE, "str_replace": Action.WRITE, "insert": Action.WRITE,
          "undo_edit": Action.WRITE}  # fmt: skip
_WRITES = frozenset({"edit", "delete", "move"})
_READS = frozenset({"read", "search"})
_PORTS = {"https": 443, "http": 80, "wss": 443, "ws": 80, "ssh": 22, "ftp": 21, "git": 9418}
_MOST = 200
"""targets of one request that are looked at"""


def normalise(
    kind: str | None,
    title: str | None,
    given: Mapping[str, object] | None,
    *,
    workspace: str,
    paths: Sequence[str] = (),
) -> tuple[Request, ...]:
    """What a permission request asks for; never empty.

    Args:
        kind: ACP's kind of the tool call, None where the agent named none.
        title: the words that the agent shows; never judged, only shown.
        given: the tool's input as the agent gives it.
        workspace: absolute path of the workspace inside the walls.
        paths: files that the request's diffs name.
    """
    given = given or {}
    found: list[Request] = []
    edit = _EDITS.get(str(given.get("command"))) if any(key in given for key in _PATHS) else None
    if edit is None:
        found += _shell(given, workspace)
    found += _files(kind, given, workspace, paths, edit)
    found += _hosts(given)
    if kind == "execute" and not any(request.action is Action.SHELL for request in found):
        found.append(Request(Action.OTHER, title or kind, workspace=workspace))
    if len(found) > _MOST:
        found = [*found[:_MOST], Request(Action.OTHER, title or "many things at once", workspace=workspace)]
    if found:
        return tuple(dict.fromkeys(found))
    if kind in _READS or kind == "think":
        return (Request(Action.READ, ".", workspace=workspace),)  # nothing is named: at most the workspace is read
    return (Request(Action.OTHER, title or kind or "a tool", workspace=workspace),)


def _shell(given: Mapping[str, object], workspace: str) -> list[Request]:
    found: list[Request] = []
    folder = next((value for key in _FOLDERS if isinstance(value := given.get(key), str)), None)
    for key in _COMMANDS:
        value = given.get(key)
        if isinstance(value, str) and value.strip():
            arguments = given.get("args", given.get("arguments"))
            if isinstance(arguments, list) and arguments:
                words = (value, *(str(word) for word in arguments))
                found.append(Request(Action.SHELL, " ".join(words), words, workspace, folder))
            else:
                found.append(Request(Action.SHELL, value, None, workspace, folder))
        elif isinstance(value, list) and value:
            if all(isinstance(word, str) for word in value):
                texts = tuple(str(word) for word in value)
                if key == "commands":
                    found += [Request(Action.SHELL, text, None, workspace, folder) for text in texts]
                else:
                    found.append(Request(Action.SHELL, " ".join(texts), texts, workspace, folder))
            else:
                found.append(Request(Action.OTHER, f"a {key} of an unknown shape", workspace=workspace))
    return found


def _files(
    kind: str | None, given: Mapping[str, object], workspace: str, paths: Sequence[str], edit: Action | None
) -> list[Request]:
    runs = any(isinstance(given.get(key), str | list) for key in _COMMANDS) and edit is None
    if runs and not paths:
        return []
    writes = kind in _WRITES or edit is Action.WRITE or bool(paths) or any(key in given for key in _CONTENTS)
    reads = kind in _READS or edit is Action.READ
    named = [value for key in _PATHS if isinstance(value := given.get(key), str) and value and not runs]
    for key in ("paths", "files", "locations", "changes", "file_paths"):
        named += _listed(given.get(key))
    if not writes and not reads:
        # a tool of no known kind with a path: what it does to it is not known
        return [Request(Action.WRITE, path, workspace=workspace) for path in named if kind not in {"fetch", "think"}]
    action = Action.WRITE if writes else Action.READ
    found = [Request(action, path, workspace=workspace) for path in (*named, *paths)]
    pattern = given.get("pattern", given.get("glob"))
    if not found and reads and isinstance(pattern, str) and pattern.startswith(("/", "~", "..")):
        found.append(Request(Action.READ, posixpath.dirname(pattern) or pattern, workspace=workspace))
    return found


def _listed(value: object) -> list[str]:
    if isinstance(value, Mapping):
        return [str(key) for key in value]
    if not isinstance(value, list):
        return []
    found = []
    for item in value:
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, Mapping):
            found += [path for key in _PATHS if isinstance(path := item.get(key), str)]
    return found


def _hosts(given: Mapping[str, object]) -> list[Request]:
    found: list[Request] = []
    for key in _URLS:
        value = given.get(key)
        urls = value if isinstance(value, list) else [value]
        found += [Request(Action.NETWORK, _target(url)) for url in urls if isinstance(url, str) and url]
    return found


def _target(url: str) -> str:
    """`host:port` of a URL; the URL itself where it has none, so that nothing but a lone `*` names it."""
    try:
        parts = urlsplit(url if "://" in url else f"https://{url}")
        port = parts.port or _PORTS.get(parts.scheme, 0)
        name = parts.hostname or ""
    except ValueError:
        return url
    if not name or not port or parts.username is not None or "\\" in url:
        return url
    return f"[{name}]:{port}" if ":" in name else f"{name}:{port}"
