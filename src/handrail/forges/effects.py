"""Effects as values: what an act on the outside world says, whoever proposes it and wherever it is carried out.

`parse` reads one from JSON with a sentence for each thing that cannot be used; `as_json` writes it; `schema` describes
it for tools. The three follow the classes below and nothing else.
"""

from __future__ import annotations

import hashlib
import json
import re
import types
import typing
from collections.abc import Mapping
from typing import Annotated, Any, ClassVar, NamedTuple

from msgspec import Struct, to_builtins

from handrail.automation import EffectKind
from handrail.errors import InvalidInput
from handrail.types import Json

OURS = "handrail/"
"""how branches begin that Handrail pushes to, and statuses that it sets"""
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


class Says(NamedTuple):
    """A field: what it means, the most characters, and the form of its text."""

    means: str
    limit: int = 0
    of: str = ""


class Push(Struct, frozen=True):
    """Bring a branch to a commit."""

    kind: ClassVar[EffectKind] = EffectKind.PUSH
    repository: Annotated[str, Says("owner/name at the forge", 300, of="repository")]
    branch: Annotated[str, Says("the branch", 200, of="branch")]
    commit: Annotated[
        str | None, Says("the commit, as a full id; leave out for the change of the session", 64, of="commit")
    ] = None
    expected: Annotated[
        str | None, Says("the commit that the branch is at now; leave out for a new branch", 64, of="commit")
    ] = None
    replaces: Annotated[
        tuple[str, ...], Says("other commits that the branch may be at: nothing of anybody's is lost", 64, of="commit")
    ] = ()


class PullRequest(Struct, frozen=True):
    """Open a pull request (a merge request at GitLab), or bring the open one of the same branches up to date."""

    kind: ClassVar[EffectKind] = EffectKind.PULL_REQUEST
    repository: Annotated[str, Says("owner/name at the forge", 300, of="repository")]
    head: Annotated[str, Says("the branch with the change", 200, of="branch")]
    base: Annotated[str, Says("the branch that it is to go into", 200, of="branch")]
    title: Annotated[str, Says("one line", 250)]
    body: Annotated[str, Says("what was changed and why, in Markdown", BODY)] = ""
    draft: Annotated[bool, Says("whether it is a draft")] = False
    commit: Annotated[
        str | None, Says("the commit to push to the head branch before; leave out if it is there", 64, of="commit")
    ] = None
    expected: Annotated[
        str | None, Says("the commit that the head branch is at now; leave out for a new branch", 64, of="commit")
    ] = None
    replaces: Annotated[
        tuple[str, ...],
        Says("other commits that the head branch may be at: nothing of anybody's is lost", 64, of="commit"),
    ] = ()


class Comment(Struct, frozen=True):
    """Comment on an issue or pull request."""

    kind: ClassVar[EffectKind] = EffectKind.COMMENT
    repository: Annotated[str, Says("owner/name at the forge", 300, of="repository")]
    number: Annotated[int, Says("number of the issue or pull request")]
    body: Annotated[str, Says("the comment, in Markdown", BODY)]
    on_pull_request: Annotated[bool, Says("whether the number is a pull request's (GitLab counts the two apart)")] = (
        False
    )


class LineComment(Struct, frozen=True):
    """A comment on one line of the changed file."""

    path: Annotated[str, Says("path of the file", 1000)]
    line: Annotated[int, Says("line number in the new file")]
    body: Annotated[str, Says("the comment, in Markdown", BODY)]


class Review(Struct, frozen=True):
    """Review a pull request."""

    kind: ClassVar[EffectKind] = EffectKind.REVIEW
    repository: Annotated[str, Says("owner/name at the forge", 300, of="repository")]
    number: Annotated[int, Says("number of the pull request")]
    commit: Annotated[str, Says("the head that was reviewed, as a full id", 64, of="commit")]
    body: Annotated[str, Says("the verdict in words, in Markdown", BODY)]
    verdict: Annotated[str, Says("comment, approve or request_changes", 20, of="verdict")] = "comment"
    comments: Annotated[tuple[LineComment, ...], Says("comments on lines")] = ()


class Label(Struct, frozen=True):
    """Add and remove labels of an issue or pull request."""

    kind: ClassVar[EffectKind] = EffectKind.LABEL
    repository: Annotated[str, Says("owner/name at the forge", 300, of="repository")]
    number: Annotated[int, Says("number of the issue or pull request")]
    add: Annotated[tuple[str, ...], Says("labels to add", 50)] = ()
    remove: Annotated[tuple[str, ...], Says("labels to remove", 50)] = ()
    on_pull_request: Annotated[bool, Says("whether the number is a pull request's (GitLab counts the two apart)")] = (
        False
    )


class Status(Struct, frozen=True):
    """Set the status of a commit."""

    kind: ClassVar[EffectKind] = EffectKind.STATUS
    repository: Annotated[str, Says("owner/name at the forge", 300, of="repository")]
    commit: Annotated[str, Says("the commit, as a full id", 64, of="commit")]
    context: Annotated[str, Says("name of the status, such as handrail/review", 100)]
    state: Annotated[str, Says("pending, success, failure or error", 10, of="state")]
    description: Annotated[str, Says("one short line", 140)] = ""
    url: Annotated[str | None, Says("where a person can see more", 2000)] = None


class Merge(Struct, frozen=True):
    """Merge a pull request at the head that was looked at."""

    kind: ClassVar[EffectKind] = EffectKind.MERGE
    repository: Annotated[str, Says("owner/name at the forge", 300, of="repository")]
    number: Annotated[int, Says("number of the pull request")]
    head: Annotated[str, Says("the head to merge, as a full id; another one is refused", 64, of="commit")]
    method: Annotated[str, Says("merge, squash or rebase", 10, of="method")] = "merge"


class Issue(Struct, frozen=True):
    """Open an issue."""

    kind: ClassVar[EffectKind] = EffectKind.ISSUE
    repository: Annotated[str, Says("owner/name at the forge", 300, of="repository")]
    title: Annotated[str, Says("one line", 250)]
    body: Annotated[str, Says("what is to be done, in Markdown", BODY)] = ""
    labels: Annotated[tuple[str, ...], Says("labels", 50)] = ()


class Message(Struct, frozen=True):
    """Tell people over a channel of notify.toml."""

    kind: ClassVar[EffectKind] = EffectKind.MESSAGE
    channel: Annotated[str, Says("name of the channel", 100)]
    title: Annotated[str, Says("one line", 250)]
    text: Annotated[str, Says("the message", 10_000)]


class Webhook(Struct, frozen=True):
    """Call a webhook that notify.toml names."""

    kind: ClassVar[EffectKind] = EffectKind.WEBHOOK
    channel: Annotated[str, Says("name of the channel of kind webhook", 100)]
    title: Annotated[str, Says("one line", 250)]
    text: Annotated[str, Says("what is sent", 10_000)]


class Report(Struct, frozen=True):
    """Publish a report: a page that Handrail keeps and shows."""

    kind: ClassVar[EffectKind] = EffectKind.REPORT
    title: Annotated[str, Says("one line", 250)]
    body: Annotated[str, Says("the report, in Markdown", 200_000)]


Effect = Push | PullRequest | Comment | Review | Label | Status | Merge | Issue | Message | Webhook | Report
KINDS: Mapping[EffectKind, type[Effect]] = {item.kind: item for item in typing.get_args(Effect)}
AT_FORGE = frozenset(kind for kind, item in KINDS.items() if "repository" in item.__struct_fields__)
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
    return typing.cast("Json", json.loads(json.dumps(to_builtins(effect))))


def digest(effect: Effect) -> str:
    """SHA-256 of kind and content: two effects that say the same have the same."""
    said = json.dumps([effect.kind, to_builtins(effect)], sort_keys=True, ensure_ascii=False)
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


class _Part(NamedTuple):
    """A field as it is read: its type, what is said of it, whether it must be given."""

    hint: Any
    told: Says
    required: bool


def _parts(item: type[Struct]) -> Mapping[str, _Part]:
    hints, names = typing.get_type_hints(item, include_extras=True), item.__struct_fields__
    needed = len(names) - len(item.__struct_defaults__)  # those without a default stand first
    return {
        name: _Part(hints[name].__origin__, hints[name].__metadata__[0], number < needed)
        for number, name in enumerate(names)
    }


def _read(item: type[Any], given: Mapping[str, object], where: str) -> Any:
    known, values = _parts(item), {}
    for name in given:
        if name not in known:
            raise InvalidInput(f"{where}{name}", given[name], f"known fields are {', '.join(known)}")
    for name, part in known.items():
        if name in given and (given[name] is not None or type(None) not in typing.get_args(part.hint)):
            values[name] = _value(part.hint, given[name], f"{where}{name}", part)
        elif part.required:
            raise InvalidInput(f"{where}{name}", None, "give this field")
    return item(**values)


def _value(hint: Any, given: object, where: str, part: _Part) -> object:
    if isinstance(hint, types.UnionType):
        hint = next(option for option in typing.get_args(hint) if option is not type(None))
    if typing.get_origin(hint) is tuple:
        if not isinstance(given, list | tuple) or len(given) > LIST:
            raise InvalidInput(where, given, f"give a list of at most {LIST}")
        inner = typing.get_args(hint)[0]
        return tuple(_value(inner, one, f"{where}[{number}]", part) for number, one in enumerate(given))
    if hint is bool:
        if not isinstance(given, bool):
            raise InvalidInput(where, given, "give true or false")
        return given
    if hint is int:
        if not isinstance(given, int) or isinstance(given, bool) or not 0 < given < 1 << 53:
            raise InvalidInput(where, given, "give a number from 1")
        return given
    if hint is str:
        return _text(given, where, part)
    if not isinstance(given, dict):
        raise InvalidInput(where, given, "give an object")
    return _read(hint, given, f"{where}.")


def _text(given: object, where: str, part: _Part) -> str:
    limit, form = part.told.limit, part.told.of
    name = where.rpartition(".")[2].partition("[")[0]
    if not isinstance(given, str):
        raise InvalidInput(where, given, "give text")
    if len(given) > limit:
        raise InvalidInput(where, given, f"give at most {limit} characters")
    many_lines = name in {"body", "text"}
    if any(not (char.isprintable() or (many_lines and char in "\n\r\t")) and ord(char) < 160 for char in given):
        raise InvalidInput(where, given, "leave control characters out" if many_lines else "give one line")
    if not given.strip() and part.required:
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
    parts = {name: part for name, part in _parts(item).items() if name not in leave_out}
    return {
        "type": "object",
        "properties": {name: _described(part.hint, part.told) for name, part in parts.items()},
        "required": [name for name, part in parts.items() if part.required],
        "additionalProperties": False,
    }


def _described(hint: Any, told: Says) -> Json:
    if isinstance(hint, types.UnionType):
        hint = next(option for option in typing.get_args(hint) if option is not type(None))
    means: Json = {"description": told.means}
    if typing.get_origin(hint) is tuple:
        inner = typing.get_args(hint)[0]
        item: Json = {"type": "string"} if inner is str else _object(inner, frozenset())
        return {"type": "array", "items": item, **means}
    if hint is str and told.of in _FORMS:
        means["enum"] = list(_FORMS[told.of])
    return {"type": {str: "string", int: "integer", bool: "boolean"}[hint], **means}
