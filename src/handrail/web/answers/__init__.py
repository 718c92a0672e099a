"""What the API answers, as pydantic models: the OpenAPI document is made from them, and tests hold answers to them.

Nothing at run time needs them, so they are loaded only when the document is asked for. A tag that needs many has a file
of its own beside this one, which brings its models in `MODELS` here.
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from handrail.types import Control, Outcome, Permissions, SandboxKind, SessionState
from handrail.web.answers import events, members, outside, promotion, runs, sums, unseen, workflows
from handrail.web.answers.base import Answer, Nano, Object, Seconds


class Option(Answer):
    """One answer that the agent offers."""

    id: str
    name: str
    kind: Annotated[str, Field(description="allow_once, allow_always, reject_once or reject_always")]


class Approval(Answer):
    """A question that waits for a person, or what was answered."""

    id: str
    session: str
    turn: int | None
    title: str
    tool: str
    input: Object | None
    diffs: list[Object]
    options: list[Option]
    why: Annotated[str, Field(description="one line: step of the plan, size of the change, cost so far")]
    asked: datetime
    deadline: Annotated[datetime | None, Field(description="when `then` happens; null for never")]
    then: Annotated[Literal["park", "deny", "escalate"], Field(description="what happens at the deadline")]
    released: Annotated[datetime | None, Field(description="when its agent was let go while it waits")]
    state: Literal["open", "answered", "void"]
    decision: Literal["allow", "deny"] | None
    by: str | None
    because: str | None


class Always(Answer):
    """What an answer that lasts would allow from now on, and how many of the session's earlier questions."""

    rules: list[str]
    would_have_matched: int
    of: int
    stands: Annotated[bool, Field(description="whether they can be written for the repository, beyond this session")]


class ApprovalWhole(Approval):
    """A question with what can be said about its answer; `always` is null where no narrow rule can be given."""

    always: Always | None


class RuleStanding(Answer):
    """One rule that `always` wrote."""

    repository: str
    key: str
    section: str
    rule: str


class RuleList(Answer):
    """Rules that stand, by repository."""

    rules: list[RuleStanding]


class ApprovalList(Answer):
    """Approvals."""

    approvals: list[Approval]


class GoalCheck(Answer):
    """A check of a goal."""

    command: str
    timeout: Seconds


class GoalShown(Answer):
    """What a handed-off session must reach."""

    text: str
    checks: list[GoalCheck]
    turns: int | None
    budget_nano: Nano | None
    seconds: Seconds | None


class Tokens(Answer):
    """Tokens used; `input` includes the cached ones."""

    input: int
    cached: int
    output: int


class Session(Answer):
    """One conversation of one agent in one workspace."""

    id: str
    title: str | None
    by: Annotated[str, Field(description="whose it is: who started it, or what did")]
    agent: str
    provider: str | None
    model: str | None
    repository: str
    workspace: str
    base: str
    branch: str
    sandbox: SandboxKind
    holds: Annotated[list[str], Field(description="what the walls were measured to hold")]
    tools: list[str]
    network: Annotated[list[str], Field(description="what the agent may reach: registries and host:port")]
    login: Annotated[bool, Field(description="it holds a secret: a copy of the user's login of its agent")]
    secrets: Annotated[list[str], Field(description="secrets that the agent's requests may carry")]
    scopes: Annotated[list[str], Field(description="what it spends together with others")]
    turn_budget_nano: Nano | None
    untrusted: Annotated[bool, Field(description="its base's settings for agents are not used")]
    set_aside: Annotated[list[str], Field(description="files of an untrusted base that no agent sees; at most 100")]
    policy: Annotated[str | None, Field(description="the session's own policy, as YAML")]
    permissions: Annotated[
        Permissions | None, Field(description="null: asks while you hold it, allows while handed off")
    ]
    control: Control
    state: SessionState
    outcome: Outcome | None
    outcome_reason: str | None
    turn: int
    queued: int
    goal: GoalShown | None
    goal_spent_nano: Annotated[Nano, Field(description="what it had cost when the goal was set")]
    cost_nano: Nano
    unpriced: Annotated[int, Field(description="calls without a known price: `cost_nano` is then a minimum")]
    tokens: Tokens
    agent_session: str | None
    created: datetime
    updated: datetime
    last_seq: int
    approvals: list[Approval]


class SessionList(Answer):
    """Sessions, newest first."""

    sessions: list[Session]


class EventShown(Answer):
    """One line of a session's log; `handrail.kinds` lists the kinds and what their data holds."""

    seq: int
    time: datetime
    turn: int | None
    kind: str
    data: Object


class EventPage(Answer):
    """A page of a log, and the number of its last event."""

    events: list[EventShown]
    last_seq: int


class Prompted(Answer):
    """A prompt as it was taken."""

    prompt: str
    queued: bool


class Withdrawn(Answer):
    """A prompt that waits no more."""

    prompt: str
    withdrawn: bool


class Cancelling(Answer):
    """The turn is asked to end."""

    cancelling: bool


class FileShown(Answer):
    """One file of a change."""

    path: str
    status: str
    added: int
    removed: int
    binary: bool
    flag: Annotated[str | None, Field(description="why a reviewer must look")]


class Change(Answer):
    """What a session changed."""

    base: str
    head: str
    files: list[FileShown]
    patch: str
    truncated: bool


class Undone(Answer):
    """The state that the workspace is in again."""

    turn: int
    commit: str


class Shown(Answer):
    """One entry of a folder."""

    path: str
    kind: Literal["folder", "file", "link", "repository"]
    size: Annotated[int | None, Field(description="bytes; null for folders")]
    flag: Annotated[str | None, Field(description="why a person must look at it, where it configures agents or tools")]


class Looked(Answer):
    """A folder with its entries, or a file with its text, in a snapshot."""

    session: str
    turn: Annotated[int, Field(description="the turn after which it was so")]
    commit: str
    path: str
    kind: Literal["folder", "file", "link", "repository"]
    entries: list[Shown] | None = None
    more: Annotated[bool | None, Field(description="whether the folder has entries that are not listed")] = None
    size: int | None = None
    flag: str | None = None
    text: Annotated[str | None, Field(description="null for what is no text; where a link points")] = None
    truncated: bool | None = None


class Applied(Answer):
    """Where a change went."""

    mode: Literal["branch", "uncommitted"]
    branch: str | None
    commit: str
    files: int


class AgentShown(Answer):
    """An agent of the catalogue; `version` is the installed one, else the pinned one."""

    name: str
    title: str
    version: str | None
    installed: bool
    path: str | None
    wire: str
    login: Annotated[str | None, Field(description="where your login of it was found; null: none, or it has none")]
    licence: str
    note: str | None


class AgentList(Answer):
    """The catalogue."""

    agents: list[AgentShown]


class Installed(Answer):
    """An agent that can be started."""

    name: str
    version: str | None
    path: str
    seconds: Seconds


class Tried(Answer):
    """A capability as it was advertised, and as it was tried; null where it was not."""

    name: str
    advertised: bool | None
    tried: bool | None
    detail: str


class AgentReport(Answer):
    """What an agent can really do."""

    name: str
    version: str
    ok: bool
    capabilities: list[Tried]
    seconds: Seconds


class NotifyChannel(Answer):
    """One way to reach people, as `notify.toml` names it."""

    name: str
    kind: Literal["desktop", "email", "slack", "webhook", "apprise"]
    events: list[Literal["approvals", "escalations", "outcomes"]]


class Delivery(Answer):
    """One message on one channel."""

    id: int
    channel: str
    event: str
    session: str | None
    title: str
    state: Annotated[
        Literal["pending", "sent", "dead", "moot"],
        Field(description="dead: given up; moot: answered before it left"),
    ]
    tries: int
    created: datetime
    due: Annotated[datetime | None, Field(description="when it is tried next")]
    ended: datetime | None
    error: Annotated[str | None, Field(description="why the last try failed")]


class NotifyShown(Answer):
    """The channels, and the last messages, the newest first."""

    file: Annotated[str, Field(description="where channels are set up")]
    channels: list[NotifyChannel]
    deliveries: list[Delivery]


class NotifyTried(Answer):
    """Whether a channel took a message."""

    channel: str
    ok: bool
    detail: str
    seconds: Seconds


class ProviderShown(Answer):
    """A model provider; its key is never shown."""

    name: str
    wire: str
    base_url: str
    model: str | None
    key: Literal["set", "none"]
    source: Literal["stored", "environment"]


class ProviderList(Answer):
    """Model providers."""

    providers: list[ProviderShown]


class SecretShown(Answer):
    """A secret; its value is never shown."""

    name: str
    host: str
    header: str
    permits: list[str]


class SecretList(Answer):
    """Secrets of tasks."""

    secrets: list[SecretShown]


class Removed(Answer):
    """A provider or secret that is gone."""

    name: str
    removed: bool


class SandboxShown(Answer):
    """The walls of new sessions; `detail` is `probing` until they have been tried."""

    kind: SandboxKind
    holds: list[str]
    lacks: list[str]
    detail: str


class SessionCount(Answer):
    """How many sessions there are."""

    total: int
    running: int
    waiting: int


class ServerShown(Answer):
    """A server of the database."""

    id: str
    host: str
    quiet: Annotated[float, Field(description="seconds since its last heartbeat")]


class Status(Answer):
    """The server."""

    version: str
    pid: int
    data: str
    url: str
    started: datetime
    uptime: Seconds
    sandbox: SandboxShown
    sessions: SessionCount
    providers: list[str]
    memory_mb: Annotated[float, Field(description="resident memory in 10⁶ bytes")]
    servers: Annotated[list[ServerShown], Field(description="all of its database, where it is shared")]


class Finding(Answer):
    """One thing that was looked at."""

    name: str
    ok: bool
    detail: str
    mend: str = ""


class Doctor(Answer):
    """All that was looked at."""

    checks: list[Finding]


class Stopping(Answer):
    """The server ends soon."""

    stopping: bool


class Problem(BaseModel):
    """What went wrong, in one sentence (RFC 9457)."""

    model_config = ConfigDict(extra="forbid")

    type: str
    title: str
    status: int
    detail: str
    code: str
    field: str | None = None
    value: object = None
    mend: str | None = None
    cause: str | None = None


EVENT_STREAM = "EventStream"
"""the one answer that is no JSON: server-sent events whose data is an `EventShown`"""

MODELS: dict[str, type[BaseModel]] = {
    model.__name__: model
    for model in (
        *(Session, SessionList, EventPage, EventShown, Prompted, Withdrawn, Cancelling),
        *(Change, Undone, Applied, Looked, Approval, ApprovalWhole, ApprovalList, RuleList),
        *(AgentList, Installed, AgentReport, ProviderShown, ProviderList, SecretShown, SecretList, Removed),
        *(NotifyShown, NotifyTried, Status, Doctor, Stopping, Problem),
    )
} | {
    model.__name__: model
    for room in (events, members, outside, promotion, runs, sums, unseen, workflows)
    for model in room.MODELS
}
