"""The workflow file: these models are its one definition. Schema, reference page and refusals all come from here.

Values are frozen. What one field can tell is checked here; what several tell together in `sound`.
"""

from __future__ import annotations

from pathlib import PurePosixPath
from typing import Annotated, Any

from pydantic import AfterValidator, BeforeValidator, Field, WithJsonSchema

from handrail.automation import IRREVERSIBLE, EffectKind, Trust
from handrail.policy.places import host_rule
from handrail.policy.schema import schema as policy_schema
from handrail.types import Check, Limits, NanoUSD, SandboxKind
from handrail.workflows.follows import Effects
from handrail.workflows.forms import Duration, Line, Money, Name, Share, Text
from handrail.workflows.model import Model, OneOrMany
from handrail.workflows.rules import Rule
from handrail.workflows.starts import On
from handrail.workflows.tree import write

TEMPLATE = "{{ inputs.NAME }} and {{ event.… }} are filled in"

Turns = Annotated[int, Field(ge=1, le=10_000)]


def _host(value: str) -> str:
    host_rule(value)
    return value


def _repository(value: str) -> str:
    name = value.removeprefix("!")
    if not name or name.startswith("-") or any(char.isspace() for char in name) or "\x00" in name:
        raise ValueError("give FORGE:owner/name, FORGE:owner/*, a URL or an absolute path")
    if "*" in value and value == name and (":" not in name or "/" not in name or "*" in name.partition(":")[0]):
        raise ValueError("put the star behind a forge and an owner, such as github:acme/*")
    if ".." in PurePosixPath(name).parts:
        raise ValueError("give it without ..")
    return value


def _unwatched(value: EffectKind) -> EffectKind:
    if value not in IRREVERSIBLE:
        known = ", ".join(sorted(IRREVERSIBLE))
        raise ValueError(f"only {known} need to be named here; how far the others go unwatched is what trust says")
    return value


def _command(value: object) -> object:
    return {"command": value} if isinstance(value, str) else value


def _tasks(value: object) -> object:
    return {"tasks": value} if isinstance(value, str | int) and not isinstance(value, bool) else value


class CheckModel(Model):
    """A command whose exit status decides, run by Handrail inside the walls."""

    command: Annotated[
        str, Field(min_length=1, max_length=16_384, pattern=r"^[^\x00]*\S[^\x00]*$", description="run by a shell")
    ]
    timeout: Annotated[Duration, Field(description="it has failed after this long")] = 900.0

    def value(self) -> Check:
        """The same as a value."""
        return Check(self.command, self.timeout)


Checks = Annotated[
    OneOrMany[Annotated[CheckModel, BeforeValidator(_command, json_schema_input_type=str | CheckModel)]],
    Field(max_length=50, description="commands that must succeed, run by Handrail inside the walls"),
]


class Cap(Model):
    """What may be used up by all tasks of a run together."""

    usd: Annotated[Money | None, Field(description="US dollars")] = None
    time: Annotated[Duration | None, Field(description="from the start of the run")] = None


class Budget(Model):
    """What the session of a task, or of each of its steps, may use up."""

    usd: Annotated[Money | None, Field(description="US dollars")] = None
    time: Annotated[Duration | None, Field(description="from its start")] = None
    turns: Annotated[Turns | None, Field(description="turns of the agent (default: 20)")] = None

    def limits(self) -> Limits:
        """The same as limits."""
        budget = None if self.usd is None else NanoUSD(self.usd)
        return Limits(self.turns or Limits().turns, budget, self.time)


class TaskBudget(Budget):
    """What a task, and what the whole run may use up."""

    run: Annotated[Cap, Field(description="all tasks of a run together")] = Cap()


class Step(Model):
    """One of several goals of a task; each has a session of its own, which goes on from the change before it."""

    name: Annotated[Name, Field(description="another one for each step")]
    goal: Annotated[Text, Field(description=f"what its agent shall reach; {TEMPLATE}")]
    agent: Annotated[Name | None, Field(description="agent of the catalogue (default: the workflow's)")] = None
    provider: Annotated[Name | None, Field(description="model provider (default: the workflow's)")] = None
    model: Annotated[Line | None, Field(description="model that its agent shall use")] = None
    checks: Checks = ()
    budget: Budget | None = None
    review: Annotated[bool, Field(description="it changes nothing: what it finds is handed to the next step")] = False


class Retries(Model):
    """How often a task is tried again by itself, by cause; the wait grows from try to try."""

    provider: Annotated[int, Field(ge=0, le=100, description="the model provider fails")] = 5
    agent: Annotated[int, Field(ge=0, le=100, description="the agent crashes")] = 2
    quota: Annotated[int, Field(ge=0, le=100, description="a quota is used up; the task waits until it is reset")] = 3
    forge: Annotated[int, Field(ge=0, le=100, description="the forge fails")] = 5


class Concurrency(Model):
    """How many tasks of a run work at once."""

    tasks: Annotated[int, Field(ge=1, le=500, description="all together")] = 4
    agent: Annotated[int | None, Field(ge=1, le=500, description="with one agent")] = None
    provider: Annotated[int | None, Field(ge=1, le=500, description="on one model provider")] = None


class Workflow(Model):
    """What is repeatable, and what starts it."""

    name: Annotated[Name, Field(description="lower case letters, digits and . _ -")]
    description: Annotated[str | None, Field(max_length=2000, description="what it is for")] = None
    on: Annotated[On, Field(description="what starts it")] = On()
    goal: Annotated[Text | None, Field(description=f"what a task shall reach; {TEMPLATE}")] = None
    steps: Annotated[tuple[Step, ...], Field(max_length=20, description="several goals in order, instead of goal")] = ()
    agent: Annotated[Name, Field(description="agent of the catalogue (`handrail agents`)")] = "handrail"
    provider: Annotated[Name | None, Field(description="model provider (`handrail providers`)")] = None
    model: Annotated[Line | None, Field(description="model that the agent shall use")] = None
    repositories: Annotated[
        OneOrMany[Annotated[str, AfterValidator(_repository)]],
        Field(
            max_length=500,
            description="a task each: FORGE:owner/name, FORGE:owner/*, a URL, an absolute path, or `event` for that of "
            "the event; !… leaves some out (default: the repository that holds the file)",
        ),
    ] = ()
    ref: Annotated[
        Line | None, Field(description="branch, tag or commit to start from (default: the default branch)")
    ] = None
    checks: Checks = ()
    policy: Annotated[
        dict[str, Any] | None,
        WithJsonSchema({key: value for key, value in policy_schema().items() if key != "$schema"}),
        Field(description="a layer of policy above the session's"),
    ] = None
    network: Annotated[
        OneOrMany[Annotated[str, AfterValidator(_host)]],
        Field(description="what may be reached: registries (pypi), host:port, *.host"),
    ] = ()
    secrets: Annotated[OneOrMany[Name], Field(description="names of secrets that its requests may carry")] = ()
    sandbox: Annotated[SandboxKind | None, Field(description="walls round the agent (default: the server's)")] = None
    effects: Annotated[Effects, Field(description="acts on the outside world")] = Effects()
    trust: Annotated[
        Trust,
        Field(
            description="how far it may go unwatched at the most: shadow (nothing is carried out), supervised (each "
            "effect waits for a person), sampled (some do), autonomous"
        ),
    ] = Trust.SUPERVISED
    sample: Annotated[Share, Field(description="with trust sampled: the share of effects that waits")] = 0.2
    unwatched: Annotated[
        OneOrMany[Annotated[EffectKind, AfterValidator(_unwatched)]],
        Field(description="acts that cannot be taken back (merge, message, webhook) and may go unwatched all the same"),
    ] = ()
    budget: Annotated[TaskBudget, Field(description="what may be used up")] = TaskBudget()
    timeout: Annotated[Duration | None, Field(description="a task is given up after this long (default: never)")] = None
    retries: Annotated[Retries, Field(description="tries after failures that pass")] = Retries()
    concurrency: Annotated[
        Annotated[Concurrency, BeforeValidator(_tasks, json_schema_input_type=int | Concurrency)],
        Field(description="tasks that work at once"),
    ] = Concurrency()
    canary: Annotated[int, Field(ge=0, le=500, description="tasks that go first; the others wait for them")] = 0
    stop_at_failure_rate: Annotated[
        Share | None, Field(description="when more of the ended tasks failed, no further one begins (default: never)")
    ] = None
    notify: Annotated[OneOrMany[Name], Field(description="channels of notify.toml (default: all)")] = ()
    idle_alarm: Annotated[
        int, Field(ge=0, le=1000, description="runs in a row that do nothing, until its people are told; 0 never")
    ] = 5

    @property
    def policy_text(self) -> str | None:
        """Its policy as YAML."""
        return None if self.policy is None else write(self.policy)

    def rules(self) -> tuple[Rule, ...]:
        """Its schedules."""
        return tuple(schedule.rule() for schedule in self.on.schedule)

    def goals(self) -> tuple[Step, ...]:
        """Its steps; one where it has a single goal."""
        return self.steps or (Step(name="work", goal=self.goal or "", checks=self.checks),)
