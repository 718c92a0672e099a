"""The tools that work on files and commands. `prepare` tells what a call would do, so that a person can be asked.

A tool is a method that returns an `Act`; its name, docstring and signature are what the model is told of it.
"""

from __future__ import annotations

import inspect
import os
import re
import stat
import subprocess
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Annotated, get_args, get_origin

from handrail.agents.own import guide
from handrail.agents.own.cancel import Cancel
from handrail.agents.own.messages import Call, Json
from handrail.agents.own.shell import Shell

_DIFF_LIMIT = 256 << 10
"""characters of a file that are shown whole in a diff; of larger ones only the part that changes"""
_LINES, _LINE = 2000, 400
_LONGEST, _SEARCH_SECONDS = 3600.0, 30.0
_TYPES: dict[str, type] = {"string": str, "integer": int, "number": float, "array": list}
_NAMES = {kind: name for name, kind in _TYPES.items()}
_GREP = ("grep", "--no-index", "--exclude-standard", "--no-color", "-P")
_Texts = tuple[str | None, str]
_Path = Annotated[str, {"description": "relative to the working directory, or absolute"}]


class ToolFault(Exception):
    """The call cannot be done; the message tells the model why, and what would work."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a tool gave: `text` for the model, `raw` for the client; `ends`: the turn, for the person is to answer."""

    text: str
    ok: bool = True
    raw: Json = field(default_factory=dict)
    ends: bool = False


@dataclass(frozen=True, slots=True)
class Act:
    """What a call would do. `asks`: a person is to be asked where somebody watches; `kind` is ACP's."""

    title: str
    kind: str
    run: Callable[[Cancel, Callable[[str], None]], Outcome]
    paths: tuple[Path, ...] = ()
    line: int | None = None
    diff: _Texts | None = None  # a file, or a part of it, before and after
    asks: bool = False

    def card(self, call: Call) -> Json:
        """What `tool_call` and a permission request tell before it runs."""
        line: Json = {} if self.line is None else {"line": self.line}
        places = [{"path": str(path), **line} for path in self.paths]
        told: Json = {"title": self.title, "kind": self.kind, "rawInput": call.args, "locations": places}
        if self.diff:
            old: Json = {} if self.diff[0] is None else {"oldText": _printable(self.diff[0])}
            new = _printable(self.diff[1])
            told["content"] = [{"type": "diff", "path": str(self.paths[0]), **old, "newText": new}]
        return told


@dataclass(frozen=True, slots=True)
class Tool:
    """What makes the act of a call, and what the model is told; `checked`: whoever makes it looks at the arguments."""

    make: Callable[..., Act]
    told: Json
    checked: bool = False


def table(*makers: Callable[..., Act]) -> dict[str, Tool]:
    """The tools by name."""
    return {
        make.__name__: Tool(make, {"name": make.__name__, "description": make.__doc__, "parameters": _schema(make)})
        for make in makers
    }


def _schema(make: Callable[..., Act]) -> Json:
    properties: Json = {}
    parameters = inspect.signature(make, eval_str=True).parameters.values()
    for one in parameters:
        kind, about = get_args(one.annotation) if get_origin(one.annotation) is Annotated else (one.annotation, {})
        properties[one.name] = {"type": _NAMES[get_origin(kind) or kind], **about}
    required = [one.name for one in parameters if one.default is one.empty]
    return {"type": "object", "properties": properties, "required": required}


def prepare(tools: Mapping[str, Tool], call: Call) -> Act:
    """What `call` would do; ToolFault where it cannot be done."""
    if call.fault:
        raise ToolFault(call.fault)
    if call.name not in tools:
        raise ToolFault(f"there is no tool `{call.name}`: the tools are {', '.join(tools)}")
    tool = tools[call.name]
    try:
        return tool.make(**(call.args if tool.checked else _arguments(call.args, tool.told["parameters"])))
    except OSError as error:
        raise ToolFault(f"{error.filename or call.name}: {error.strerror or error}") from error
    except ValueError as error:  # a NUL in a path
        raise ToolFault(str(error)) from error


def _arguments(args: Json, schema: Json) -> Json:
    """The arguments that were given and are known."""
    given = {name: args[name] for name in schema["properties"] if args.get(name) is not None}
    for name in schema["required"]:
        if name not in given:
            raise ToolFault(f"`{name}` is missing")
    for name, value in given.items():
        kind = _TYPES[schema["properties"][name]["type"]]
        if kind is int and isinstance(value, float) and value.is_integer():
            given[name] = int(value)
        elif not isinstance(value, (int, float) if kind is float else kind) or isinstance(value, bool):
            raise ToolFault(f"`{name}` must be of type {kind.__name__}, not {type(value).__name__}")
    return given


class Workbench:
    """One session's files and shell under `root`; a result has at most `limit` bytes."""

    def __init__(self, root: Path, environ: Mapping[str, str], limit: int) -> None:
        self.root, self.limit = root, limit
        env = {k: v for k, v in environ.items() if not k.startswith("HANDRAIL_") and k not in {"BASH_ENV", "ENV"}}
        self.env = env | {"PAGER": "cat", "GIT_PAGER": "cat", "GIT_TERMINAL_PROMPT": "0", "TERM": "dumb"}
        self.bash = Shell(root, self.env, limit)
        self.tools = table(self.read, self.write, self.edit, self.search, self.shell)
        self._guides: set[Path] = set()

    def read(self, path: _Path, first: int = 1, last: int = 0) -> Act:
        """Read a text file, with line numbers. Large files in parts: `first` and `last` are line numbers from 1."""
        place = self._place(path)

        def run(*_: object) -> Outcome:
            if place.is_dir():
                names = sorted(f"{item.name}/" if item.is_dir() else item.name for item in place.iterdir())
                return Outcome("\n".join(names)[: self.limit] or "(an empty folder)")
            lines, text = _load(place).splitlines(), ""
            start = at = max(1, first) - 1
            end = min(len(lines), last if last > 0 else len(lines), start + _LINES)
            while at < end and len(text) <= self.limit:
                at += 1
                text += f"{at:6}\t{_printable(lines[at - 1][:2000])}\n"
            more = f"[lines {start + 1}-{at} of {len(lines)}; read on with first={at + 1}]" if at < len(lines) else ""
            return Outcome((text + more or "(nothing there)") + self._nearby(place))

        span = f" (lines {first}-{last or 'end'})" if first > 1 or last else ""
        line = first if first > 1 else None
        return Act(f"Read {self._short(place)}{span}", "read", run, (place,), line, asks=self._outside(place))

    def write(self, path: _Path, content: str) -> Act:
        """Write a whole file, new or over an old one; folders are made."""
        place = self._place(path)
        old = _load(place) if place.exists() else None
        said = f"wrote {len(content.splitlines())} lines to {self._short(place)}"
        return self._change("Write", place, (old, content), (old, content), said)

    def edit(self, path: _Path, old: str, new: str) -> Act:
        """Replace text that occurs exactly once in a file. Take enough lines round it to make it unique."""
        place = self._place(path)
        before = _load(place)
        if "\r\n" in before and "\r\n" not in old:
            old, new = old.replace("\n", "\r\n"), new.replace("\n", "\r\n")
        if not old:
            raise ToolFault("`old` is empty: give the text to replace, or use `write`")
        if old == new:
            raise ToolFault("`old` and `new` are the same: nothing would change")
        if before.count(old) != 1:
            raise ToolFault(f"{self._short(place)}: `old` must occur exactly once, {_where(before, old)}")
        after = before.replace(old, new)
        line = before.count("\n", 0, before.index(old)) + 1
        shown = (before, after) if len(before) + len(after) <= _DIFF_LIMIT else (old, new)
        return self._change("Edit", place, (before, after), shown, f"edited {self._short(place)} at line {line}", line)

    def _change(self, verb: str, place: Path, texts: _Texts, shown: _Texts, said: str, line: int | None = None) -> Act:  # noqa: PLR0917
        def run(*_: object) -> Outcome:
            # Days may have passed since the person was shown the difference.
            if (_load(place) if place.exists() else None) != texts[0]:
                raise ToolFault(f"{self._short(place)} was changed by somebody else meanwhile: read it again")
            _store(place, texts[1])
            return Outcome(said + self._nearby(place))

        return Act(f"{verb} {self._short(place)}", "edit", run, (place,), line, shown, asks=True)

    def search(self, pattern: str = "", path: _Path = ".", glob: str = "") -> Act:
        """Search files by Perl regular expression, those that match a glob such as *.py; without a pattern, list them.

        What `.gitignore` names is left out.
        """
        place = self._place(path)
        where = place if stat.S_ISDIR(place.stat().st_mode) else place.parent
        files = f":(glob,top)**/{glob}" if glob else "." if where == place else place.name
        what = ["-n", "-I", "-e", pattern] if pattern else ["-L", "-a", "-e", "(?!)"]
        argv = ["git", "-C", str(where), *_GREP, *what, "--", files]
        title = f"{f'Search {pattern!r}' if pattern else 'List ' + (glob or 'files')} in {self._short(place)}"
        prefix = "" if where == self.root else f"{self._short(where)}/"
        asks = self._outside(place)
        return Act(title, "search", lambda cancel, _: self._found(argv, prefix, cancel), (place,), asks=asks)

    def _found(self, argv: list[str], prefix: str, cancel: Cancel) -> Outcome:
        deadline, text, pipe = time.monotonic() + _SEARCH_SECONDS, "", subprocess.PIPE
        process = subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=pipe, stderr=pipe, env=self.env)
        with process, cancel.stopping(process.kill):
            for line in process.stdout or ():
                text += f"{prefix}{line[:_LINE].decode('utf-8', 'replace').rstrip()}\n"
                if len(text) > self.limit or time.monotonic() > deadline:
                    process.kill()
                    break
            error = process.stderr.read().decode("utf-8", "replace") if process.stderr else ""
        cancel.check()
        if process.returncode == 128:
            raise ToolFault(f"`pattern` is no regular expression: {error.strip()[:500]}")
        return Outcome(
            text + ("[there is more: narrow the search]" if process.returncode < 0 else "") or "nothing found"
        )

    def shell(self, command: str, timeout: float = 120) -> Act:
        """Run a command in the open bash: its output, and its exit status where that is not 0. Seconds to time out."""
        if timeout <= 0:
            raise ToolFault("`timeout` must be more than 0 seconds")

        def run(cancel: Cancel, progress: Callable[[str], None]) -> Outcome:
            ran = self.bash.run(command, min(_LONGEST, timeout), cancel, progress)
            notes = [f"exit status {ran.code}"] * (ran.code != 0) + [ran.note] * bool(ran.note)
            text = ran.output + ("" if ran.output.endswith("\n") or not ran.output else "\n")
            text += f"[{'; '.join(notes)}]" if notes else ""
            raw = {"exit_code": ran.code, "seconds": round(ran.seconds, 3)}
            return Outcome(text or "(no output)", ran.code == 0 and not ran.note.startswith("timed out"), raw)

        first, *rest = command.strip().splitlines() or ["(empty command)"]
        return Act(f"{first[:120]}{' …' if rest or len(first) > 120 else ''}", "execute", run, asks=True)

    def _place(self, path: str) -> Path:
        path = self.env.get("HOME", "~") + path[1:] if path.startswith("~/") else path
        return Path(os.path.normpath(self.root / (path or ".")))

    def _outside(self, place: Path) -> bool:
        return not place.resolve().is_relative_to(self.root.resolve())

    def _short(self, place: Path) -> str:
        return _printable(str(place.relative_to(self.root) if place.is_relative_to(self.root) else place)) or "."

    def _nearby(self, place: Path) -> str:
        """Guides of the folders between the root and `place` that were not told yet, for the end of a result."""
        folders = [folder for folder in place.parents if folder != self.root and folder.is_relative_to(self.root)]
        guides = [found for folder in reversed(folders) if (found := guide.in_folder(folder)) and found != place]
        new = [found for found in guides if found not in self._guides]
        self._guides.update(new)
        return "".join(f"\n\n{guide.told(found)}" for found in new)


def _printable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _load(place: Path) -> str:
    """A file's text; bytes that are no UTF-8 survive `_store`."""
    raw = place.read_bytes()
    if b"\0" in raw[:8192]:
        raise ToolFault(f"{place} is a binary file of {len(raw)} bytes: use the shell")
    return raw.decode("utf-8", "surrogateescape")


def _store(place: Path, text: str) -> None:
    """Replace a file whole or not at all, through links, with its mode kept."""
    target = place.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name[:100]}.{os.getpid()}.part")
    try:
        part.write_bytes(text.encode("utf-8", "surrogateescape"))
        with suppress(FileNotFoundError):
            part.chmod(target.stat().st_mode & 0o7777)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _where(text: str, old: str) -> str:
    if count := text.count(old):
        starts = islice(re.finditer(f"(?={re.escape(old)})", text), 5)
        lines = ", ".join(str(text.count("\n", 0, found.start()) + 1) for found in starts)
        return f"but occurs {count} times (first at lines {lines}): take more of what stands round it"
    first, *_ = old.strip().splitlines() or [""]
    near = next((n for n, line in enumerate(text.splitlines(), 1) if first and line.strip() == first.strip()), None)
    hint = f"; its first line, but for spaces, is line {near}" if near else ""
    return f"but does not occur: read the file again{hint}"
