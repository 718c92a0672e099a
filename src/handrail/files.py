"""Files that are replaced whole or not at all: settings of the server, and what Handrail's own agent edits."""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path


def replace(file: Path, content: bytes, mode: int | None = None) -> None:
    """Put `content` in the place of `file`, or of what it links to; folders are made.

    Args:
        file: need not be there yet.
        content: all of it.
        mode: its permissions; where None, those that it has, or a new file's.

    Raises:
        OSError: the file is as it was.
    """
    target = file.resolve()
    target.parent.mkdir(parents=True, exist_ok=True)
    draft = target.with_name(f".{target.name[:100]}.{os.getpid()}.part")
    try:
        draft.write_bytes(content)
        with suppress(FileNotFoundError):
            draft.chmod(target.stat().st_mode & 0o7777 if mode is None else mode)
        draft.replace(target)
    finally:
        draft.unlink(missing_ok=True)


def replace_for_good(file: Path, content: bytes, draft: Path) -> None:
    """Put `content` in the place of `file` so that it outlives a power cut; its folder is there.

    Args:
        file: need not be there yet.
        content: all of it.
        draft: where it is written first, beside it.

    Raises:
        OSError: the file is as it was; the draft may be there.
    """
    with draft.open("wb") as out:
        out.write(content)
        out.flush()
        os.fsync(out.fileno())
    draft.replace(file)
