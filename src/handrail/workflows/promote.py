"""From a session to the draft of a workflow, by what its log shows. Pure; no model is asked.

What is certain stands in the file: the prompts, the repository, the agent, the checks of its goal, and a policy that is
no wider than what was done. What is only likely stands in it as a comment.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence

from msgspec import Struct

from handrail.automation import EffectKind
from handrail.clean import clean, one_line
from handrail.errors import InvalidInput
from handrail.kinds import Kind
from handrail.policy import Action
from handrail.policy.learn import render
from handrail.policy.mine import Mine, Mined, mine
from handrail.runs.acts import Act, acts, said
from handrail.types import Check, Event, Goal
from handrail.workflows import tree
from handrail.workflows.parameters import Parameter, parametrised

_TESTS = re.compile(
    r"(?:^|[\s;&|/])(?:pytest|tox|nox|unittest|jest|vitest|mocha|rspec|phpunit|ctest|check\.sh|tests?\.sh)\b"
    r"|\b(?:make|npm|pnpm|yarn|cargo|go|mvn|gradle|gradlew|mix|rake|dotnet|just)\s+(?:run\s+)?(?:test|check|verify)\b"
)
_DECIDES = re.compile(
    r"(?:cd [\w./-]+ && )?(?:\w+=[\w./:-]* )*(?:(?:uv|poetry|pipenv|pdm|hatch|bundle|npx) (?:run |exec )?)?"
    r"(?:python[\d.]* -m |sh |bash )?(?:\./)?(?:[\w.-]+/)*"
    r"(?:(?:pytest|tox|nox|unittest|jest|vitest|mocha|rspec|phpunit|ctest|check\.sh|tests?\.sh)"
    r"|(?:make|npm|pnpm|yarn|cargo|go|mvn|gradle|gradlew|mix|rake|dotnet|just) (?:run )?(?:test|check|verify)[\w:-]*)"
    r"(?: [^;&|<>`$(){}\n]*)?"
)
"""a run of tests and nothing beside it: what edits as well would pass by itself"""
_ENDS = (" 2>&1", " | tail", " | head")
MOST_CHECKS = 10
LONGEST_NAME = 40


class Lived(Struct, frozen=True, kw_only=True):
    """What is known of a session.

    Args:
        session: its id.
        title: of it.
        repository: as a workflow names it.
        workspace: absolute path of its workspace, which its log names.
        events: its whole log.
        proposed: the effects that its agent proposed and nobody rejected.
        goal: the goal that it was handed, if any.
        cost_nano: what it cost, in nano-dollars.
    """

    session: str
    title: str
    agent: str
    repository: str
    workspace: str
    events: Sequence[Event]
    provider: str | None = None
    model: str | None = None
    proposed: tuple[EffectKind, ...] = ()
    goal: Goal | None = None
    cost_nano: int = 0


class Ask(Struct, frozen=True):
    """Something the session did that would now wait for a person, and how often it did so."""

    what: str
    times: int


class Promoted(Struct, frozen=True):
    """The draft of a workflow.

    Args:
        name: of it.
        text: its file.
        rules: its policy, each rule with the number of acts that it was seen in.
        asks: what would wait for a person, since no narrow rule can name it or a person refused it.
        acts: how much the session did.
        inputs: what looked like parameters.
        checks: what its agent ran last as a test, which the workflow takes as its check.
        suggested: checks that stand in the file as comments.
    """

    name: str
    text: str
    rules: tuple[Mined, ...]
    asks: tuple[Ask, ...]
    acts: int
    inputs: tuple[Parameter, ...]
    checks: tuple[str, ...]
    suggested: tuple[str, ...]


class _Pieces(Struct, frozen=True):
    name: str
    goal: str
    inputs: tuple[Parameter, ...]
    checks: tuple[str, ...]
    suggested: tuple[str, ...]
    mine: Mine


def promote(lived: Lived, name: str | None = None) -> Promoted:
    """Draft a workflow.

    Raises:
        InvalidInput: the session was never told anything, so that there is no goal to distil.
    """
    prompts = _prompts(lived.events)
    if not prompts:
        raise InvalidInput(
            "session", lived.session, "promote one that was told something: it has no prompt and no goal"
        )
    done = acts(lived.events, lived.workspace)
    mined = mine([act.requests for act in done if not act.refused])
    unnamed = set(mined.unnamed)
    asks = Counter(said(one) for act in done for one in act.requests if act.refused or one in unnamed)
    templates, inputs = parametrised([text for text, _ in prompts])
    given = {check.command for check in lived.goal.checks} if lived.goal is not None else set()
    likely = [one for one in _tests(done, lived.events) if one not in given]
    checks = () if given else tuple(one for one in likely if _decides(one, lived.workspace))[:1]
    suggested = tuple(one for one in likely if one not in checks)
    titled = name or _name(lived.title or prompts[0][0])
    text = _file(lived, _Pieces(titled, _goal(templates), inputs, checks, suggested, mined))
    told = tuple(Ask(what, times) for what, times in asks.items())
    return Promoted(titled, text, mined.rules, told, len(done), inputs, checks, suggested)


def _prompts(events: Sequence[Event]) -> list[tuple[str, str]]:
    """What a person told it, in order: prompts and goals, each text once."""
    found: dict[str, str] = {}
    for event in events:
        by = str(event.data.get("by") or "")
        said_it = event.kind == Kind.TURN_STARTED and by not in ("goal", "resume")
        if not said_it and event.kind != Kind.GOAL_SET:
            continue
        text = str(event.data.get("text") or "").strip()
        if text:
            found.setdefault(text, by)
    return list(found.items())


def _goal(templates: Sequence[str]) -> str:
    first, *later = templates
    if not later:
        return first
    steps = "\n".join(f"{at}. {text}" for at, text in enumerate(later, 1))
    return f"{first}\n\nThen, in this order:\n{steps}"


def _tests(done: Sequence[Act], events: Sequence[Event]) -> list[str]:
    """Commands that look like test runs and came to a good end when they were last run, the latest first."""
    last: dict[str, bool] = {}
    for act in done:
        for request in act.requests:
            if request.action is Action.SHELL and not act.refused and _TESTS.search(request.target):
                command = _bare(request.target)
                last.pop(command, None)
                last[command] = act.passed
    for event in events:
        if event.kind == Kind.CHECK_ENDED:
            command = str(event.data.get("command") or "")
            last.pop(command, None)
            last[command] = bool(event.data.get("passed"))
    return [command for command, passed in reversed(last.items()) if passed and command.strip()][:MOST_CHECKS]


def _decides(command: str, workspace: str) -> bool:
    """Whether a command is a run of tests that means the same in any workspace."""
    return workspace not in command and _DECIDES.fullmatch(command) is not None


def _bare(command: str) -> str:
    """A command without what only shortens its output: a pipe would hide its exit status."""
    for end in _ENDS:
        head, found, tail = command.partition(end)
        if found and not re.search(r"[;&]", tail):
            command = head
    return command.strip()


def _name(title: str) -> str:
    title = title.partition("@@")[0]
    words = re.sub(r"[^a-z0-9]+", "-", title.lower()).strip("-")
    return words[:LONGEST_NAME].rstrip("-") or "promoted"


def _file(lived: Lived, made: _Pieces) -> str:
    inputs = {one.name: {"type": one.type, "default": one.value} for one in made.inputs}
    description = one_line(lived.title.partition("@@")[0], 200) or made.name
    works = {
        "agent": lived.agent,
        "provider": lived.provider,
        "model": lived.model,
        "repositories": [lived.repository],
    }
    hosts = [rule.rule for rule in made.mine.rules if rule.section == "network"]
    out = [
        f"# Promoted from session {lived.session}. What it did is what this may do; all else asks.",
        _yaml({"name": made.name, "description": description}),
        '# Add what shall start it, such as schedule: {cron: "0 3 * * *", zone: Europe/Berlin}',
        _yaml({"on": {"manual": {"inputs": inputs} if inputs else {}}}).replace("'on':", "on:", 1),
        _block("goal", made.goal),
        _yaml({key: value for key, value in works.items() if value}),
        *_checks(() if lived.goal is None else lived.goal.checks, made),
        *([_yaml({"network": hosts})] if hosts else []),
        "# Mined from the session: nothing wider than what it did",
        "policy:",
        *(f"  {line}" for line in render(made.mine.document).splitlines()),
        *_effects(lived.proposed),
        "trust: supervised",
        *_budget(lived),
    ]
    return "\n".join(out) + "\n"


def _yaml(value: object) -> str:
    return tree.write(value).rstrip()


def _block(key: str, text: str) -> str:
    """A text of several lines as a block that a person can read, where YAML can hold it so."""
    lines = text.splitlines()
    plain = clean(text) == text and not text.startswith((" ", "\n")) and all(line == line.rstrip() for line in lines)
    if not plain or "\t" in text or text.count("\n") != len(lines) - 1:
        return _yaml({key: text})
    return "\n".join([f"{key}: |-", *(f"  {line}" if line else "" for line in lines)])


def _checks(checks: Sequence[Check], made: _Pieces) -> list[str]:
    given = [{"command": one.command, "timeout": f"{one.timeout:g}s"} for one in checks]
    out = [_yaml({"checks": given})] if given else []
    if made.checks:
        out = [
            "# Its agent ran this last, and it passed; now Handrail runs it, and it decides",
            _yaml({"checks": list(made.checks)}),
        ]
    likely = [f"#   {_yaml([one])}" for one in made.suggested if "\n" not in one]
    if likely:
        more = [] if out else ["# checks:"]
        out += ["# Its agent ran these as well, and they passed; take those that decide:", *more, *likely]
    return out


def _effects(proposed: Sequence[EffectKind]) -> list[str]:
    if not proposed:
        return ["# What shall follow from a change, such as effects: {then: [pull_request]}"]
    kinds = [kind.value for kind in dict.fromkeys(proposed)]
    return [_yaml({"effects": {"propose": kinds}})]


def _budget(lived: Lived) -> list[str]:
    cost = f"${lived.cost_nano / 1_000_000_000:.2f}"
    limits = None if lived.goal is None else lived.goal.limits
    given = {} if limits is None else {
        "usd": None if limits.budget is None else f"{limits.budget / 1_000_000_000:.9f}".rstrip("0").rstrip("."),
        "time": None if limits.seconds is None else f"{limits.seconds:g}s",
        "turns": limits.turns,
    }  # fmt: skip
    kept = {key: value for key, value in given.items() if value is not None}
    told = f"# The session cost {cost}"
    return (
        [told, tree.write({"budget": kept}).rstrip()]
        if kept
        else [f"{told}: say what a task may, with budget: {{usd: …}}"]
    )
