"""Logins of subscriptions: finds what an agent's own program keeps for its user, and makes the copy for one session.

The copy is less than the original where that is possible: other secrets in the same file stay behind (`keep`), and so
does what renews the login (`blank`): a vendor that gives a new one for each renewal would then log the user out.
Nothing is ever written back: what comes out of a session is the agent's word.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path, PurePosixPath
from typing import Any

from handrail.agents import Login
from handrail.agents.spec import AgentSpec, LoginSpec
from handrail.errors import MissingPart
from handrail.types import now

LARGEST = 1 << 20
"""bytes of one login file"""


def find(spec: AgentSpec, environ: Mapping[str, str]) -> Login | None:
    """The user's login of an agent, from its variable or its files.

    Args:
        spec: the agent.
        environ: the user's environment, whose `HOME` holds the files.

    Returns:
        None where nobody is logged in, or the agent has no login that Handrail knows of.

    Raises:
        MissingPart: there is one that has ended, or that cannot be read; says what to do.
    """
    wanted = spec.login
    if wanted is None:
        return None
    for variable in wanted.variables:
        if value := environ.get(variable, "").strip():
            return Login(variable, env={variable: value})
    paths = [_path(wanted, name, environ) for name in wanted.files]
    found = {name: path for name, path in zip(wanted.files, paths, strict=True) if path is not None and path.is_file()}
    copies = {name: copy for name, path in found.items() if (copy := _copy(spec, wanted, path)) is not None}
    if not copies:
        return None
    return Login(", ".join(str(found[name]) for name in copies), files=copies)


def _path(wanted: LoginSpec, name: str, environ: Mapping[str, str]) -> Path | None:
    for variable, folder in wanted.folders.items():
        moved = environ.get(variable, "").strip()
        if moved and PurePosixPath(name).is_relative_to(folder):
            return Path(moved) / PurePosixPath(name).relative_to(folder)
    home = environ.get("HOME", "")
    return Path(home) / name if home else None


def _copy(spec: AgentSpec, wanted: LoginSpec, path: Path) -> str | None:
    """What a session gets of one file; None where it holds no login."""
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
        if len(raw) > LARGEST:
            raise MissingPart(f"the login of {spec.title} in {path} is above {LARGEST >> 20} MiB: {wanted.how}")
        text = raw.decode()
        if not (wanted.proof or wanted.keep or wanted.blank or wanted.expires):
            return text
        held = json.loads(text)
    except OSError as error:
        raise MissingPart(f"the login of {spec.title} in {path} cannot be read: {error.strerror}") from error
    except ValueError as error:
        raise MissingPart(f"the login of {spec.title} in {path} is damaged: {wanted.how}") from error
    if wanted.proof and not any(_at(held, key) for key in wanted.proof):
        return None
    _see_that_it_lasts(spec, wanted, path, held)
    if wanted.keep:
        held = {key: held[key] for key in wanted.keep if key in held}
    for key in wanted.blank:
        parent, _, last = key.rpartition(".")
        holder = _at(held, parent) if parent else held
        if isinstance(holder, dict) and last in holder:
            holder[last] = ""
    return json.dumps(held)


def _see_that_it_lasts(spec: AgentSpec, wanted: LoginSpec, path: Path, held: object) -> None:
    ends = _at(held, wanted.expires) if wanted.expires else None
    if isinstance(ends, int | float) and ends / 1000 <= now().timestamp():
        when = datetime.fromtimestamp(ends / 1000, UTC).strftime("%Y-%m-%d %H:%M UTC")
        raise MissingPart(f"the login of {spec.title} in {path} ended at {when}: {wanted.how}")


def _at(held: Any, key: str) -> Any:
    for part in key.split("."):
        held = held.get(part) if isinstance(held, dict) else None
    return held
