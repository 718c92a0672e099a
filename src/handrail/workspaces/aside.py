"""Agent settings of an untrusted ref: not in the work tree at all, so that no agent can act on them.

Someone's branch may bring hooks, tool servers or instructions for coding agents. A session that starts from such a ref
has a sparse checkout without these files, wherever in the tree they lie: absent for every agent, whatever its own
switches do, and unchanged in every diff, since git keeps them in the index. One that the agent writes itself is a file
like any other; what comes back from the ref by another way is taken out again (`brought.py`).
Source: https://git-scm.com/docs/git-sparse-checkout (patterns, not cones).
"""

from __future__ import annotations

import os
import re
from pathlib import Path

from handrail.workspaces.flags import STEERING
from handrail.workspaces.git import git

CONFIG = """\
[core]
\tsparseCheckout = true
\tsparseCheckoutCone = false
"""
MOST_NAMED = 100
"""files that are named one by one"""
LIST_LIMIT = 64 << 20
TIMEOUT = 60.0


def _any_case(pattern: str) -> str:
    """As a pattern of gitignore that fits at any depth and in any case, as some file systems read names."""
    letters = "".join(f"[{c.lower()}{c.upper()}]" if c.isalpha() else c for c in pattern)
    return f"!**/{letters}" if "/" in pattern else f"!{letters}"


NAMES = tuple(pattern.removesuffix("/*") for pattern in STEERING)
_FITS = re.compile(
    r"(?:\A|/)(?:" + "|".join(re.escape(name).replace(r"\*", "[^/]*") for name in NAMES) + r")(?:/|\Z)", re.IGNORECASE
)
PATTERNS = "\n".join(["/*", *(_any_case(name) for name in NAMES), ""]).encode()
"""`.git/info/sparse-checkout` of a workspace whose ref is not trusted"""


def steers(path: str) -> bool:
    """Whether an agent may act on a file of this path, from the top of the repository, by itself."""
    return _FITS.search(path) is not None


async def set_aside(path: Path, commit: str, uid: int | None) -> tuple[str, ...]:
    """Files of `commit` that the workspace at `path` shows no agent; the first `MOST_NAMED`, in git's order.

    Args:
        path: a clone that no agent could write yet.
        commit: whose tree is read.
        uid: who runs git there, when the server is root.
    """
    listed = await git(
        "ls-tree", "-r", "-z", "--name-only", commit, cwd=path, uid=uid, limit=LIST_LIMIT, timeout=TIMEOUT
    )
    names = (os.fsdecode(name) for name in listed.split(b"\0") if name)
    found = [name.encode("utf-8", "replace").decode() for name in names if steers(name)]
    return tuple(found[:MOST_NAMED])
