"""Workflow files judged without a server: `python -m handrail.commands.lint FILE …`, a process edge of its own.

`handrail workflows lint` becomes it: the command line itself loads no models.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Collection, Iterator, Sequence
from datetime import datetime
from pathlib import Path

from handrail.agents.catalogue import catalogue
from handrail.clean import one_line
from handrail.config import data_directory
from handrail.errors import HandrailError, InvalidInput
from handrail.types import Json, now
from handrail.workflows import schema
from handrail.workflows.cron import upcoming
from handrail.workflows.document import Workflow
from handrail.workflows.read import look, text_of, version_of
from handrail.workflows.sound import notes
from handrail.workflows.words import starts

FOLDER = Path(".handrail") / "workflows"
"""where a repository keeps its workflows"""
ENDINGS = ("*.yaml", "*.yml")


def files(given: Sequence[Path]) -> list[Path]:
    """The files to judge: those given, and the workflow files of folders that are given.

    Raises:
        InvalidInput: there is none.
    """
    found: list[Path] = []
    for path in given or (FOLDER,):
        if path.is_dir():
            folder = path / FOLDER if (path / FOLDER).is_dir() else path
            found += sorted(file for ending in ENDINGS for file in folder.glob(ending))
        elif given:
            found.append(path)
    if not found:
        mend = f"name a workflow file, or a folder that holds some, such as {FOLDER}"
        raise InvalidInput("FILE", str(given[0]) if given else str(FOLDER), mend)
    return found


def judge(path: Path, agents: Collection[str], at: datetime) -> Json:
    """One file as JSON values: `problems`, or what it is."""
    text = text_of(path)
    workflow, problems = look(text, agents)
    told: Json = {"file": str(path), "version": version_of(text), "sound": workflow is not None}
    told["problems"] = [
        {"line": item.line, "field": item.field, "value": item.value, "mend": item.mend} for item in problems
    ]
    if workflow is not None:
        told |= _shown(workflow, at)
    return told


def _shown(workflow: Workflow, at: datetime) -> Json:
    return {
        "name": workflow.name,
        "starts": starts(workflow),
        "next": [due.isoformat() for due in upcoming([rule.cron for rule in workflow.rules()], at, 5)],
        "notes": notes(workflow),
    }


def _lines(told: Json) -> Iterator[str]:
    file, problems = told["file"], told["problems"]
    assert isinstance(problems, list)  # noqa: S101 - for mypy: made in `judge`
    for item in problems:
        error = InvalidInput(f"{file}:{item['line']}: {item['field']}", item["value"], item["mend"])
        yield one_line(error.message, 1000)
    if told["sound"]:
        yield f"{file}: sound: {told['name']}, version {told['version']}, started {told['starts']}"
        yield from (f"{file}: note: {note}" for note in told["notes"])  # type: ignore[attr-defined]  # a list


def main(words: Sequence[str] | None = None) -> int:
    """The process edge: 0 when every file is sound, 2 otherwise."""
    parser = argparse.ArgumentParser(prog="handrail workflows lint")
    parser.add_argument("--json", action="store_true")
    parser.add_argument("--schema", action="store_true")
    parser.add_argument("file", nargs="*", type=Path)
    given = parser.parse_args(sys.argv[1:] if words is None else words)
    if given.schema:
        sys.stdout.write(schema.text())
        return 0
    try:
        agents, at = catalogue(data_directory(os.environ)), now()
        found = [judge(path, agents, at) for path in files(given.file)]
    except HandrailError as error:
        sys.stderr.write(f"handrail: {error.message}\n")
        return error.exit_code
    sound = all(told["sound"] for told in found)
    if given.json:
        sys.stdout.write(json.dumps({"sound": sound, "files": found}) + "\n")
        return 0 if sound else 2
    for told in found:
        stream = sys.stdout if told["sound"] else sys.stderr
        stream.writelines(line + "\n" for line in _lines(told))
    return 0 if sound else 2


if __name__ == "__main__":
    sys.exit(main())
