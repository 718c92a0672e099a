"""Effects as values: what an act on the outside world says, whoever proposes it and wherever it is carried out.

`parse` reads one from JSON with a sentence for each thing that cannot be used; `as_json` writes it; `schema` describes
it for tools. The three follow the dataclasses below and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import re
import types
import typing
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, ClassVar

from handrail.automation import EffectKind
from handrail.errors import InvalidInput
from handrail.types import Json

MARK = "<!-- handrail:"
"""begins the marker of every text that Handrail writes on a forge; people do not see it"""
BODY = 60_000
"""characters of a body; GitHub takes 65,536, and the marker comes on top"""
LIST = 200
_COMMIT = re.compile(r"[0-9a-f]{40}(?:[0-9a-f]{24})?")
_REPOSITORY = re.compile(r"[A-Za-z0-9_.-]+(?:/[A-Za-z0-9_.-]+)*")
_BAD_BRANCH = re.compile(r"[\x00-\x20\x7f~^:?*\[\\]|\.\.|@\{|//|/\.|\.lock(?:/|$)|^[-/.]|[/.]$|^@$")
_MARKER = re.compile(r"<!--\s*handrail:[^>]{0,200}-->", re.IGNORECASE)
_BEGINS = re.compile(r"<!--\s*handrail:", re.IGNORECASE)


def _say(means: str, limit: int = 0, *, of: str = "", **more: Any) -> Any:
    """A field: what it means, the most characters, and the form of its text."""
    return field(metadata={"means": means, "limit": limit, "of": of, "empty": "default" in more}, **more)


@dataclass(frozen=True, slots=True)
class Push:
    """Bring a branch to a commit."""

    kind: ClassVar[EffectKind] = EffectKind.PUSH
    repository: str = _say("owner/name at the forge", 300, of="repository")
    branch: str = _say("the branch", 200, of="branch")
    commit: str = _say("the commit, as a full id", 64, of="commit")
    expected: str | None = _say(
        "the commit that the branch is at now; leave out for a new branch", 64, of="commit", default=None
    )
    replaces: tuple[str, ...] = _say(
        "other commits that the branch may be at: nothing of anybody's is lost", 64, of="commit", default=()
    )


@dataclass(frozen=True, slots=True)
class PullRequest:
    """Open a pull request (a merge request at GitLab), or bring the open one of the same branches up to date."""

    kind: ClassVar[EffectKind] = EffectKind.PULL_REQUEST
    repository: str = _say("owner/name at the forge", 300, of="repository")
    head: str = _say("the branch with the change", 200, of="branch")
    base: str = _say("the branch that it is to go into", 200, of="branch")
    title: str = _say("one line", 250)
    body: str = _say("what was changed and why, in Markdown", BODY, default="")
    draft: bool = _say("whether it is a draft", default=False)
    commit: str | None = _say(
        "the commit to push to the head branch before; leave out if it is there", 64, of="commit", default=None
    )
    expected: str | None = _say(
        "the commit that the head branch is at now; leave out for a new branch", 64, of="commit", default=None
    )
    replaces: tuple[str, ...] = _say(
        "other commits that the head branch may be at: nothing of anybody's is lost", 64, of="commit", default=()
    )


@dataclass(frozen=True, slots=True)
class Comment:
    """Comment on an issue or pull request."""

    kind: ClassVar[EffectKind] = EffectKind.COMMENT
    repository: str = _say("owner/name at the forge", 300, of="repository")
    number: int = _say("number of the issue or pull request")
    body: str = _say("the comment, in Markdown", BODY)
    on_pull_request: bool = _say("whether the number is a pull request's (GitLab counts the two apart)", default=False)


@dataclass(frozen=True, slots=True)
class LineComment:
    """A comment on one line of the changed file."""

    path: str = _say("path of the file", 1000)
    line: int = _say("line number in the new file")
    body: str = _say("the comment, in Markdown", BODY)


@dataclass(frozen=True, slots=True)
class Review:
    """Review a pull request."""

    kind: ClassVar[EffectKind] = EffectKind.REVIEW
    repository: str = _say("owner/name at the forge", 300, of="repository")
    number: int = _say("number of the pull request")
    commit: str = _say("the head that was reviewed, as a full id", 64, of="commit")
    body: str = _say("the verdict in words, in Markdown", BODY)
    verdict: str = _say("comment, approve or request_changes", 20, of="verdict", default="comment")
    comments: tuple[LineComment, ...] = _say("comments on lines", default=())


@dataclass(frozen=True, slots=True)
class Label:
    """Add and remove labels of an issue or pull request."""

    kind: ClassVar[EffectKind] = EffectKind.LABEL
    repository: str = _say("owner/name at the forge", 300, of="repository")
    number: int = _say("number of the issue or pull request")
    add: tuple[str, ...] = _say("labels to add", 50, default=())
    remove: tuple[str, ...] = _say("labels to remove", 50, default=())
    on_pull_request: bool = _say("whether the number is a pull request's (GitLab counts the two apart)", default=False)


@dataclass(frozen=True, slots=True)
class Status:
    """Set the status of a commit."""

    kind: ClassVar[EffectKind] = EffectKind.STATUS
    repository: str = _say("owner/name at the forge", 300, of="repository")
    commit: str = _say("the commit, as a full id", 64, of="commit")
    context: str = _say("name of the status, such as handrail/review", 100)
    state: str = _say("pending, success, failure or error", 10, of="state")
    description: str = _say("one short line", 140, default="")
    url: str | None = _say("where a person can see more", 2000, default=None)


@dataclass(frozen=True, slots=True)
class Merge:
    """Merge a pull request at the head that was looked at."""

    kind: ClassVar[EffectKind] = EffectKind.MERGE
    repository: str = _say("owner/name at the forge", 300, of="repository")
    number: int = _say("number of the pull request")
    head: str = _say("the head to merge, as a full id; another one is refused", 64, of="commit")
    method: str = _say("merge, squash or rebase", 10, of="method", default="merge")


@dataclass(frozen=True, slots=True)
class Issue:
    """Open an issue."""

    kind: ClassVar[EffectKind] = EffectKind.ISSUE
    repository: str = _say("owner/name at the forge", 300, of="repository")
    title: str = _say("one line", 250)
    body: str = _say("what is to be done, in Markdown", BODY, default="")
    labels: tuple[str, ...] = _say("labels", 50, default=())


@dataclass(frozen=True, slots=True)
class Message:
    """Tell people over a channel of notify.toml."""

    kind: ClassVar[EffectKind] = EffectKind.MESSAGE
    channel: str = _say("name of the channel", 100)
    title: str = _say("one line", 250)
    text: str = _say("the message", 10_000)


@dataclass(frozen=True, slots=True)
class Webhook:
    """Call a webhook that notify.toml names."""

    kind: ClassVar[EffectKind] = EffectKind.WEBHOOK
    channel: str = _say("name of the channel of kind webhook", 100)
    title: str = _say("one line", 250)
    text: str = _say("what is sent", 10_000)


@dataclass(frozen=True, slots=True)
class Report:
    """Publish a report: a page that Handrail keeps and shows."""

    kind: ClassVar[EffectKind] = EffectKind.REPORT
    title: str = _say("one line", 250)
    body: str = _say("the report, in Markdown", 200_000)


Effect = Push | PullRequest | Comment | Review | Label | Status | Merge | Issue | Message | Webhook | Report
KINDS: Mapping[EffectKind, type[Effect]] = {item.kind: item for item in typing.get_args(Effect)}
AT_FORGE = frozenset(kind for kind, item in KINDS.items() if "repository" in {part.name for part in fields(item)})
"""kinds that a forge carries out; the others are Handrail's own"""

_FORMS: dict[str, tuple[str, ...]] = {
    "verdict": ("comment", "approve", "request_changes"),
    "state": ("pending", "success", "failure", "error"),
    "method": ("merge", "squash", "rebase"),
}


def parse(kind: str, given: Mapping[str, object]) -> Effect:
    """Read the effect of `kind` from JSON.

    Raises:
        InvalidInput: a field is missing, unknown, of the wrong type or holds what cannot be used.
    """
    if kind not in set(EffectKind):
        raise InvalidInput("kind", kind, f"choose one of {', '.join(EffectKind)}")
    made: Effect = _read(KINDS[EffectKind(kind)], given, "")
    if isinstance(made, Label) and not (made.add or made.remove):
        raise InvalidInput("add", [], "name a label to add or to remove")
    return made


def as_json(effect: Effect) -> Json:
    """The effect as JSON; `parse` reads it again."""
    return typing.cast("Json", json.loads(json.dumps(asdict(effect))))


def digest(effect: Effect) -> str:
    """SHA-256 of kind and content: two effects that say the same have the same."""
    said = json.dumps([effect.kind, asdict(effect)], sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(said.encode("utf-8", "surrogatepass")).hexdigest()


def schema(kind: EffectKind, leave_out: frozenset[str] = frozenset()) -> Json:
    """JSON Schema of the effect's fields, but for those that the one who asks fills in."""
    return _object(KINDS[kind], leave_out)


def marker(key: str) -> str:
    """What shows, unseen by readers, that a text of the forge came from the act with `key`."""
    return f"{MARK}{key} -->"


def unmarked(body: str) -> str:
    """`body` without markers that it brought along.

    What is taken out can leave a marker behind of what stood round it: so the beginning of any is broken as well, by
    words that cannot be part of another one.
    """
    return _BEGINS.sub("<!-- not handrail:", _MARKER.sub("", body)).rstrip()


def marked(body: str, key: str) -> str:
    """`body` with the marker of `key`, and without markers that it brought along."""
    plain = unmarked(body)
    return f"{plain}\n\n{marker(key)}" if plain else marker(key)


def _hints(item: type) -> dict[str, Any]:
    return typing.get_type_hints(item)


def _read(item: type[Any], given: Mapping[str, object], where: str) -> Any:
    known = {part.name: part for part in fields(item)}
    for name in given:
        if name not in known:
            raise InvalidInput(f"{where}{name}", given[name], f"known fields are {', '.join(known)}")
    hints, values = _hints(item), {}
    for name, part in known.items():
        if name not in given or (given[name] is None and type(None) in typing.get_args(hints[name])):
            continue
        values[name] = _value(hints[name], given[name], f"{where}{name}", part.metadata)
    try:
        return item(**values)
    except TypeError as error:
        missing = next(name for name in known if name not in values and _required(known[name]))
        raise InvalidInput(f"{where}{missing}", None, "give this field") from error


def _required(part: Any) -> bool:
    return part.default is part.default_factory  # both MISSING


def _value(hint: Any, given: object, where: str, told: Mapping[str, Any]) -> object:
    if isinstance(hint, types.UnionType):
        hint = next(option for option in typing.get_args(hint) if option is not type(None))
    if typing.get_origin(hint) is tuple:
        if not isinstance(given, list | tuple) or len(given) > LIST:
            raise InvalidInput(where, given, f"give a list of at most {LIST}")
        inner = typing.get_args(hint)[0]
        return tuple(_value(inner, one, f"{where}[{number}]", told) for number, one in enumerate(given))
    if hint is bool:
        if not isinstance(given, bool):
            raise InvalidInput(where, given, "give true or false")
        return given
    if hint is int:
        if not isinstance(given, int) or isinstance(given, bool) or not 0 < given < 1 << 53:
            raise InvalidInput(where, given, "give a number from 1")
        return given
    if hint is str:
        return _text(given, where, told)
    if not isinstance(given, dict):
        raise InvalidInput(where, given, "give an object")
    return _read(hint, given, f"{where}.")


def _text(given: object, where: str, told: Mapping[str, Any]) -> str:
    limit, form = int(told["limit"]), str(told["of"])
    name = where.rpartition(".")[2].partition("[")[0]
    if not isinstance(given, str):
        raise InvalidInput(where, given, "give text")
    if len(given) > limit:
        raise InvalidInput(where, given, f"give at most {limit} characters")
    many_lines = name in {"body", "text"}
    if any(not (char.isprintable() or (many_lines and char in "\n\r\t")) and ord(char) < 160 for char in given):
        raise InvalidInput(where, given, "leave control characters out" if many_lines else "give one line")
    if not given.strip() and not told["empty"]:
        raise InvalidInput(where, given, "say something")
    try:
        given.encode()
    except UnicodeEncodeError as error:
        raise InvalidInput(where, given, "give valid Unicode") from error
    if form in _FORMS and given not in _FORMS[form]:
        raise InvalidInput(where, given, f"choose one of {', '.join(_FORMS[form])}")
    if form == "commit" and not _COMMIT.fullmatch(given):
        raise InvalidInput(where, given, "give the full id of a commit")
    if form == "repository" and (not _REPOSITORY.fullmatch(given) or {".", ".."} & set(given.split("/"))):
        raise InvalidInput(where, given, "give owner/name")
    if form == "branch" and _BAD_BRANCH.search(given):
        raise InvalidInput(where, given, "git takes no branch of this name")
    return given


def _object(item: type[Any], leave_out: frozenset[str]) -> Json:
    hints = _hints(item)
    parts = [part for part in fields(item) if part.name not in leave_out]
    return {
        "type": "object",
        "properties": {part.name: _described(hints[part.name], part.metadata) for part in parts},
        "required": [part.name for part in parts if _required(part)],
        "additionalProperties": False,
    }


def _described(hint: Any, told: Mapping[str, Any]) -> Json:
    if isinstance(hint, types.UnionType):
        hint = next(option for option in typing.get_args(hint) if option is not type(None))
    means: Json = {"description": told["means"]}
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)[0]
        item: Json = {"type": "string"} if inner is str else _object(inner, frozenset())
        return {"type": "array", "items": item, **means}
    if hint is str and told["of"] in _FORMS:
        means["enum"] = list(_FORMS[told["of"]])
    return {"type": {str: "string", int: "integer", bool: "boolean"}[hint], **means}
