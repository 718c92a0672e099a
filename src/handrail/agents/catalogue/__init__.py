"""The catalogue: one TOML file an agent, beside this module or under `<data>/agents/*.toml`, and how each is started.

The keys of a file are the fields of `AgentSpec`; `docs/reference/agents.md` shows what the agents can really do.
"""

from __future__ import annotations

import re
import sys
import tomllib
from collections.abc import Mapping
from functools import cache
from importlib import resources
from pathlib import Path

from handrail.agents import Endpoint, Launch, Login
from handrail.agents.catalogue.schema import read_spec
from handrail.agents.install import Installed, architecture
from handrail.agents.spec import AgentSpec
from handrail.errors import InvalidInput, NotFound

__all__ = ["ORDER", "AgentSpec", "catalogue", "get", "launch"]

ORDER = ("handrail", "claude", "codex", "gemini", "opencode", "qwen", "goose", "openhands")
"""the built-in agents, in the order in which they are listed"""

_OWN = ("{python}", "-I", "-m", "handrail.agents.own")
_NAME = re.compile(r"[a-z][a-z0-9-]{0,31}")
_MODEL = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:/@+-]{0,199}")
_VARIABLE = re.compile(r"\{(url|token|model|wire|home|prefix|node|python|arch)\}")


def catalogue(data: Path | None = None) -> dict[str, AgentSpec]:
    """All agents by name: the built-in ones, then the user's own from `<data>/agents/*.toml`.

    Raises:
        InvalidInput: a file of the user's is wrong; names file, key and value.
    """
    found = dict(_built_in())
    folder = None if data is None else data / "agents"
    for file in sorted(folder.glob("*.toml")) if folder is not None and folder.is_dir() else ():
        if not _NAME.fullmatch(file.stem) or file.stem in ORDER:
            mend = "name the file in lower case letters, digits and dashes, and not like a built-in agent"
            raise InvalidInput(str(file), file.stem, mend)
        found[file.stem] = _parse(file.stem, file.read_bytes(), str(file))
    return found


def get(name: str, data: Path | None = None) -> AgentSpec:
    """One agent.

    Raises:
        NotFound: no such agent; names those that there are.
        InvalidInput: a file of the user's is wrong.
    """
    known = catalogue(data)
    if name not in known:
        raise NotFound(
            f"there is no agent {name!r}: choose from {', '.join(known)}, or describe yours in agents/{name}.toml"
        )
    return known[name]


def launch(spec: AgentSpec, way: Endpoint | Login, home: Path, installed: Installed) -> Launch:
    """How to start the agent for one session: its command, environment and settings, with all templates filled in.

    Args:
        spec: the agent.
        way: where it finds its model: the gateway, or with a login its own vendor.
        home: the session's private home, as the agent sees it.
        installed: where its package is.

    Raises:
        InvalidInput: the model's name has characters that no model's name has.
    """
    login = spec.login if isinstance(way, Login) else None
    model = way.model or (spec.model if login is None else None)
    if model is not None and not _MODEL.fullmatch(model):
        raise InvalidInput("model", model, "use letters, digits and . _ : / @ + -")
    values = {"home": str(home), "prefix": str(installed.prefix), "arch": architecture()}
    if isinstance(way, Endpoint):
        values |= {"url": way.url, "token": way.token, "wire": way.wire}
    env = {**spec.env, **(login.env if login is not None else {})}
    files = {**spec.files, **(login.settings if login is not None else {})}
    secrets = way if isinstance(way, Login) else Login("")
    optional = {"model": model, "node": installed.node, "python": installed.python}
    values |= {name: str(value) for name, value in optional.items() if value is not None}
    return Launch(
        argv=tuple(_fill(part, values) for part in spec.command if _whole(part, values)),
        env={key: _fill(value, values) for key, value in env.items() if _whole(value, values)} | dict(secrets.env),
        files={name: _fill_lines(content, values) for name, content in files.items()} | dict(secrets.files),
        read_only=installed.read_only,
        warm=spec.command == _OWN and str(installed.python) == sys.executable,
    )


def _whole(template: str, values: Mapping[str, str]) -> bool:
    return all(name in values for name in _VARIABLE.findall(template))


def _fill(template: str, values: Mapping[str, str]) -> str:
    return _VARIABLE.sub(lambda found: values[found[1]], template)


def _fill_lines(content: str, values: Mapping[str, str]) -> str:
    """Lines with an unknown value (no model was named, a login needs no address) are left out."""
    return "".join(_fill(line, values) for line in content.splitlines(keepends=True) if _whole(line, values))


@cache
def _built_in() -> dict[str, AgentSpec]:
    folder = resources.files(__package__)
    return {name: _parse(name, (folder / f"{name}.toml").read_bytes(), f"{name}.toml") for name in ORDER}


def _parse(name: str, content: bytes, file: str) -> AgentSpec:
    try:
        table = tomllib.loads(content.decode())
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise InvalidInput(file, str(error), "make it valid TOML in UTF-8") from error
    return read_spec(name, table, file)
