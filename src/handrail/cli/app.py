"""The `handrail` command: finds a verb, loads its module, and turns every failure into one sentence."""

from __future__ import annotations

import importlib
import io
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.core

from handrail import __version__
from handrail.cli.verbs import SECTIONS, VERBS, Verb
from handrail.errors import HandrailError
from handrail.lazy import Later

_crash = Later("handrail.cli.crash")

INTERRUPTED = 130
USAGE = 2
BROKEN_PIPE = 141  # what a shell reports for a program that SIGPIPE ended


Command = typer.core.TyperCommand | typer.core.TyperGroup


class Verbs(typer.core.TyperGroup):
    """The group of all verbs; a verb's module is imported when the verb is called."""

    def __init__(self, **attributes: Any) -> None:
        super().__init__(**attributes)
        self.commands = {name: typer.core.TyperCommand(name, help=verb.help) for name, verb in VERBS.items()}

    def get_command(self, ctx: object, cmd_name: str) -> Command | None:
        """The real command of a verb."""
        del ctx
        verb = VERBS.get(cmd_name)
        return None if verb is None else load(verb)

    def format_commands(self, ctx: object, formatter: Any) -> None:
        """List the verbs by section, from the table alone."""
        del ctx
        longest = max(map(len, VERBS))
        for title, verbs in SECTIONS.items():
            with formatter.section(title):
                formatter.write_dl([(verb.name.ljust(longest), summary(verb)) for verb in verbs])


def summary(verb: Verb) -> str:
    """The first part of a verb's sentence, for lists."""
    return re.split(r"[;,] |\. |\.$", verb.help)[0]


def load(verb: Verb) -> Command:
    """Import a verb's module and build its command."""
    module, _, name = verb.target.partition(":")
    target = getattr(importlib.import_module(f"handrail.cli.{module}"), name)
    application = target
    if not isinstance(target, typer.Typer):
        application = typer.Typer(rich_markup_mode=None, add_completion=False)
        application.command(verb.name)(target)
    command = _built(application)
    command.name, command.help, command.epilog = verb.name, verb.help, f"Example: {verb.example}"
    return command


def _version(asked: bool) -> None:
    if asked:
        sys.stdout.write(f"handrail {__version__}\n")
        raise typer.Exit


_app = typer.Typer(cls=Verbs, rich_markup_mode=None, add_completion=False, no_args_is_help=True)


@_app.callback(
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Documentation: docs/ of the repository. Any verb takes --help.",
)
def _root(
    data: Annotated[
        Path | None,
        typer.Option("--data", metavar="DIR", help="Data directory (default: $HANDRAIL_DATA or the user's)."),
    ] = None,
    version: Annotated[  # noqa: ARG001 - its callback acts
        bool, typer.Option("--version", help="Print the version.", is_eager=True, callback=_version)
    ] = False,
) -> None:
    """Run coding agents hands-on or handed off, inside the same walls."""
    if data is not None:
        os.environ["HANDRAIL_DATA"] = str(data)  # what a verb and a server it starts look at


def group() -> Command:
    """The command tree, also for the generated reference."""
    return _built(_app)


def _built(application: typer.Typer) -> Command:
    command = typer.main.get_command(application)
    if not isinstance(command, Command):
        raise TypeError(f"Typer built a {type(command).__name__}")
    return command


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command line and return its exit status: the process edge of every verb."""
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")  # a narrow locale loses a letter, never the answer
    try:
        code = group().main(args=arguments, prog_name="handrail", standalone_mode=False)
        sys.stdout.flush()
    except HandrailError as error:
        return _failed(error.message, error.exit_code)
    except typer.TyperException as error:
        return _misused(error)
    except (KeyboardInterrupt, typer.Abort):
        return INTERRUPTED
    except BrokenPipeError:
        # the interpreter flushes stdout once more at exit
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return BROKEN_PIPE
    except Exception as error:  # noqa: BLE001 - the process edge
        return _failed(_crash.load().told(error), 1)
    return code if isinstance(code, int) else 0


def _failed(message: str, code: int) -> int:
    sys.stderr.write(f"handrail: {message}\n")
    return code


def _misused(error: typer.TyperException) -> int:
    context = getattr(error, "ctx", None)
    if type(error).__name__ == "NoArgsIsHelpError":
        sys.stdout.write(error.format_message() + "\n")
        return USAGE
    path = context.command_path if context else "handrail"
    return _failed(f"{error.format_message().rstrip('.')} (see `{path} --help`)", USAGE)
