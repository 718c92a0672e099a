"""What the catalogue knows of one agent, as frozen values."""

from __future__ import annotations

import re
from collections.abc import Mapping
from enum import StrEnum

from msgspec import Struct, field

from handrail.agents import PermissionOption
from handrail.types import Json


class Registry(StrEnum):
    """Where a package comes from."""

    NPM = "npm"
    PYPI = "pypi"


class AskHow(StrEnum):
    """How an agent is told to ask before it acts."""

    MODE = "mode"  # session/set_mode
    OPTION = "option"  # session/set_config_option
    ENVIRONMENT = "environment"  # by its settings alone; it reports nothing that could be verified


class Load(StrEnum):
    """The method that brings a session of an earlier process back."""

    LOAD = "load"  # session/load, which replays the history
    RESUME = "resume"  # session/resume, which does not
    NONE = "none"


class Package(Struct, frozen=True):
    """The pinned package of an agent; `check` is a file under its prefix that proves a whole installation."""

    registry: Registry
    name: str
    version: str
    check: str
    scripts: bool = False
    """npm install scripts must run"""
    python: str | None = None
    """the one minor version of Python that it runs on"""


class Ask(Struct, frozen=True):
    """The mode in which the agent asks for everything."""

    how: AskHow = AskHow.ENVIRONMENT
    value: str | None = None
    option: str = "mode"
    """id of the config option, where `how` is option"""
    free: str | None = None
    """the mode in which it asks nothing, for sessions that are allowed everything inside the walls; given only where
    the asking mode would keep commands from running"""


class Resume(Struct, frozen=True):
    """How a session is brought back. `trusted`: the agent was seen to refuse an id that it does not know."""

    how: Load = Load.NONE
    trusted: bool = False


class Choices(Struct, frozen=True):
    """Option ids to answer with, best first; the first option of the right kind where none of them is offered."""

    allow: tuple[str, ...] = ()
    reject: tuple[str, ...] = ()


class LoginSpec(Struct, frozen=True):
    """Where the agent's own program keeps a login, and what a session with a copy of it needs.

    Keys of the JSON inside a file are written with dots, such as `tokens.access_token`.
    """

    files: tuple[str, ...]
    """paths relative to the user's home, and to the session's"""
    hosts: tuple[str, ...]
    """host:port of the vendor, opened for a session with a login"""
    how: str
    """what a person does to log in"""
    variables: tuple[str, ...] = ()
    """environment variables that hold a login as well; they win over files"""
    folders: Mapping[str, str] = field(default_factory=dict)
    """environment variable → the folder below the user's home that it moves"""
    proof: tuple[str, ...] = ()
    """one of these keys must have a value, else nobody is logged in"""
    keep: tuple[str, ...] = ()
    """top-level keys that are copied; all where empty"""
    blank: tuple[str, ...] = ()
    """keys that are emptied in the copy: what renews a login, where renewing it would end the user's own"""
    expires: str | None = None
    """key of the moment when the login ends, in milliseconds since 1970"""
    env: Mapping[str, str] = field(default_factory=dict)
    """in place of entries of the agent's `env`"""
    settings: Mapping[str, str] = field(default_factory=dict)
    """in place of entries of the agent's `files`"""


class UntrustedSpec(Struct, frozen=True):
    """What keeps an agent from reading settings in a work tree whose ref is not trusted, on top of their absence."""

    before: Mapping[str, str] = field(default_factory=dict)
    """path of one of its `files` → a line that is put before its content"""
    meta: Json = field(default_factory=dict)
    """`_meta` of the requests that open its session"""


class ErrorPattern(Struct, frozen=True):
    """How an error shows in the text of a turn that ends as if all were well."""

    pattern: re.Pattern[str]
    kind: str
    """auth, limit, provider, agent"""


class AgentSpec(Struct, frozen=True):
    """One agent of the catalogue.

    `command`, `env` and `files` are templates: `{url}`, `{token}`, `{model}`, `{home}`, `{prefix}` (the installed
    package), `{node}` and `{python}` (the interpreters), `{shared}` (a folder of the package that all sessions read).
    """

    name: str
    title: str
    licence: str
    wire: str
    """anthropic, openai or gemini: what it speaks to the gateway; any: whichever its provider speaks"""
    command: tuple[str, ...]
    package: Package | None = None
    env: Mapping[str, str] = field(default_factory=dict)
    files: Mapping[str, str] = field(default_factory=dict)
    """path relative to the session's private home → content"""
    model: str | None = None
    """given to the agent where nobody names one, because its own default does not work through a gateway"""
    ask: Ask = field(default_factory=Ask)
    resume: Resume = field(default_factory=Resume)
    choices: Choices = field(default_factory=Choices)
    login: LoginSpec | None = None
    untrusted: UntrustedSpec = field(default_factory=UntrustedSpec)
    errors: tuple[ErrorPattern, ...] = ()
    stops_on_eof: bool = True
    opens_with_prompt: bool = False
    """its first thought of a process is its own system prompt, which nobody wants to read"""
    notes: tuple[str, ...] = ()

    def choose(self, options: tuple[PermissionOption, ...], *, allow: bool) -> str | None:
        """The id of the option that allows (or rejects) once; None where the agent offers none (answer `cancelled`).

        Options that change a policy for later calls are never chosen: Handrail keeps its own memory.
        """
        offered = {option.id for option in options}
        for wanted in self.choices.allow if allow else self.choices.reject:
            if wanted in offered:
                return wanted
        kind = "allow_once" if allow else "reject_once"
        return next((option.id for option in options if option.kind == kind), None)
