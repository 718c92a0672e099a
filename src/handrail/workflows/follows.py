"""What may stand under `effects`: acts that follow from a change, and acts that agents may propose.

Texts are templates, filled in without marks: they go to people, not to an agent.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal, Self

from pydantic import BeforeValidator, Field, model_validator

from handrail.automation import EffectKind
from handrail.workflows.forms import Branch, Line, Name, Text
from handrail.workflows.model import Model, OneOrMany


class Push(Model):
    """Push the change as a branch."""

    branch: Annotated[Branch | None, Field(description="default: handrail/NAME-TASK")] = None


class PullRequest(Model):
    """Open a pull request with the change, or bring the open one of the same branch up to date."""

    title: Annotated[Line | None, Field(description="default: the first line of the goal")] = None
    body: Annotated[Text | None, Field(description="default: what was done, with the evidence")] = None
    branch: Annotated[Branch | None, Field(description="default: handrail/NAME-TASK")] = None
    base: Annotated[Branch | None, Field(description="branch to merge into (default: where the task began)")] = None
    draft: Annotated[bool, Field(description="not ready for people yet")] = False


class Comment(Model):
    """Comment on the pull request or issue that the task is about."""

    body: Annotated[Text | None, Field(description="default: what the agent said at the end")] = None


class Review(Model):
    """Review the pull request that the task is about."""

    body: Annotated[Text | None, Field(description="default: what the agent said at the end")] = None
    verdict: Annotated[
        Literal["comment", "approve", "request_changes"], Field(description="what the review says in a word")
    ] = "comment"


class Label(Model):
    """Add and remove labels of the pull request or issue that the task is about."""

    add: Annotated[OneOrMany[Line], Field(description="labels to add")] = ()
    remove: Annotated[OneOrMany[Line], Field(description="labels to remove")] = ()

    @model_validator(mode="after")
    def _sound(self) -> Self:
        if not (self.add or self.remove):
            raise ValueError("name a label to add or to remove")
        return self


class Status(Model):
    """Set the status of the commit that the task began with: success where checks passed and nothing was changed."""

    context: Annotated[Line, Field(description="its name among the statuses of the commit")] = "handrail"
    description: Annotated[Line | None, Field(description="one line for people")] = None


class Merge(Model):
    """Merge the pull request that the task is about, at the head that was looked at."""

    method: Annotated[Literal["merge", "squash", "rebase"], Field(description="how its commits arrive")] = "merge"


class Issue(Model):
    """Open an issue."""

    title: Annotated[Line, Field(description="one line")]
    body: Annotated[Text | None, Field(description="default: what the agent said at the end")] = None
    labels: Annotated[OneOrMany[Line], Field(description="labels of it")] = ()


class Message(Model):
    """Tell people over a channel of notify.toml."""

    channel: Annotated[Name, Field(description="a channel of notify.toml")]
    title: Annotated[Line | None, Field(description="default: the name of the workflow")] = None
    text: Annotated[Text | None, Field(description="default: what the agent said at the end")] = None


class Webhook(Model):
    """Call a webhook that notify.toml names."""

    channel: Annotated[Name, Field(description="a channel of notify.toml")]
    title: Annotated[Line | None, Field(description="default: the name of the workflow")] = None
    text: Annotated[Text | None, Field(description="default: what the agent said at the end")] = None


class Report(Model):
    """Publish a page that Handrail keeps and shows."""

    title: Annotated[Line | None, Field(description="default: the name of the workflow")] = None
    body: Annotated[Text | None, Field(description="default: what the agent said at the end")] = None


class Follow(Model):
    """One act that follows from the change: exactly one of these."""

    push: Push | None = None
    pull_request: PullRequest | None = None
    comment: Comment | None = None
    review: Review | None = None
    label: Label | None = None
    status: Status | None = None
    merge: Merge | None = None
    issue: Issue | None = None
    message: Message | None = None
    webhook: Webhook | None = None
    report: Report | None = None

    @model_validator(mode="after")
    def _one(self) -> Self:
        if len(self.model_fields_set) != 1:
            raise ValueError("name one act; write several as several parts of the list")
        return self

    @property
    def kind(self) -> EffectKind:
        """Which act."""
        return EffectKind(next(iter(self.model_fields_set)))

    @property
    def values(self) -> dict[str, Any]:
        """Its fields that were given, or have a default."""
        act: Model = getattr(self, self.kind)
        return act.model_dump(mode="json", exclude_none=True)


def _short(value: Any) -> Any:
    """`push` alone, or `push:` with nothing behind it, is one with its defaults."""
    if isinstance(value, str):
        return {value: {}}
    return {key: {} if given is None else given for key, given in value.items()} if isinstance(value, dict) else value


class Effects(Model):
    """Acts on the outside world. Handrail carries them out, never an agent."""

    then: Annotated[
        OneOrMany[Annotated[Follow, BeforeValidator(_short, json_schema_input_type=Follow | EffectKind)]],
        Field(description="what follows from the change of a task, in order"),
    ] = ()
    propose: Annotated[
        OneOrMany[EffectKind], Field(description="what agents may propose besides (default: nothing)")
    ] = ()
