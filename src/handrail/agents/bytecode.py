"""The own agent's modules, compiled before an agent needs them.

pip compiles what it installs; uv as a rule does not. Inside the walls an agent can write nothing beside its source, so
there each start of it would compile all of its modules anew: a fifth of what it costs to start.
"""

from __future__ import annotations

import contextlib
import py_compile
import sys
from collections.abc import Iterable
from importlib.util import cache_from_source
from pathlib import Path

OWN = Path(__file__).parent / "own"
_BESIDE = tuple(OWN.parent / f"{name}.py" for name in ("bridge", "door", "rpc"))
"""what only processes inside the walls import, too"""


def compiled(files: Iterable[Path] | None = None) -> int:
    """Compile those of `files` that have no compiled form as new as they are; returns how many.

    Where nothing can be written, or Python was told to write nothing, nothing is: that costs time alone.

    Args:
        files: Python source; the own agent's where it is None.
    """
    if sys.dont_write_bytecode:
        return 0
    made = 0
    for file in [*OWN.rglob("*.py"), *_BESIDE] if files is None else files:
        with contextlib.suppress(OSError, py_compile.PyCompileError):
            cache = Path(cache_from_source(str(file)))
            if cache.exists() and cache.stat().st_mtime >= file.stat().st_mtime:
                continue
            py_compile.compile(str(file), doraise=True)
            cache.chmod(0o644)  # a server that is root has agents of other users
            cache.parent.chmod(0o755)
            made += 1
    return made
