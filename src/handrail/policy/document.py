"""A policy as a person writes it: short YAML, read into frozen values; each refusal names file, field, value and mend.

```yaml
shell:
  allow: ["pytest *", "git status", "git diff *"]
  deny: ["git push *", "rm -rf /"]
files:
  allow: ["src/**", "tests/**"]
  deny: [".github/**", "read .env"]
network:
  allow: [pypi, "api.example.com:443"]
effects:
  ask: [pull_request]
limits:
  budget: 2.50
```
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from decimal import Decimal, InvalidOperation
from pathlib import Path
from typing import TYPE_CHECKING, Never

from msgspec import Struct, field

from handrail.errors import InvalidInput
from handrail.lazy import Later
from handrail.policy import Verdict
from handrail.policy.commands import command_rule
from handrail.policy.places import file_rule, host_rule
from handrail.types import NanoUSD

if TYPE_CHECKING:
    import yaml
else:
    yaml = Later("yaml")

EFFECTS = ("push", "pull_request", "comment", "review", "merge", "message")
SECTIONS = ("shell", "files", "network", "effects")
LISTS = ("allow", "ask", "deny")
LARGEST = 65_536
"""bytes of a policy"""
MOST_RULES = 500
"""rules in one list"""
LEAST_CPUS = 0.01
"""the kernel takes no quota below 1 ms in 100 (https://docs.kernel.org/scheduler/sched-bwc.html)"""

_UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40}
_SIZE = re.compile(r"(\d{1,12}(?:\.\d{1,3})?)\s*([kmgt]?)(?:i?b)?", re.IGNORECASE)
_SECRET = re.compile(r"[A-Z][A-Z0-9_]{0,31}")
_NUMBER = re.compile(r"\d{1,6}(?:\.\d{1,6})?")
_TIME = re.compile(r"(?:(\d{1,6})h)?(?:(\d{1,6})m)?(?:(\d{1,9})s?)?")


class Section(Struct, frozen=True):
    """The rules about one kind of action, as they are written."""

    allow: tuple[str, ...] = ()
    ask: tuple[str, ...] = ()
    deny: tuple[str, ...] = ()
    rest: Verdict | None = None
    """the answer for what no rule names; None leaves it to the other layers"""


class PolicyLimits(Struct, frozen=True):
    """What a session may use up; None is no limit. Sizes are bytes."""

    turns: int | None = None
    budget: NanoUSD | None = None
    seconds: float | None = None
    processes: int | None = None
    memory: int | None = None
    tmp: int | None = None
    disk: int | None = None
    cpus: float | None = None
    """CPUs that are kept busy at a time, on the average"""


class Document(Struct, frozen=True):
    """One policy."""

    shell: Section = field(default_factory=Section)
    files: Section = field(default_factory=Section)
    network: Section = field(default_factory=Section)
    effects: Section = field(default_factory=Section)
    limits: PolicyLimits = field(default_factory=PolicyLimits)
    rest: Verdict | None = None
    """the answer for what no section names"""
    secrets: tuple[str, ...] | None = None
    """names of secrets: a ceiling names all that may be given, a session's policy those that it is given"""


def load(path: Path) -> Document:
    """Read a policy file.

    Raises:
        InvalidInput: it cannot be read, or holds what no policy can.
    """
    return read(text_of(path), str(path))


def text_of(path: Path) -> str:
    """The text of a policy file, not judged yet.

    Raises:
        InvalidInput: it cannot be read.
    """
    try:
        with path.open("rb") as file:
            raw = file.read(LARGEST + 1)
        return raw.decode("utf-8")
    except OSError as error:
        raise InvalidInput("policy", str(path), f"give a file that can be read ({error.strerror})") from error
    except UnicodeDecodeError as error:
        raise InvalidInput(str(path), f"byte {error.start}", "save it as UTF-8") from error


def read(text: str, name: str = "policy") -> Document:
    """Read a policy; `name` is what a refusal calls it.

    Raises:
        InvalidInput: the first thing that no policy can hold.
    """
    top = _Reader(name).root(text)
    if top is None:
        return Document()
    reader = _Reader(name)
    fields = dict(reader.mapping(top, "", (*SECTIONS, "limits", "secrets", "rest")))
    sections = {key: reader.section(key, fields[key]) for key in SECTIONS if key in fields}
    limits = reader.limits(fields["limits"]) if "limits" in fields else PolicyLimits()
    rest = reader.verdict(fields["rest"], "rest") if "rest" in fields else None
    secrets = reader.names("secrets", fields["secrets"]) if "secrets" in fields else None
    return Document(**sections, limits=limits, rest=rest, secrets=secrets)


class _Reader:
    def __init__(self, name: str) -> None:
        self._name = name

    def root(self, text: str) -> yaml.Node | None:
        """The tree of the YAML; the one place where its library is called."""
        if len(text) > LARGEST:
            raise InvalidInput(self._name, f"{len(text)} characters", f"write at most {LARGEST}")
        try:
            # scalars stay text: `on`, `1e3` and dates mean nothing here
            node: yaml.Node | None = yaml.compose(text, Loader=yaml.BaseLoader)
        except yaml.MarkedYAMLError as error:
            line = error.problem_mark.line + 1 if error.problem_mark else 1
            raise InvalidInput(f"{self._name}:{line}", error.problem, "make it valid YAML") from error
        except yaml.YAMLError as error:
            raise InvalidInput(self._name, str(error).splitlines()[0], "make it valid YAML") from error
        except RecursionError as error:
            raise InvalidInput(self._name, "brackets in brackets", "nest less deeply") from error
        return None if node is None or (isinstance(node, yaml.ScalarNode) and not node.value) else node

    def mapping(self, node: yaml.Node, path: str, known: tuple[str, ...]) -> Iterator[tuple[str, yaml.Node]]:
        """The fields of a mapping, each known and named once."""
        if not isinstance(node, yaml.MappingNode):
            self._refuse(node, path or "the policy", f"write fields: {', '.join(known)}")
        seen: set[str] = set()
        for key, value in node.value:
            word = key.value if isinstance(key, yaml.ScalarNode) else None
            if word not in known:
                self._refuse(key, _joined(path, "key"), f"known here are {', '.join(known)}")
            if word in seen:
                self._refuse(key, _joined(path, word), "name it once")
            seen.add(word)
            yield word, value

    def section(self, key: str, node: yaml.Node) -> Section:
        """One of the sections that hold rules."""
        if _empty(node):
            return Section()
        found = dict(self.mapping(node, key, (*LISTS, "rest")))
        lists = {name: self._rules(key, name, found[name]) for name in LISTS if name in found}
        rest = self.verdict(found["rest"], f"{key}.rest") if "rest" in found else None
        return Section(**lists, rest=rest)

    def verdict(self, node: yaml.Node, path: str) -> Verdict:
        """A verdict by its name."""
        if not isinstance(node, yaml.ScalarNode) or node.value not in LISTS:
            self._refuse(node, path, f"choose one of {', '.join(LISTS)}")
        return Verdict(node.value)

    def limits(self, node: yaml.Node) -> PolicyLimits:
        """The section `limits`."""
        if _empty(node):
            return PolicyLimits()
        values: dict[str, float] = {}
        for key, value in self.mapping(node, "limits", tuple(LIMITS)):
            text = value.value.strip() if isinstance(value, yaml.ScalarNode) else ""
            mend, convert = LIMITS[key]
            number = convert(text)
            if number is None or number <= 0:
                self._refuse(value, f"limits.{key}", mend)
            values[key] = number
        return PolicyLimits(**values)  # type: ignore[arg-type]  # each was converted to its field's type

    def names(self, path: str, node: yaml.Node) -> tuple[str, ...]:
        """A list of names of secrets."""
        if _empty(node):
            return ()
        if not isinstance(node, yaml.SequenceNode) or len(node.value) > MOST_RULES:
            self._refuse(node, path, f"write a list of at most {MOST_RULES} names, such as [SEARCH_KEY]")
        for at, item in enumerate(node.value):
            if not isinstance(item, yaml.ScalarNode) or not _SECRET.fullmatch(item.value):
                self._refuse(item, f"{path}[{at}]", "write the name of a secret, such as SEARCH_KEY")
        return tuple(dict.fromkeys(item.value for item in node.value))

    def _rules(self, section: str, name: str, node: yaml.Node) -> tuple[str, ...]:
        path = f"{section}.{name}"
        if _empty(node):
            return ()
        if not isinstance(node, yaml.SequenceNode):
            self._refuse(node, path, 'write a list, such as ["…", "…"]')
        if len(node.value) > MOST_RULES:
            self._refuse(node, path, f"write at most {MOST_RULES} rules")
        rules: list[str] = []
        for at, item in enumerate(node.value):
            if not isinstance(item, yaml.ScalarNode):
                self._refuse(item, f"{path}[{at}]", "write a text; quote it where it holds a colon or a star")
            try:
                judge(section, name, item.value)
            except ValueError as error:
                self._refuse(item, f"{path}[{at}]", str(error))
            rules.append(item.value)
        return tuple(rules)

    def _refuse(self, node: yaml.Node, path: str, mend: str) -> Never:
        value = node.value if isinstance(node, yaml.ScalarNode) else "a list or a mapping"
        raise InvalidInput(f"{self._name}:{node.start_mark.line + 1}: {path}", value, mend)


def judge(section: str, name: str, rule: str) -> None:
    """Whether a rule can stand in a list of a section.

    Raises:
        ValueError: it cannot; the message says what to write instead.
    """
    if section == "shell":
        command_rule(rule, allows=name == "allow")
    elif section == "files":
        file_rule(rule)
    elif section == "network":
        host_rule(rule)
    elif rule not in EFFECTS and rule != "*":
        raise ValueError(f"choose of {', '.join(EFFECTS)}, or *")


def _joined(path: str, key: str) -> str:
    return f"{path}.{key}" if path else key


def _empty(node: yaml.Node) -> bool:
    return isinstance(node, yaml.ScalarNode) and not node.value and node.style is None


def _whole(text: str) -> int | None:
    return int(text) if text.isascii() and text.isdigit() and len(text) < 10 else None


def _money(text: str) -> int | None:
    try:
        amount = Decimal(text.removeprefix("$"))
    except InvalidOperation:
        return None
    return int(amount * 1_000_000_000) if amount.is_finite() and abs(amount) <= 1_000_000 else None


def _seconds(text: str) -> float | None:
    found = _TIME.fullmatch(text)
    if found is None or not text:
        return None
    hours, minutes, seconds = (float(part or 0) for part in found.groups())
    total = hours * 3600 + minutes * 60 + seconds
    return total if math.isfinite(total) else None


def _size(text: str) -> int | None:
    found = _SIZE.fullmatch(text)
    return None if found is None else int(float(found[1]) * _UNITS[found[2].lower()])


def _cpus(text: str) -> float | None:
    found = float(text) if _NUMBER.fullmatch(text) else 0.0
    return found if found >= LEAST_CPUS else None


LIMITS: dict[str, tuple[str, Callable[[str], float | None]]] = {
    "turns": ("give a whole number above 0", _whole),
    "budget": ("give US dollars above 0, such as 2.50", _money),
    "seconds": ("give seconds, or a time such as 30m or 1h30m", _seconds),
    "processes": ("give a whole number above 0", _whole),
    "memory": ("give a size, such as 4GiB", _size),
    "tmp": ("give a size, such as 512MiB", _size),
    "disk": ("give a size, such as 20GiB", _size),
    "cpus": ("give a number of CPUs from 0.01, such as 1.5", _cpus),
}
"""limit → how to write it, and how it is read"""
