"""The verbs of `sandbox`: this process becomes the one that raises the walls."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from handrail.cli import options

MODULE = "handrail.commands.walled"

sandbox = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)
Backend = Annotated[
    str,
    typer.Option("--backend", metavar="NAME", help="Kind of walls: bubblewrap, none, or seatbelt (macOS, untested)."),
]


@sandbox.command("probe", epilog="Example: handrail sandbox probe --json")
def probe(backend: Backend = "bubblewrap", as_json: options.AsJson = False) -> None:
    """Try about twenty real escapes, and print what the walls hold on this machine."""
    _become("probe", "--backend", backend, *(["--json"] if as_json else []))


@sandbox.command(
    "run",
    epilog="Example: handrail sandbox run --policy rules.yaml -- npm test",
    context_settings={"allow_interspersed_args": False},
)
def run(
    command: Annotated[list[str], typer.Argument(metavar="-- COMMAND…", help="What to run.")],
    policy: Annotated[
        Path | None,
        typer.Option("--policy", metavar="FILE", help="Policy whose hosts and limits hold (YAML)."),
    ] = None,
    workspace: Annotated[
        Path | None,
        typer.Option(
            "--workspace", metavar="DIR", help="Work on it in place (default: a clone of the repository, thrown away)."
        ),
    ] = None,
    backend: Backend = "bubblewrap",
    data: options.Data = None,
) -> None:
    """Run a command in the walls of a session; streams pass through, its exit status is returned (128+n: a signal)."""
    if data is not None:
        os.environ["HANDRAIL_DATA"] = str(data)
    words = ["run", "--backend", backend]
    for name, value in (("--policy", policy), ("--workspace", workspace)):
        if value is not None:
            words += [name, str(value)]
    _become(*words, "--", *command)


@sandbox.command("profile", epilog="Example: handrail sandbox profile --workspace . --home /tmp/home")
def profile(
    workspace: Annotated[Path, typer.Option("--workspace", metavar="DIR", help="What may be written.")],
    home: Annotated[Path, typer.Option("--home", metavar="DIR", help="A private home, which may be written too.")],
) -> None:
    """Print the Seatbelt profile that macOS would hold a session to. UNTESTED: no Mac has read it."""
    _become("profile", "--workspace", str(workspace), "--home", str(home))


def _become(*words: str) -> NoReturn:
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", MODULE, *words])  # noqa: S606 - no shell is wanted
