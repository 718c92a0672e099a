"""What the model is told before anything else: who it is, where, by which rules, and what the repository asks for."""

from __future__ import annotations

import os
from datetime import datetime
from pathlib import Path

from handrail.text import clip

_RULES = Path(__file__).with_name("rules.md").read_text("utf-8")
_GUIDES = ("AGENTS.md", "CLAUDE.md")
"""the first of them that lies in a folder is told"""
_GUIDE_LIMIT = 16_000
"""characters of one guide that are told"""


def system_prompt(cwd: Path) -> str:
    """The system prompt of a session in `cwd`, with the guides up to the repository's top, outermost first."""
    system = os.uname()
    date = f"{datetime.now().astimezone():%A, %d %B %Y}"
    place = f"Working directory: {cwd}\nDate: {date}\nSystem: {system.sysname} {system.release} {system.machine}"
    folders = [cwd, *cwd.parents]
    top = next((at for at, folder in enumerate(folders) if (folder / ".git").exists()), 0)
    guides = list[str]()
    for folder in reversed(folders[: top + 1]):
        guides += [_told(folder / name) for name in _GUIDES if (folder / name).is_file()][:1]
    return "\n\n".join([_RULES, place, *guides])


def _told(guide: Path) -> str:
    """A guide as the model is told it; what cannot be read is said, not raised."""
    try:
        text = clip(guide.read_text("utf-8", "replace"), _GUIDE_LIMIT, ": read the file")
    except OSError as error:
        text = f"(cannot be read: {error.strerror})"
    return f'<guide path="{guide}">\n{text.strip()}\n</guide>'
