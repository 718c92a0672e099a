"""What the API takes: the shape only. Values are judged by the commands, so that every face gets the same answer."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Annotated, Any, TypeVar

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from handrail.commands.values import GoalSpec
from handrail.errors import InvalidInput
from handrail.web.problems import field_name

_MENDS = {
    "missing": "give this field",
    "extra_forbidden": "leave this field out",
    "string_type": "give text",
    "string_unicode": "give valid UTF-8",
    "int_type": "give a whole number",
    "int_from_float": "give a whole number",
    "int_parsing": "give a whole number",
    "int_parsing_size": "give a smaller number",
    "float_type": "give a number",
    "float_parsing": "give a number",
    "finite_number": "give a finite number",
    "bool_type": "give true or false",
    "bool_parsing": "give true or false",
    "list_type": "give a list",
    "model_type": "give an object",
    "model_attributes_type": "give an object",
    "dict_type": "give an object",
}


class Given(BaseModel):
    """The base of bodies: unknown fields are refused, and a number is no text."""

    model_config = ConfigDict(extra="forbid", strict=True, allow_inf_nan=False, defer_build=True)


Body = TypeVar("Body", bound=Given)


def validated(model: type[Body], value: Mapping[str, Any]) -> Body:
    """`value` as a `model`; pydantic's first complaint becomes one of ours."""
    try:
        return model.model_validate(value)
    except ValidationError as error:
        first = error.errors(include_url=False, include_context=False)[0]
        mend = _MENDS.get(first["type"], first["msg"][:1].lower() + first["msg"][1:])
        given = None if first["type"] == "missing" else first["input"]
        raise InvalidInput(field_name(first["loc"]), given, mend) from error


def _command(value: object) -> object:
    return {"command": value} if isinstance(value, str) else value


def _amount(value: object) -> object:
    return format(Decimal(str(value)), "f") if isinstance(value, int | float) and not isinstance(value, bool) else value


Decimals = Annotated[str, BeforeValidator(_amount, json_schema_input_type=str | float)]


class CheckBody(Given):
    """A check: a command, and the seconds it may take."""

    command: str
    timeout: float | None = None


class GoalBody(Given):
    """A goal to hand a session off with."""

    text: str
    checks: Annotated[
        list[Annotated[CheckBody, BeforeValidator(_command, json_schema_input_type=str | CheckBody)]],
        Field(default_factory=list, description="commands whose exit status decides"),
    ]
    turns: int | None = None
    budget_usd: Annotated[Decimals | None, Field(description="US dollars")] = None
    seconds: float | None = None

    def spec(self) -> GoalSpec:
        """The same for the commands."""
        checks = tuple((check.command, check.timeout) for check in self.checks)
        return GoalSpec(self.text, checks, self.turns, self.budget_usd, self.seconds)


class SessionBody(Given):
    """A session to be. With `prompt` its first turn starts; with `goal` it is handed off."""

    repository: Annotated[str, Field(description="absolute path of a git repository")]
    agent: str = "handrail"
    provider: str | None = None
    model: str | None = None
    ref: Annotated[str | None, Field(description="branch, tag or commit to start from; HEAD where missing")] = None
    sandbox: Annotated[
        str | None, Field(description="bubblewrap or none; seatbelt (macOS) is untested and refuses")
    ] = None
    permissions: Annotated[str | None, Field(description="ask, allow or deny")] = None
    include_uncommitted: bool = False
    title: str | None = None
    policy: Annotated[str | None, Field(description="the session's own policy, as YAML")] = None
    tools: Annotated[
        list[str], Field(default_factory=list, description="tool chains to show read-only inside, `bin` on the PATH")
    ]
    network: Annotated[
        list[str],
        Field(default_factory=list, description="what may be reached: registries (`pypi`), host:port, *.host"),
    ]
    login: Annotated[bool, Field(description="give the agent a copy of your login, in place of the gateway")] = False
    secrets: Annotated[
        list[str], Field(default_factory=list, description="names of secrets that the agent's requests may carry")
    ]
    scopes: Annotated[
        list[str],
        Field(default_factory=list, description="what it spends together with others, such as team:core"),
    ]
    turn_budget_usd: Annotated[Decimals | None, Field(description="cap of each turn in US dollars")] = None
    untrusted: Annotated[
        bool, Field(description="somebody else wrote what `ref` names: its settings for agents are not used")
    ] = False
    prompt: str | None = None
    goal: GoalBody | None = None


class PromptBody(Given):
    """A prompt."""

    text: str


class FailedBody(Given):
    """Of what."""

    failed: Annotated[bool, Field(description="only what did not succeed")] = False


class ResumeBody(FailedBody):
    """What goes on, and from where."""

    step: Annotated[
        str | None, Field(description="prepare, work, check, propose, gate or deliver; where each ended if missing")
    ] = None


class RetryBody(Given):
    """Which runs; all that is given must fit."""

    state: str | None = None
    outcome: str | None = None
    workflow: str | None = None
    repository: Annotated[str | None, Field(description="of one of its tasks")] = None
    trigger: str | None = None
    agent: Annotated[str | None, Field(description="of the first stage")] = None
    model: Annotated[str | None, Field(description="of the first stage")] = None
    by: Annotated[str | None, Field(description="the member who started it")] = None
    day: Annotated[str | None, Field(description="a date, in UTC")] = None


class UndoBody(Given):
    """Where to go back to: the state after turn `to_turn` (0 is the start)."""

    to_turn: int | None = None


class BranchBody(Given):
    """Where the new session begins: the state after a turn (0 is the start), the newest where it is left out."""

    turn: int | None = None
    title: str | None = None


class ApplyBody(Given):
    """How the change shall reach the checkout."""

    mode: Annotated[str, Field(description="branch or uncommitted")]
    branch: str | None = None


class AnswerBody(Given):
    """An answer to an approval."""

    decision: Annotated[str, Field(description="allow or deny")]
    option: Annotated[str | None, Field(description="id of one of the agent's options")] = None
    because: str | None = None
    lasts: Annotated[
        str, Field(description="once, session (what is like it in this session as well) or always (in its repository)")
    ] = "once"


class RuleBody(Given):
    """One rule that `always` wrote, as the list has it."""

    key: str
    section: str
    rule: str


class CheckAgentBody(Given):
    """How far to try an agent."""

    deep: bool = False


class EffectAnswerBody(Given):
    """A yes or no to an effect, or what became of it."""

    decision: Annotated[
        str, Field(description="approve, reject; or arrived, of one that failed and may have been carried out")
    ]
    because: str | None = None


class ForgeBody(Given):
    """A forge."""

    kind: Annotated[str, Field(description="github, gitlab, gitea or git")]
    url: Annotated[str | None, Field(description="where its pages are; the public one where missing")] = None
    secret: Annotated[str, Field(repr=False, description="token, App key or password; never shown again")] = ""
    app_id: Annotated[str | None, Field(description="of a GitHub App, whose private key `secret` is then")] = None
    user: Annotated[str | None, Field(description="whom a server of plain git asks for")] = None


class ForgeCheckBody(Given):
    """What to try."""

    repository: Annotated[str | None, Field(description="owner/name, to see whether it may be written to")] = None


class ProviderBody(Given):
    """A model provider."""

    wire: Annotated[str, Field(description="anthropic, openai or gemini")]
    base_url: str | None = None
    key: Annotated[str, Field(repr=False, description="kept by the gateway; never shown again")]
    model: str | None = None


class ReplayBody(Given):
    """Which workflow an event is put to."""

    workflow: str
    dry_run: Annotated[bool, Field(description="only say what would come of it")] = False


class SampleBody(Given):
    """An event that never came, to ask what a workflow would make of it."""

    workflow: str
    payload: Annotated[dict[str, object], Field(description="as its sender would send it")]
    event: Annotated[str | None, Field(description="GitHub, Gitea: its name in the header, such as issues")] = None
    source: Annotated[str | None, Field(description="who would send it; without one, a GitHub")] = None


class SourceBody(Given):
    """Who may send events."""

    kind: Annotated[str, Field(description="github, gitlab, gitea, slack, standard, alertmanager, datadog or generic")]
    secret: Annotated[str, Field(repr=False, description="what the sender signs with; never shown again")]
    header: Annotated[str | None, Field(description="generic, datadog: header with the secret or signature")] = None
    prefix: Annotated[str, Field(description="generic: what stands before it, such as sha256=")] = ""
    signed: Annotated[bool, Field(description="generic: the header is an HMAC-SHA256 of the body")] = False
    account: Annotated[str | None, Field(description="who Handrail is there: its own acts start nothing")] = None


class PollsBody(Given):
    """What of a forge is polled."""

    repositories: Annotated[list[str], Field(description="owner/name; an empty list ends it")]
    every: Annotated[float, Field(description="seconds between two looks, 10 or more")] = 60.0


class WorkflowBody(Given):
    """A workflow file."""

    text: Annotated[str, Field(description="the YAML")]
    origin: Annotated[str | None, Field(description="where it comes from, for the record")] = None


class FileBody(Given):
    """One workflow file of a repository."""

    name: str
    text: str


class SyncBody(Given):
    """All workflow files of a repository."""

    origin: Annotated[str, Field(description="the repository")]
    files: list[FileBody]


class StartBody(Given):
    """What a person gives who starts a workflow."""

    inputs: Annotated[dict[str, str | int | float | bool], Field(default_factory=dict, description="name → value")]
    repositories: Annotated[list[str], Field(default_factory=list, description="in place of those that its file names")]


class TrustBody(Given):
    """How far a workflow may act unwatched."""

    level: Annotated[str, Field(description="shadow, supervised, sampled or autonomous")]


class PromoteBody(Given):
    """How to promote a session."""

    name: Annotated[str | None, Field(description="of the workflow; null: from the title of the session")] = None
    keep: Annotated[bool, Field(description="keep it, switched off; else it is only shown")] = False


class RehearseBody(Given):
    """What to rehearse on: commits or events, each `last:N` or names with commas between."""

    commits: Annotated[str | None, Field(description="past commits; a task begins before each of them")] = None
    events: Annotated[str | None, Field(description="stored events; each is the cause of a run")] = None
    inputs: Annotated[dict[str, str | int | float | bool], Field(default_factory=dict, description="name → value")]
    repository: Annotated[str | None, Field(description="in place of the first one that its file names")] = None
    version: Annotated[str | None, Field(description="null: the newest")] = None


class EnableBody(Given):
    """Which version to enable, and whether also unrehearsed."""

    version: Annotated[str | None, Field(description="null: the newest")] = None
    unproven: Annotated[bool, Field(description="also when it was not rehearsed")] = False


class MemberBody(Given):
    """Somebody who may come in from now on."""

    name: Annotated[str, Field(description="small letters, digits, dots and dashes")]
    role: Annotated[str, Field(description="owner or member")] = "member"


class SecretBody(Given):
    """A secret that tasks need: the proxy puts it into requests to its host."""

    host: Annotated[str, Field(description="host or host:port, called over TLS")]
    header: Annotated[str, Field(description="header that carries it, such as `Authorization: Bearer {}`")]
    value: Annotated[str, Field(repr=False, description="never shown again")]
    permits: Annotated[
        list[str], Field(default_factory=list, description="methods and paths, such as `GET /v1`; none is everything")
    ]


class BudgetBody(Given):
    """What the sessions of a scope may use up together in a period."""

    period: Annotated[str, Field(description="total, day, week or month (of UTC)")] = "total"
    money_usd: Annotated[Decimals | None, Field(description="US dollars")] = None
    tokens: Annotated[int | None, Field(description="input, cached included, and output")] = None
    seconds: Annotated[float | None, Field(description="time in which at least one of them works")] = None


class PriceBody(Given):
    """US dollars for a million tokens; what is missing costs as input does."""

    model: Annotated[str, Field(description="its name, or provider/name; `*` stands for anything")]
    input: Decimals
    output: Decimals
    cached: Decimals | None = None
    cache_written: Decimals | None = None
