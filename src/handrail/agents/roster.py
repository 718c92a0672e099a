"""The agents of one data directory: which are known, which are installed, how each is started."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from msgspec.structs import replace

from handrail.agents import Endpoint, Launch, Login
from handrail.agents.catalogue import catalogue, get, launch
from handrail.agents.install import Installed, agents_directory, find, install
from handrail.agents.login import find as find_login
from handrail.agents.spec import AgentSpec
from handrail.errors import MissingPart


class Roster:
    """Catalogue and installations together.

    Args:
        data: the data directory.
        environ: the server's environment (`HANDRAIL_AGENTS_DIR`, `HOME`, and where logins are).
    """

    def __init__(self, data: Path, environ: Mapping[str, str]) -> None:
        self._data = data
        self._environ = environ
        self.root = agents_directory(data, environ)

    def all(self) -> list[AgentSpec]:
        """Every agent that is known, in the order in which they are listed."""
        return list(catalogue(self._data).values())

    def spec(self, name: str) -> AgentSpec:
        """What is known of an agent.

        Raises:
            NotFound: no such agent; names those that there are.
        """
        return get(name, self._data)

    def find(self, name: str) -> Installed | None:
        """The installation of an agent, or None."""
        return find(self.spec(name), self.root)

    def installed(self, name: str) -> Installed:
        """The installation of an agent.

        Raises:
            MissingPart: it is not installed; says how to.
        """
        found = self.find(name)
        if found is None:
            raise MissingPart(f"agent {name} is not installed: run `handrail agents install {name}`")
        return found

    async def install(self, name: str) -> Installed:
        """Fetch the pinned package of an agent."""
        return await install(self.spec(name), self.root)

    def read_only(self, name: str) -> tuple[Path, ...]:
        """What must be visible inside the walls for the agent to start."""
        return self.installed(name).read_only

    def login(self, name: str) -> Login | None:
        """The user's login of an agent, as it is now; None where there is none, or the agent has no such thing.

        Raises:
            MissingPart: it is there, and cannot be used any more; says what to do.
        """
        return find_login(self.spec(name), self._environ)

    def launch(self, name: str, way: Endpoint | Login, home: Path, *, untrusted: bool = False) -> Launch:
        """How to start the agent for one session; `untrusted`: it is to read no settings of its work tree."""
        spec = self.spec(name)
        started = launch(spec, way, home, self.installed(name))
        before = spec.untrusted.before if untrusted else {}
        files = {name: f"{before[name]}\n{text}" if name in before else text for name, text in started.files.items()}
        return replace(started, files=files)
