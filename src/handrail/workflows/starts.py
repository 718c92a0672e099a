"""What may stand under `on`: the triggers of a workflow."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Self

from pydantic import AfterValidator, Field, model_validator

from handrail.workflows import cron, expressions
from handrail.workflows.forms import Duration, Line, Name
from handrail.workflows.meant import guess
from handrail.workflows.model import Model, OneOrMany
from handrail.workflows.rules import CatchUp, Overlap, Rule

EVENTS = (
    "check_run", "check_suite", "commit_comment", "create", "delete", "deployment", "deployment_status", "discussion",
    "discussion_comment", "issue_comment", "issues", "label", "merge_group", "milestone", "pull_request",
    "pull_request_review", "pull_request_review_comment", "pull_request_review_thread", "push", "registry_package",
    "release", "repository_dispatch", "repository_vulnerability_alert", "secret_scanning_alert", "security_advisory",
    "code_scanning_alert", "dependabot_alert", "status", "workflow_dispatch", "workflow_job", "workflow_run",
)  # fmt: skip
"""events of forges, in GitHub's words whatever the forge"""
TYPES = ("text", "integer", "number", "boolean", "choice")


def _type(value: str) -> str:
    if value not in TYPES:
        raise ValueError(guess(value, TYPES))
    return value


def _event(value: str) -> str:
    if value not in EVENTS:
        raise ValueError(guess(value, EVENTS))
    return value


def _filter(value: str) -> str:
    expressions.check(value)
    return value


def _zone(value: str) -> str:
    cron.zone(value)
    return value


def _expression(value: str) -> str:
    return cron.parse(value, cron.zone("UTC")).text


Event = Annotated[str, AfterValidator(_event), Field(json_schema_extra={"enum": list(EVENTS)})]
When = Annotated[
    str,
    AfterValidator(_filter),
    Field(description="JMESPath over the event; it starts the workflow unless it finds null, false or nothing"),
]


class Schedule(Model):
    """Starts the workflow at times of the clock."""

    cron: Annotated[
        str,
        AfterValidator(_expression),
        Field(description="minute hour day month weekday, with seconds before them if wanted; or @daily and its like"),
    ]
    zone: Annotated[
        str, AfterValidator(_zone), Field(description="time zone of the IANA database, such as Europe/Berlin")
    ] = "UTC"
    catch_up: Annotated[
        CatchUp, Field(description="ticks that came due while nobody was there: none, the latest, or all of them fire")
    ] = CatchUp.LATEST
    lateness: Annotated[Duration, Field(description="no tick fires later than this after its due time")] = 86_400.0
    overlap: Annotated[
        Overlap | None,
        Field(description="what becomes of a tick while a run goes on (default: skip; with catch_up all: queue)"),
    ] = None

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if self.catch_up is CatchUp.ALL and self.overlap not in (None, Overlap.QUEUE):
            raise ValueError(
                "write overlap: queue with catch_up: all, else what is caught up would be skipped or cancelled"
            )
        return self

    def rule(self) -> Rule:
        """The same as a rule."""
        usual = Overlap.QUEUE if self.catch_up is CatchUp.ALL else Overlap.SKIP
        parsed = cron.parse(self.cron, cron.zone(self.zone))
        return Rule(parsed, self.catch_up, timedelta(seconds=self.lateness), self.overlap or usual)


class ForgeEvent(Model):
    """Starts the workflow at events of a forge: GitHub, GitLab, Gitea, Forgejo."""

    events: Annotated[OneOrMany[Event], Field(min_length=1, description="names of events, in GitHub's words")]
    actions: Annotated[
        OneOrMany[Name], Field(description="only with these actions, such as opened (default: any)")
    ] = ()
    when: When | None = None
    forge: Annotated[Name | None, Field(description="name of the forge as it is set up here (default: any)")] = None


class Webhook(Model):
    """Starts the workflow when a webhook is called."""

    source: Annotated[Name, Field(description="name under which its sender is set up here")]
    when: When | None = None


class Alert(Model):
    """Starts the workflow when monitoring raises an alert."""

    source: Annotated[Name | None, Field(description="name of the monitor as it is set up here (default: any)")] = None
    when: When | None = None


class Input(Model):
    """Something that a person is asked for when they start the workflow."""

    type: Annotated[
        str,
        AfterValidator(_type),
        Field(description=", ".join(TYPES), json_schema_extra={"enum": list(TYPES)}),
    ] = "text"
    description: Annotated[Line | None, Field(description="what it is for")] = None
    default: Annotated[str | int | float | bool | None, Field(description="what holds when nobody gives one")] = None
    choices: Annotated[OneOrMany[Line], Field(description="with type choice: what can be chosen")] = ()

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if (self.type == "choice") != bool(self.choices):
            raise ValueError("give choices with type: choice, and only there")
        if self.default is not None:
            self.value(self.default)
        return self

    def value(self, given: object) -> str | int | float | bool:
        """What was given, in this input's type.

        Raises:
            ValueError: it cannot be; the message says what to give.
        """
        text = str(given)
        try:
            if self.type == "integer":
                return int(text)
            if self.type == "number":
                return float(text)
        except ValueError as error:
            raise ValueError("give a whole number" if self.type == "integer" else "give a number") from error
        if self.type == "boolean":
            if text.lower() not in ("true", "false", "yes", "no"):
                raise ValueError("give true or false")
            return text.lower() in ("true", "yes")
        if self.type == "choice" and text not in self.choices:
            raise ValueError(guess(text, self.choices))
        return text


class Manual(Model):
    """What a person gives who starts the workflow by hand."""

    inputs: Annotated[dict[Name, Input], Field(description="name → what it is")] = Field(default_factory=dict)


class On(Model):
    """What starts the workflow. A person always can."""

    schedule: Annotated[OneOrMany[Schedule], Field(description="times of the clock")] = ()
    forge: Annotated[OneOrMany[ForgeEvent], Field(description="events of a forge")] = ()
    webhook: Annotated[OneOrMany[Webhook], Field(description="calls of a webhook")] = ()
    alert: Annotated[OneOrMany[Alert], Field(description="alerts")] = ()
    manual: Annotated[Manual, Field(description="what a person gives who starts it by hand")] = Manual()

    @property
    def events(self) -> bool:
        """Whether events from outside start it."""
        return bool(self.forge or self.webhook or self.alert)
