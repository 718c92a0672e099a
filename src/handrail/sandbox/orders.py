"""What the server orders from the launcher: the JSON that both of them know."""

from __future__ import annotations

from typing import TypedDict


class Source(TypedDict):
    """One path to stage: at `STAGE/name`; `protected` are paths below it, mounted read-only without following links."""

    path: str
    name: str
    protected: list[str]


class Warm(TypedDict):
    """A command that is `PYTHON -I -m MODULE`, which may be forked from a process that has imported the module.

    `seconds` is how long that process may take for any answer.
    """

    module: str
    argv: list[str]
    env: dict[str, str]
    cwd: str
    seconds: float


class Order(TypedDict):
    """What to start. A word of `argv` or `args` that is NUL and a name becomes the number of that descriptor.

    `block`, `status`, `seccomp` and `args` (the `args`, NUL-separated) are made here; each name in `data` is a memory
    file. No argument can hold a NUL, so nothing that a caller passes is taken for a descriptor.
    """

    id: int
    walled: bool
    argv: list[str]
    args: list[str]
    env: dict[str, str]
    cwd: str
    data: dict[str, str]
    stage: list[Source]
    uid: int | None
    rlimits: dict[str, int]
    processes: int
    cgroups: list[str]
    door: int | None
    mark: str | None
    warm: Warm | None
