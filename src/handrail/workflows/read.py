"""A workflow file read: problems with file, line, field, value and mend; or the workflow."""

from __future__ import annotations

import hashlib
from collections.abc import Collection
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from handrail.errors import InvalidInput
from handrail.lazy import Later
from handrail.workflows import tree
from handrail.workflows.sound import faults
from handrail.workflows.tree import LARGEST, Tree, Unreadable

if TYPE_CHECKING:
    from handrail.workflows import shape
    from handrail.workflows.document import Workflow
else:
    shape = Later("handrail.workflows.shape")


class Problem(Struct, frozen=True):
    """One thing in a file that cannot be used.

    Args:
        line: counted from 1.
        field: its path, such as `on.schedule[0].cron`.
        value: what stands there.
        mend: what to write instead.
    """

    line: int
    field: str
    value: object
    mend: str

    def error(self, name: str) -> InvalidInput:
        """The same as an error; `name` is the file's."""
        return InvalidInput(f"{name}:{self.line}: {self.field}", self.value, self.mend)


def version_of(text: str) -> str:
    """The version that a text is: the first 12 hex digits of its SHA-256."""
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:12]


def text_of(path: Path) -> str:
    """The text of a workflow file, not judged yet.

    Raises:
        InvalidInput: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(4 * LARGEST + 1)
        return raw.decode("utf-8")
    except OSError as error:
        raise InvalidInput("file", str(path), f"give a file that can be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(str(path), f"byte {error.start}", "save it as UTF-8") from error


def read(text: str, name: str = "workflow", agents: Collection[str] | None = None) -> Workflow:
    """Read a workflow.

    Args:
        text: the YAML.
        name: what a refusal calls the file.
        agents: names that the catalogue knows; None lets any pass.

    Raises:
        InvalidInput: the first thing in it that cannot be used.
    """
    workflow, found = look(text, agents)
    if workflow is None:
        raise found[0].error(name)
    return workflow


def look(text: str, agents: Collection[str] | None = None) -> tuple[Workflow | None, list[Problem]]:
    """The workflow, or all that is wrong with its text, in the order of its lines."""
    try:
        parsed = tree.read(text)
    except Unreadable as error:
        return None, [Problem(error.line, "the file", error.value, error.mend)]
    made = shape.shaped(parsed.value)
    wrong = made if isinstance(made, list) else faults(made, parsed, agents)
    found = [_problem(parsed, fault.path, fault.value, fault.mend) for fault in wrong]
    if found or isinstance(made, list):
        return None, sorted(found, key=lambda problem: problem.line)
    return made, []


def _problem(parsed: Tree, path: tree.Path, value: object, mend: str) -> Problem:
    written = parsed.place(path)
    return Problem(parsed.line(written), _dotted(written), _shown(value), mend)


def _shown(value: object) -> object:
    return "a list" if isinstance(value, list | tuple) else "a mapping" if isinstance(value, dict) else value


def _dotted(path: tree.Path) -> str:
    out = ""
    for part in path:
        out += f"[{part}]" if isinstance(part, int) else f".{part}" if out else part
    return out or "the file"
