"""The verbs about workflows: lint, schema."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Annotated, NoReturn

import typer

from handrail.cli import options

LINT = "handrail.commands.lint"

workflows = typer.Typer(rich_markup_mode=None, add_completion=False, no_args_is_help=True)


@workflows.command("lint", epilog="Example: handrail workflows lint .handrail/workflows/nightly.yaml")
def lint(
    file: Annotated[
        list[Path] | None,
        typer.Argument(metavar="[FILE]…", help="Workflow files, or folders (default: .handrail/workflows)."),
    ] = None,
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> None:
    """Say what is wrong with workflow files: line, field, value and what to write instead. Needs no server."""
    if data is not None:
        os.environ["HANDRAIL_DATA"] = str(data)
    _become(*(["--json"] if as_json else []), "--", *map(str, file or ()))


@workflows.command("schema", epilog="Example: handrail workflows schema > workflow.schema.json")
def schema() -> None:
    """Print the JSON Schema of workflow files, for editors."""
    _become("--schema")


def _become(*words: str) -> NoReturn:
    sys.stdout.flush()
    os.execv(sys.executable, [sys.executable, "-m", LINT, *words])  # noqa: S606 - no shell is wanted
