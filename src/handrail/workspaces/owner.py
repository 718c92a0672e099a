"""Files of an agent that runs as another user than the server, which is root then."""

from __future__ import annotations

import os
import stat
from pathlib import Path


def can_reach(path: Path, uid: int) -> bool:
    """Whether user `uid` (with the group of the same number only) may enter every directory above `path`."""
    for parent in path.absolute().parents:
        status = parent.stat()
        bit = stat.S_IXUSR if status.st_uid == uid else stat.S_IXGRP if status.st_gid == uid else stat.S_IXOTH
        if not status.st_mode & bit:
            return False
    return True


def give(tree: Path, uid: int) -> None:
    """Give a tree that no agent has touched yet to `uid`."""
    os.chown(tree, uid, uid, follow_symlinks=False)
    for directory, names, files in os.walk(tree):
        for name in (*names, *files):
            os.chown(os.path.join(directory, name), uid, uid, follow_symlinks=False)  # noqa: PTH118  2,000 times
