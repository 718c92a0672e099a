"""What several fields of a workflow say together: checked once each of them is sound by itself."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from handrail.errors import InvalidInput
from handrail.policy import document as policies
from handrail.workflows.meant import EVENT, guess
from handrail.workflows.template import holes
from handrail.workflows.tree import Path, Tree

if TYPE_CHECKING:
    from handrail.workflows.document import Workflow

_POLICY = re.compile(r"policy(?::\d+)?(?:: )?")
_PART = re.compile(r"([^.\[\]]+)|\[(\d+)\]")


class Fault(Struct, frozen=True):
    """One thing that cannot be used, and where it stands."""

    path: Path
    value: object
    mend: str


def faults(workflow: Workflow, tree: Tree, agents: Collection[str] | None) -> Iterator[Fault]:
    """All that is wrong between the fields of a workflow."""
    yield from _goals(workflow)
    yield from _inputs(workflow)
    yield from _repositories(workflow)
    yield from _templates(workflow)
    if agents is not None:
        yield from _agents(workflow, agents)
    if workflow.policy is not None:
        yield from _policy(tree)


def notes(workflow: Workflow) -> list[str]:
    """What is sound, and may still surprise."""
    found = []
    spends = workflow.budget.usd is not None or workflow.budget.run.usd is not None
    if not spends:
        found.append("budget: it names no money, so that only turns and time bound what a run spends")
    if not any(step.checks for step in workflow.goals()) and not workflow.checks:
        found.append("checks: it has none, so that no task ends as done by itself")
    if any(cap.when is None for cap in workflow.on.forge) and workflow.on.forge:
        found.append("on.forge: without when, every such event starts it, drafts and bots included")
    return found


def _goals(workflow: Workflow) -> Iterator[Fault]:
    if (workflow.goal is None) == (not workflow.steps):
        value = workflow.goal if workflow.steps else None
        yield Fault(("goal",), value, "give either goal or steps")
    seen: set[str] = set()
    for at, step in enumerate(workflow.steps):
        if step.name in seen:
            yield Fault(("steps", at, "name"), step.name, "name each step differently")
        seen.add(step.name)
    if workflow.steps and workflow.checks and any(step.checks for step in workflow.steps):
        yield Fault(("checks",), None, "give checks either for the workflow or for its steps")


def _inputs(workflow: Workflow) -> Iterator[Fault]:
    if not (workflow.on.schedule or workflow.on.events):
        return
    for name, item in workflow.on.manual.inputs.items():
        if item.default is None:
            yield Fault(
                ("on", "manual", "inputs", name), None, "give a default: nobody is there when it starts by itself"
            )


def _repositories(workflow: Workflow) -> Iterator[Fault]:
    if EVENT not in workflow.repositories:
        return
    path: Path = ("repositories",)
    if len(workflow.repositories) > 1:
        yield Fault(path, EVENT, "let event stand alone")
    elif workflow.on.schedule:
        yield Fault(path, EVENT, "name repositories: a schedule has no event that could tell one")


def _templates(workflow: Workflow) -> Iterator[Fault]:
    inputs = workflow.on.manual.inputs
    for path, text in _texts(workflow):
        try:
            found = holes(text)
        except ValueError as error:
            yield Fault(path, text, str(error))
            continue
        for hole in found:
            if hole.input is not None and hole.input not in inputs:
                known = guess(hole.input, inputs) if inputs else "declare it under on.manual.inputs"
                yield Fault(path, f"inputs.{hole.input}", known)
            if hole.event and not workflow.on.events:
                yield Fault(path, hole.expression, "no event starts this workflow: name one under on, or use an input")


def _texts(workflow: Workflow) -> Iterator[tuple[Path, str]]:
    if workflow.goal is not None:
        yield ("goal",), workflow.goal
    for at, step in enumerate(workflow.steps):
        yield ("steps", at, "goal"), step.goal
    if workflow.ref is not None:
        yield ("ref",), workflow.ref
    for at, follow in enumerate(workflow.effects.then):
        for key, value in follow.values.items():
            if isinstance(value, str):
                yield ("effects", "then", at, follow.kind.value, key), value


def _agents(workflow: Workflow, agents: Collection[str]) -> Iterator[Fault]:
    named: list[tuple[Path, Any]] = [(("agent",), workflow.agent)]
    named += [(("steps", at, "agent"), step.agent) for at, step in enumerate(workflow.steps) if step.agent]
    for path, name in named:
        if name not in agents:
            yield Fault(path, name, guess(name, sorted(agents)))


def _policy(tree: Tree) -> Iterator[Fault]:
    """The policy, judged by its own room; the place in the file is found by the path that it names."""
    try:
        policies.read(tree.text(("policy",)), "policy")
    except InvalidInput as error:
        inner = _POLICY.sub("", error.field, count=1)
        path: list[str | int] = ["policy"]
        for word, number in _PART.findall(inner):
            path.append(int(number) if number else word)
        if path[-1] == "key":  # an unknown field is its value
            path[-1] = str(error.value)
        yield Fault(tuple(path), error.value, error.mend)
