"""Ready workflows, as data: one file each beside this module. They are imported switched off."""

from __future__ import annotations

import difflib
from importlib import resources

from handrail.errors import NotFound

BLANK = "OWNER"
"""stands in `repositories` where a person has to put theirs"""


def names() -> list[str]:
    """What the gallery holds."""
    files = resources.files(__package__).iterdir()
    return sorted(file.name.removesuffix(".yaml") for file in files if file.name.endswith(".yaml"))


def text(name: str) -> str:
    """The file of one.

    Raises:
        NotFound: there is none of that name.
    """
    known = names()
    if name not in known:
        near = difflib.get_close_matches(name, known, n=1)
        hint = f"did you mean {near[0]}?" if near else f"it holds {', '.join(known)}"
        raise NotFound(f"the gallery has no workflow {name!r}: {hint}")
    return resources.files(__package__).joinpath(f"{name}.yaml").read_text("utf-8")
