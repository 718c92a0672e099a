"""The tools that work on files and commands. `prepare` tells what a call would do, so that a person can be asked."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from shutil import which
from typing import Any

from handrail.agents import Diff
from handrail.agents.own import guide
from handrail.agents.own.cancel import Cancel
from handrail.agents.own.messages import Call, Json
from handrail.agents.own.shell import Output, Shell
from handrail.agents.own.wires import Tool

_DIFF_LIMIT = 256 << 10
"""characters of a file that are shown whole in a diff; of larger ones only the part that changes"""
_LINES = 2000
_LINE = 400
_LONGEST = 3600.0
_SEARCH_SECONDS = 30.0


def _schema(required: str, **properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": required.split()}


def _text(description: str) -> Json:
    return {"type": "string", "description": description}


_PATH = _text("path, relative to the working directory or absolute")
_STATUS = {"type": "string", "enum": ["pending", "in_progress", "completed"]}
TOOLS = (
    Tool(
        "read",
        "Read a text file, with line numbers. Large files in parts: `first` and `last` are line numbers from 1.",
        _schema("path", path=_PATH, first={"type": "integer"}, last={"type": "integer"}),
    ),
    Tool(
        "write",
        "Write a whole file, new or over an old one; folders are made.",
        _schema("path content", path=_PATH, content=_text("the whole content")),
    ),
    Tool(
        "edit",
        "Replace text that occurs exactly once in a file. Take enough lines round it to make it unique.",
        _schema("path old new", path=_PATH, old=_text("as it stands in the file"), new=_text("what replaces it")),
    ),
    Tool(
        "search",
        "Search files by regular expression; without a pattern, list the files.",
        _schema("pattern", pattern=_text("may be empty"), path=_PATH, glob=_text("file names, such as *.py")),
    ),
    Tool(
        "shell",
        "Run a command in the open bash. The result is its output, and its exit status where that is not 0.",
        _schema("command", command=_text("bash"), timeout={"type": "number", "description": "seconds, 120 by default"}),
    ),
    Tool(
        "plan",
        "Show the person your plan, whole, each time it changes.",
        _schema(
            "entries",
            entries={"type": "array", "items": _schema("text status", text=_text("one step"), status=_STATUS)},
        ),
    ),
    Tool(
        "ask",
        "Ask the person a question. With options they choose one; without, the turn ends and they answer in words.",
        _schema("question", question=_text("one question"), options={"type": "array", "items": _text("an answer")}),
    ),
)
"""all tools; `plan` and `ask` are the turn's own affair"""


class ToolFault(Exception):
    """The call cannot be done; the message tells the model why, and what would work."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a tool gave: `text` for the model, `raw` for the client."""

    text: str
    ok: bool = True
    raw: Json = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Act:
    """What a call would do. `asks`: a person is to be asked where somebody watches; `kind` is ACP's."""

    title: str
    kind: str
    run: Callable[[Cancel, Callable[[str], None]], Outcome]
    paths: tuple[Path, ...] = ()
    line: int | None = None
    diff: Diff | None = None
    asks: bool = False


class Workbench:
    """One session's files and shell.

    Args:
        root: the working directory.
        environ: of this process; tools get it without what is ours alone.
        limit: bytes of one result.
    """

    def __init__(self, root: Path, environ: Mapping[str, str], limit: int) -> None:
        self.root = root
        self.limit = limit
        env = {k: v for k, v in environ.items() if not k.startswith("HANDRAIL_") and k not in {"BASH_ENV", "ENV"}}
        self.env = env | {"PAGER": "cat", "GIT_PAGER": "cat", "GIT_TERMINAL_PROMPT": "0", "TERM": "dumb"}
        self.shell = Shell(root, self.env, limit)
        self._guides: set[Path] = set()

    def prepare(self, call: Call) -> Act:
        """What `call` would do.

        Raises:
            ToolFault: it cannot be done.
        """
        if call.fault:
            raise ToolFault(call.fault)
        makers = {
            "read": self._read,
            "write": self._write,
            "edit": self._edit,
            "search": self._search,
            "shell": self._shell,
        }
        if call.name not in makers:
            raise ToolFault(f"there is no tool `{call.name}`: the tools are {', '.join(t.name for t in TOOLS)}")
        try:
            return makers[call.name](call.args)
        except OSError as error:
            raise ToolFault(f"{error.filename or call.name}: {error.strerror or error}") from error
        except ValueError as error:  # a NUL in a path
            raise ToolFault(str(error)) from error

    # --- files --------------------------------------------------------------------------------------------------------

    def _path(self, args: Json, *, default: str | None = None) -> Path:
        given = argument(args, "path", str, _MISSING if default is None else default)
        if given.startswith("~/"):
            given = self.env.get("HOME", "~") + given[1:]
        return Path(os.path.normpath(self.root / (given or ".")))

    def _outside(self, path: Path) -> bool:
        return not path.resolve().is_relative_to(self.root.resolve())

    def _nearby(self, path: Path) -> str:
        """Guides of the folders between the root and `path` that were not told yet, for the end of a result."""
        if not path.is_relative_to(self.root):
            return ""
        folders = [folder for folder in path.parents if folder != self.root and folder.is_relative_to(self.root)]
        guides = [found for folder in reversed(folders) if (found := guide.in_folder(folder)) and found != path]
        new = [found for found in guides if found not in self._guides]
        self._guides.update(new)
        return "".join(f"\n\n{guide.told(found)}" for found in new)

    def _read(self, args: Json) -> Act:
        path = self._path(args)
        first, last = argument(args, "first", int, 1), argument(args, "last", int, 0)

        def run(_cancel: Cancel, _progress: object) -> Outcome:
            if path.is_dir():
                names = sorted(f"{item.name}/" if item.is_dir() else item.name for item in path.iterdir())
                return Outcome("\n".join(names)[: self.limit] or "(an empty folder)")
            lines = _load(path).splitlines()
            start = max(1, first) - 1
            end = min(len(lines), last if last > 0 else len(lines), start + _LINES)
            output, shown = Output(1 << 30), start
            for shown, line in enumerate(lines[start:end], start + 1):
                output.add(f"{shown:6}\t{line[:2000]}\n".encode("utf-8", "replace"))
                if output.total > self.limit:
                    break
            more = (
                f"[lines {start + 1}-{shown} of {len(lines)}; read on with first={shown + 1}]"
                if shown < len(lines)
                else ""
            )
            return Outcome((output.text() + more or "(nothing there)") + self._nearby(path))

        span = f" (lines {first}-{last or 'end'})" if first > 1 or last else ""
        title = f"Read {self._short(path)}{span}"
        return Act(title, "read", run, (path,), first if first > 1 else None, asks=self._outside(path))

    def _write(self, args: Json) -> Act:
        path, new = self._path(args), argument(args, "content", str)
        old = _load(path) if path.exists() else None
        said = f"wrote {len(new.splitlines())} lines to {self._short(path)}"
        return self._change(path, (old, new), Diff(str(path), old, new), f"Write {self._short(path)}", said)

    def _edit(self, args: Json) -> Act:
        path, before = self._path(args), _load(self._path(args))
        old, new = argument(args, "old", str), argument(args, "new", str)
        if "\r\n" in before and "\r\n" not in old:
            old, new = old.replace("\n", "\r\n"), new.replace("\n", "\r\n")
        if not old:
            raise ToolFault("`old` is empty: give the text to replace, or use `write`")
        if old == new:
            raise ToolFault("`old` and `new` are the same: nothing would change")
        count = before.count(old)
        if count != 1:
            raise ToolFault(f"{self._short(path)}: `old` must occur exactly once, {_where(before, old, count)}")
        after = before.replace(old, new)
        line = before.count("\n", 0, before.index(old)) + 1
        diff = Diff(str(path), before, after)
        if len(before) + len(after) > _DIFF_LIMIT:
            diff = Diff(str(path), old, new)
        said = f"edited {self._short(path)} at line {line}"
        act = self._change(path, (before, after), diff, f"Edit {self._short(path)}", said)
        return replace(act, line=line)

    def _change(self, path: Path, texts: tuple[str | None, str], diff: Diff, title: str, said: str) -> Act:
        before, after = texts

        def run(_cancel: Cancel, _progress: object) -> Outcome:
            # Days may have passed since the person was shown the difference.
            if (_load(path) if path.exists() else None) != before:
                raise ToolFault(f"{self._short(path)} was changed by somebody else meanwhile: read it again")
            _store(path, after)
            return Outcome(said + self._nearby(path))

        old = None if diff.old is None else _printable(diff.old)
        shown = Diff(diff.path, old, _printable(diff.new))
        return Act(title, "edit", run, (path,), diff=shown, asks=True)

    def _short(self, path: Path) -> str:
        return _printable(str(path.relative_to(self.root) if path.is_relative_to(self.root) else path)) or "."

    # --- search and commands ------------------------------------------------------------------------------------------

    def _search(self, args: Json) -> Act:
        pattern, glob = argument(args, "pattern", str, ""), argument(args, "glob", str, "")
        path = self._path(args, default=".")
        path.stat()
        if rg := which("rg", path=self.env.get("PATH")):
            globs = ["--glob", glob] if glob else []
            what = (
                ["--line-number", "--with-filename", "--no-heading", "--color=never", "-e", pattern]
                if pattern
                else ["--files"]
            )
            argv = [rg, "--no-config", "--sort=path", *globs, *what, "--", str(path)]
        else:
            argv = [sys.executable, "-I", "-m", "handrail.agents.own.search", pattern, glob, str(path)]
        name = f"Search {pattern!r}" if pattern else f"List {glob or 'files'}"
        run = partial(self._found, argv)
        return Act(f"{name} in {self._short(path)}", "search", run, (path,), asks=self._outside(path))

    def _found(self, argv: list[str], cancel: Cancel, _progress: object) -> Outcome:
        began, output = time.monotonic(), Output(1 << 30)
        pipe, null = subprocess.PIPE, subprocess.DEVNULL
        with subprocess.Popen(argv, stdin=null, stdout=pipe, stderr=pipe, cwd=self.root, env=self.env) as process:
            assert process.stdout is not None  # noqa: S101  # it was asked for
            assert process.stderr is not None  # noqa: S101
            with cancel.stopping(process.kill):
                for line in process.stdout:
                    output.add(line.removeprefix(f"{self.root}/".encode())[:_LINE].rstrip(b"\n") + b"\n")
                    if output.total > self.limit or time.monotonic() - began > _SEARCH_SECONDS:
                        process.kill()
                        break
                error = process.stderr.read().decode("utf-8", "replace")
        cancel.check()
        if process.returncode == 2 and not output.total:
            raise ToolFault(error.strip()[:500])
        cut = "[there is more: narrow the search]" if process.returncode < 0 else ""
        return Outcome(output.text() + cut or "nothing found")

    def _shell(self, args: Json) -> Act:
        command = argument(args, "command", str)
        timeout = min(_LONGEST, float(argument(args, "timeout", (int, float), 120)))
        if timeout <= 0:
            raise ToolFault("`timeout` must be more than 0 seconds")

        def run(cancel: Cancel, progress: Callable[[str], None]) -> Outcome:
            ran = self.shell.run(command, timeout, cancel, progress)
            notes = [f"exit status {ran.code}"] * (ran.code != 0) + [ran.note] * bool(ran.note)
            text = ran.output + ("" if ran.output.endswith("\n") or not ran.output else "\n")
            text += f"[{'; '.join(notes)}]" if notes else ""
            raw = {"exit_code": ran.code, "seconds": round(ran.seconds, 3)}
            return Outcome(text or "(no output)", ran.code == 0 and not ran.note.startswith("timed out"), raw)

        first, *rest = command.strip().splitlines() or [""]
        title = f"{first[:120]}{' …' if rest or len(first) > 120 else ''}"
        return Act(title or "(empty command)", "execute", run, asks=True)


_MISSING: Any = object()


def argument(args: Json, name: str, kind: type | tuple[type, ...], default: Any = _MISSING) -> Any:
    """An argument of a call, of its kind.

    Raises:
        ToolFault: it is missing or of another kind.
    """
    value = args.get(name, default)
    if value is None and default is not _MISSING:
        return default
    if value is _MISSING:
        raise ToolFault(f"`{name}` is missing")
    if kind is int and isinstance(value, float) and value.is_integer():
        return int(value)
    if not isinstance(value, kind) or isinstance(value, bool):
        wanted = kind.__name__ if isinstance(kind, type) else "number"
        raise ToolFault(f"`{name}` must be of type {wanted}, not {type(value).__name__}")
    return value


def _printable(text: str) -> str:
    return text if text.isascii() else text.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def _load(path: Path) -> str:
    """A file's text; bytes that are no UTF-8 survive `_store`."""
    raw = path.read_bytes()
    if b"\0" in raw[:8192]:
        raise ToolFault(f"{path} is a binary file of {len(raw)} bytes: use the shell")
    return raw.decode("utf-8", "surrogateescape")


def _store(path: Path, text: str) -> None:
    """Replace a file whole or not at all, through links, with its mode kept."""
    target = path.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    part = target.with_name(f".{target.name[:100]}.{os.getpid()}.part")
    try:
        part.write_bytes(text.encode("utf-8", "surrogateescape"))
        with suppress(FileNotFoundError):
            part.chmod(target.stat().st_mode & 0o7777)
        part.replace(target)
    finally:
        part.unlink(missing_ok=True)


def _where(text: str, old: str, count: int) -> str:
    if count:
        starts = [0]
        while len(starts) <= min(count, 5):
            starts.append(text.index(old, starts[-1]) + 1)
        shown = ", ".join(str(text.count("\n", 0, start) + 1) for start in starts[1:6])
        return f"but occurs {count} times (first at lines {shown}): take more of what stands round it"
    lines = [line.strip() for line in old.strip().splitlines()]
    near = next((n for n, line in enumerate(text.splitlines(), 1) if lines and line.strip() == lines[0]), None)
    hint = f"; its first line, but for spaces, is line {near}" if near else ""
    return f"but does not occur: read the file again{hint}"
