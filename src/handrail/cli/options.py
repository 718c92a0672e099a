"""What verbs share: their common options, and typed words turned into values."""

from __future__ import annotations

import asyncio
import getpass
import json
import os
import re
import sys
from collections.abc import Coroutine
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import Annotated, Any, TypeVar

import typer

from handrail.cli.clean import one_line
from handrail.cli.client import Client
from handrail.config import data_directory, load
from handrail.errors import InvalidInput

Data = Annotated[
    Path | None, typer.Option("--data", metavar="DIR", help="Data directory (default: $HANDRAIL_DATA or the user's).")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else.")]
Session = Annotated[
    str,
    typer.Argument(metavar="[SESSION]", help="Session id, a unique beginning of one, or `last`.", show_default=False),
]
Sure = Annotated[str, typer.Argument(metavar="SESSION", help="Session id, a unique beginning of one, or `last`.")]
AgentName = Annotated[str | None, typer.Option("--agent", help="Agent of the catalogue (see `handrail agents`).")]
Model = Annotated[str | None, typer.Option("--model", help="Model the agent shall use.")]
Provider = Annotated[str | None, typer.Option("--provider", help="Model provider (see `handrail providers`).")]
Sandbox = Annotated[
    str | None,
    typer.Option("--sandbox", help="Walls round the agent: bubblewrap, none, or seatbelt (macOS, untested)."),
]
Permit = Annotated[
    str | None, typer.Option("--permissions", help="What to do with the agent's questions: ask, allow or deny.")
]
Policy = Annotated[
    Path | None, typer.Option("--policy", metavar="FILE", help="Rules for commands, files, hosts and limits (YAML).")
]
Repo = Annotated[Path | None, typer.Option("--repo", metavar="PATH", help="Repository (default: the one you are in).")]
Ref = Annotated[str | None, typer.Option("--ref", help="Commit, tag or branch to start from (default: HEAD).")]
Uncommitted = Annotated[
    bool, typer.Option("--include-uncommitted", help="Take your uncommitted and untracked files along.")
]
Tools = Annotated[
    list[Path] | None,
    typer.Option("--tools", metavar="DIR", help="Tool chain to show inside, `bin` on PATH (default: $VIRTUAL_ENV)."),
]
Network = Annotated[
    list[str] | None,
    typer.Option("--network", metavar="WHERE", help="Let the agent reach a registry (pypi, npm, …) or host:port."),
]
Login = Annotated[
    bool,
    typer.Option("--login", help="Give the agent a copy of your own login of it, in place of Handrail's providers."),
]
Untrusted = Annotated[
    bool, typer.Option("--untrusted", help="Someone else wrote this ref: do not use its settings for agents.")
]
Secrets = Annotated[
    list[str] | None,
    typer.Option("--secret", metavar="NAME", help="Let the agent's requests carry a secret (see `handrail secrets`)."),
]
Checks = Annotated[
    list[str] | None, typer.Option("--check", metavar="CMD", help="Command that must pass; may be given several times.")
]
Budget = Annotated[str | None, typer.Option("--budget", metavar="USD", help="Stop at this much money, such as 2.50.")]
TurnBudget = Annotated[
    str | None, typer.Option("--turn-budget", metavar="USD", help="End any turn at this much money, such as 0.50.")
]
Turns = Annotated[int | None, typer.Option("--turns", min=1, metavar="N", help="Stop after this many turns.")]
Limit = Annotated[
    str | None, typer.Option("--time", metavar="TIME", help="Stop after this long, such as 30m or 1h30m.")
]

T = TypeVar("T")
STDIN_LIMIT = 16 << 20
_UNITS = {"s": 1.0, "m": 60.0, "h": 3600.0, "d": 86400.0}


def where(data: Path | None) -> Path:
    """The data directory of a command line."""
    return data_directory(os.environ, data)


def client(data: Path | None, *, start: bool = True) -> Client:
    """A client of the server of `data`."""
    return Client(where(data), say=whisper, start=start)


def run(act: Coroutine[Any, Any, T]) -> T:
    """Run a verb's coroutine."""
    return asyncio.run(act)


def whisper(sentence: str) -> None:
    """Tell a person something aside: on stderr, and only on a terminal."""
    if sys.stderr.isatty():
        sys.stderr.write(f"handrail: {sentence}\n")


def put(text: str) -> None:
    """One line, or several, on stdout."""
    sys.stdout.write(text + "\n")


def put_json(value: object) -> None:
    """One JSON document on stdout; escaped where the terminal's encoding is narrower than UTF-8."""
    put(json.dumps(value, ensure_ascii=_narrow(), indent=2 if sys.stdout.isatty() else None))


def put_json_line(value: object) -> None:
    """One JSON document on a line of its own."""
    put(json.dumps(value, ensure_ascii=_narrow()))


def _narrow() -> bool:
    return not (sys.stdout.encoding or "ascii").lower().replace("-", "").startswith("utf8")


def policy(given: Path | None) -> str | None:
    """The text of a policy file; the server judges it.

    Raises:
        InvalidInput: it cannot be read.
    """
    if given is None:
        return None
    try:
        return given.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidInput("--policy", str(given), "give a text file that can be read") from error


def tools(given: list[Path] | None) -> list[str] | None:
    """Tool chains for a session: those given, else the virtual environment that is active here."""
    if given is None:
        active = os.environ.get("VIRTUAL_ENV")
        given = [Path(active)] if active and Path(active).is_dir() else []
    return [str(path.expanduser().absolute()) for path in given] or None


def from_stdin() -> str:
    """All of stdin as text.

    Raises:
        InvalidInput: it is not UTF-8, or above 16 MiB.
    """
    raw = sys.stdin.buffer.read(STDIN_LIMIT + 1)
    if len(raw) > STDIN_LIMIT:
        raise InvalidInput("stdin", f"more than {STDIN_LIMIT >> 20} MiB", "send less")
    return decoded(raw)


def secret(what: str, variable: str | None, *, stdin: bool) -> str:
    """A secret from a variable, stdin or a hidden prompt: never from an argument, which every process can read.

    Args:
        what: its name for a person, and of the options `--WHAT-stdin` and `--WHAT-env`.
        variable: the variable to read it from.
        stdin: whether to read it from stdin.

    Raises:
        InvalidInput: none is there, or it has blanks in it.
    """
    if stdin and variable:
        raise InvalidInput(f"--{what}-stdin and --{what}-env", "both", "give one of them")
    if variable:
        if not (given := os.environ.get(variable, "").strip()):
            raise InvalidInput(f"--{what}-env", variable, "name a variable that is set")
        return given
    given = (
        from_stdin().strip() if stdin or not sys.stdin.isatty() else getpass.getpass(f"{what} (not shown): ").strip()
    )
    if not given or any(char.isspace() for char in given):
        raise InvalidInput(what, f"{len(given)} characters", f"give one {what} without blanks in it")
    return given


def decoded(raw: bytes) -> str:
    """Bytes of stdin as text.

    Raises:
        InvalidInput: they are not UTF-8.
    """
    try:
        return raw.decode("utf-8")
    except UnicodeDecodeError as error:
        raise InvalidInput("stdin", raw[error.start : error.start + 8], "send text in UTF-8") from error


def usd(text: str | None, name: str = "--budget") -> str | None:
    """A typed amount of dollars, checked, as the decimal text that the API takes.

    Raises:
        InvalidInput: it is no positive amount.
    """
    if text is None:
        return None
    try:
        amount = Decimal(text.removeprefix("$"))
    except InvalidOperation:
        amount = Decimal(0)
    if not amount.is_finite() or not 0 < amount <= 1_000_000:
        raise InvalidInput(name, text, "give a positive amount of US dollars, such as 2.50")
    return format(amount, "f")


def seconds(text: str | None, name: str = "--time") -> float | None:
    """A typed duration (`90`, `45s`, `30m`, `1h30m`, `2d`) in seconds.

    Raises:
        InvalidInput: it is none.
    """
    if text is None:
        return None
    if re.fullmatch(r"\d{1,9}", text) and int(text) > 0:
        return float(text)
    if re.fullmatch(r"(\d{1,6}[dhms])+", text):
        total = sum(int(count) * _UNITS[unit] for count, unit in re.findall(r"(\d+)([dhms])", text))
        if total > 0:
            return total
    raise InvalidInput(name, text, "give a duration such as 45s, 30m or 1h30m")


def utf8(text: str, name: str) -> str:
    """An argument as text; Python smuggles bytes that are not UTF-8 in as lone surrogates.

    Raises:
        InvalidInput: it holds such bytes, or nothing but blanks.
    """
    try:
        text.encode("utf-8")
    except UnicodeEncodeError as error:
        raise InvalidInput(name, one_line(text, 60), "give text in UTF-8") from error
    if not text.strip():
        raise InvalidInput(name, text, "give a text")
    return text


def fits(text: str, name: str, data: Path) -> str:
    """A prompt that the server will take.

    Raises:
        InvalidInput: it is longer than the configured limit, is empty, or is not UTF-8.
    """
    limit = load(data).prompt_limit
    size = len(utf8(text, name).encode("utf-8"))
    if size > limit:
        raise InvalidInput(name, f"{size} bytes", f"give at most {limit} bytes, or put it in a file of the repository")
    return text


def repository(path: Path | None) -> str:
    """The top of the git repository at `path` (default: the current directory), as an absolute path.

    Raises:
        InvalidInput: there is none.
    """
    start = (path or Path.cwd()).expanduser().absolute()
    for folder in (start, *start.parents):
        if (folder / ".git").exists():
            return str(folder)
    raise InvalidInput(
        "--repo" if path else "the current directory", str(start), "go to a git repository, or make one with `git init`"
    )


def goal(
    text: str, checks: list[str] | None, *, budget: str | None, turns: int | None, time: str | None
) -> dict[str, Any]:
    """A goal as the API takes it, from typed options."""
    given = {
        "text": utf8(text, "GOAL"),
        "checks": [utf8(check, "--check") for check in checks or []],
        "turns": turns,
        "budget_usd": usd(budget),
        "seconds": seconds(time),
    }
    return {key: value for key, value in given.items() if value is not None}


def allowed(value: str | None, name: str, *choices: str) -> str | None:
    """`value`, which must be one of `choices` when it is given.

    Raises:
        InvalidInput: it is another word.
    """
    if value is not None and value not in choices:
        raise InvalidInput(name, value, f"give {', '.join(choices[:-1])} or {choices[-1]}")
    return value
