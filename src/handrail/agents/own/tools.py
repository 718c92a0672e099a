"""The tools that work on files and commands.

What the model is told of them stands in `tools.json`. A tool says by `step.begin` what it is about to do, which comes
back once that is shown and allowed; what it returns is for the model.
"""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Callable, Mapping
from inspect import signature
from pathlib import Path
from typing import Any, Protocol, get_type_hints

from msgspec import Struct, ValidationError, convert, defstruct
from msgspec.structs import asdict

from handrail import files
from handrail.agents.own.cancel import Cancel
from handrail.agents.own.shell import Shell
from handrail.agents.own.wires import Call, Json
from handrail.text import clip, whole

_LINES, _LINE = 2000, 400
"""what one call reads at most, and what is shown of a line that was found"""
_DIFF = 256 << 10
"""characters of a file that are shown whole in a difference; of a larger one only the part that changes"""
_LONGEST = 3600.0
"""seconds of one command"""
_TOLD: Json = json.loads(Path(__file__).with_name("tools.json").read_text("utf-8"))
_GREP = ("grep", "--no-index", "--exclude-standard", "--no-color", "-P")


class ToolFault(Exception):
    """The call cannot be done, or failed; the message tells the model why, and what would work."""


class Step(Protocol):
    """One call under way, as its tool sees it. Set `ends` where the turn ends with it, for the person is to answer."""

    cancel: Cancel
    ends: bool

    def begin(self, title: str, kind: str, *, asks: bool = False, **card: Any) -> None:
        """Show what is to be done, and ask the person first where `asks`; ToolFault where they refuse."""

    def progress(self, output: str) -> None:
        """Show the output so far."""


class Tool(Struct, frozen=True):
    """What carries a call out, and what the model is told; without `accepts` it looks at the arguments by itself."""

    run: Callable[..., str]
    told: Json
    accepts: type[Struct] | None = None


def table(*tools: Callable[..., str]) -> dict[str, Tool]:
    """The tools by name, each with what its signature accepts."""
    made = dict[str, Tool]()
    for run in tools:
        name, hints, (_, *args) = run.__name__, get_type_hints(run), signature(run).parameters.values()
        fields = [(arg.name, hints[arg.name], *[arg.default] * (arg.default is not arg.empty)) for arg in args]
        made[name] = Tool(run, {"name": name, **_TOLD[name]}, defstruct(name, fields))
    return made


def perform(tools: Mapping[str, Tool], call: Call, step: Step) -> str:
    """Carry `call` out: what the model is told. ToolFault or OSError where it cannot be done, or failed."""
    if call.fault:
        raise ToolFault(call.fault)
    if call.name not in tools:
        raise ToolFault(f"there is no tool `{call.name}`: the tools are {', '.join(tools)}")
    tool, args = tools[call.name], {name: value for name, value in call.args.items() if value is not None}
    if tool.accepts:
        try:
            args = asdict(convert(args, tool.accepts, strict=False))
        except ValidationError as error:
            raise ToolFault(f"wrong arguments: {error}") from error
    return tool.run(step, **args)


class Workbench:
    """One session's files and shell under `root`; a result has at most `limit` bytes."""

    def __init__(self, root: Path, environ: Mapping[str, str], limit: int) -> None:
        self.root, self.limit = root, limit
        env = {k: v for k, v in environ.items() if not k.startswith("HANDRAIL_") and k not in {"BASH_ENV", "ENV"}}
        self.env = env | {"PAGER": "cat", "GIT_PAGER": "cat", "GIT_TERMINAL_PROMPT": "0", "TERM": "dumb"}
        self.bash = Shell(root, self.env, limit)
        self.tools = table(self.read, self.write, self.edit, self.search, self.shell)

    def read(self, step: Step, path: str, first: int = 1, last: int = 0) -> str:
        """Lines of a text file, numbered, or the names in a folder."""
        place = self._place(path)
        span = f" (lines {first}-{last or 'end'})" if first > 1 or last else ""
        step.begin(f"Read {self._short(place)}{span}", "read", asks=self._outside(place), **_at(place, first))
        if place.is_dir():
            names = sorted(f"{item.name}{'/' * item.is_dir()}" for item in place.iterdir())
            return clip("\n".join(names), self.limit) or "(an empty folder)"
        lines, start = _load(place).splitlines(), max(1, first)
        end = min(len(lines), last if last > 0 else len(lines), start + _LINES - 1)
        text = "".join(f"{at:6}\t{whole(lines[at - 1])}\n" for at in range(start, end + 1))
        more = f"[line {end} of {len(lines)}; read on with first={end + 1}]" if start <= end < len(lines) else ""
        return clip(text, self.limit, ": read in parts") + more or "(nothing there)"

    def write(self, step: Step, path: str, content: str) -> str:
        """Write a whole file."""
        place = self._place(path)
        old = _load(place) if place.exists() else None
        self._change(step, place, old, content)
        return f"wrote {len(content.splitlines())} lines to {self._short(place)}"

    def edit(self, step: Step, path: str, old: str, new: str) -> str:
        """Replace text that occurs exactly once in a file."""
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
        line = before.count("\n", 0, before.index(old)) + 1
        part = {} if len(before) <= _DIFF else {"oldText": whole(old), "newText": whole(new)}
        self._change(step, place, before, before.replace(old, new), line, **part)
        return f"edited {self._short(place)} at line {line}"

    def _change(self, step: Step, place: Path, old: str | None, new: str, line: int = 0, **shown: str) -> None:
        """Write a file whole; the difference is shown as it is, or as what is `shown` in its place."""
        diff = {"type": "diff", "path": str(place), "oldText": old and whole(old), "newText": whole(new)} | shown
        title = f"{'Edit' if line else 'Write'} {self._short(place)}"
        step.begin(title, "edit", asks=True, content=[diff], **_at(place, line or None))
        # Days may have passed since the person was shown the difference.
        if (_load(place) if place.exists() else None) != old:
            raise ToolFault(f"{self._short(place)} was changed by somebody else meanwhile: read it again")
        files.replace(place, new.encode("utf-8", "surrogateescape"))

    def search(self, step: Step, pattern: str = "", path: str = ".", glob: str = "") -> str:
        """Lines that match a Perl regular expression; without one, the names of files. What git ignores is left out."""
        place = self._place(path)
        where = place.parent if place.is_file() else place
        which = f":(glob,top)**/{glob}" if glob else "." if where == place else place.name
        what = ["-n", "-I", "-e", pattern] if pattern else ["-L", "-a", "-e", "(?!)"]
        title = f"{f'Search {pattern!r}' if pattern else 'List ' + (glob or 'files')} in {self._short(place)}"
        step.begin(title, "search", asks=self._outside(place), **_at(place))
        prefix = "" if where == self.root else f"{self._short(where)}/"
        argv = ["git", "-C", str(where), *_GREP, *what, "--", which]
        null, pipe, to = subprocess.DEVNULL, subprocess.PIPE, subprocess.STDOUT
        process, most = subprocess.Popen(argv, stdin=null, stdout=pipe, stderr=to, env=self.env), 8 * self.limit
        with process, step.cancel.stopping(process.kill):
            found = process.stdout.read(most) if process.stdout else b""
            if len(found) == most:
                process.kill()
        step.cancel.check()
        lines = [line[:_LINE].decode("utf-8", "replace") for line in found.splitlines()]
        if process.returncode == 128:
            raise ToolFault(f"git refused it; is `pattern` a regular expression? {' '.join(lines)[:500]}")
        text = "".join(f"{prefix}{line}\n" for line in lines)
        more = "\n[there is more: narrow the search]" if len(found) == most or len(text) > self.limit else ""
        return text[: self.limit] + more or "nothing found"

    def shell(self, step: Step, command: str, timeout: float = 120) -> str:
        """Run a command in the open bash, at most `timeout` seconds: its output, and its exit status where not 0."""
        if timeout <= 0:
            raise ToolFault("`timeout` must be more than 0 seconds")
        first, *rest = command.strip().splitlines() or ["(empty command)"]
        step.begin(f"{first[:120]}{' …' if rest or len(first) > 120 else ''}", "execute", asks=True)
        output, code, note = self.bash.run(command, min(_LONGEST, timeout), step.cancel, step.progress)
        notes = [f"exit status {code}"] * (code != 0) + [note] * bool(note)
        text = output + "\n" * (output[-1:] not in {"", "\n"}) + (f"[{'; '.join(notes)}]" if notes else "")
        if code:
            raise ToolFault(text)
        return text or "(no output)"

    def _place(self, path: str) -> Path:
        path = self.env.get("HOME", "~") + path[1:] if path.startswith("~/") else path
        return Path(os.path.normpath(self.root / (path or ".")))

    def _outside(self, place: Path) -> bool:
        return not place.resolve().is_relative_to(self.root.resolve())

    def _short(self, place: Path) -> str:
        return whole(str(place.relative_to(self.root) if place.is_relative_to(self.root) else place)) or "."


def _at(place: Path, line: int | None = None) -> Json:
    return {"locations": [{"path": str(place), "line": line}]}


def _load(place: Path) -> str:
    """A file's text; bytes that are no UTF-8 survive an edit."""
    raw = place.read_bytes()
    if b"\0" in raw[:8192]:
        raise ToolFault(f"{place} is a binary file of {len(raw)} bytes: use the shell")
    return raw.decode("utf-8", "surrogateescape")


def _where(text: str, old: str) -> str:
    if count := text.count(old):
        return f"but occurs {count} times: take more of what stands round it"
    first = old.strip().partition("\n")[0].strip()
    near = next((n for n, line in enumerate(text.splitlines(), 1) if first and line.strip() == first), None)
    hint = f"; its first line, but for spaces, is line {near}" if near else ""
    return f"but does not occur: read the file again{hint}"
