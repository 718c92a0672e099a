"""A policy that allows what was seen, and nothing wider: words, paths and hosts as they stood. Pure.

`learn` means to spare a person the next question, and so generalises; this is for work that nobody watches.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from msgspec import Struct
from msgspec.structs import replace

from handrail.policy import Action, Request, Verdict
from handrail.policy.commands import command_rule
from handrail.policy.decide import decide, decide_all
from handrail.policy.document import Document, Section
from handrail.policy.layers import Policy, layer, stack
from handrail.policy.places import file_rule, host, place
from handrail.policy.script import HOLE
from handrail.policy.wrappers import Form, forms, forms_of_argv, inert
from handrail.types import Permissions

READS = "read **"
"""reading is what the walls give anyway: whatever lies inside the workspace"""
_PLAIN = re.compile(r"[\w@%+=:,./-]+", re.ASCII)


class Mined(Struct, frozen=True):
    """One rule, and how many of the requests it was seen in."""

    section: str
    rule: str
    seen: int


class Mine(Struct, frozen=True):
    """What was mined.

    Args:
        document: the policy; what it does not name asks.
        rules: its rules, in the order in which they were seen.
        unnamed: requests that no narrow rule can name: they would ask.
    """

    document: Document
    rules: tuple[Mined, ...]
    unnamed: tuple[Request, ...]


def mine(seen: Sequence[Sequence[Request]]) -> Mine:
    """The narrowest policy that allows what was seen.

    Args:
        seen: what was done and not refused, each as its requests.
    """
    counts: dict[tuple[str, str], int] = {}
    for requests in seen:
        for named in dict.fromkeys(named for request in requests for named in _rules(request)):
            counts[named] = counts.get(named, 0) + 1
    lists: dict[str, list[str]] = {"shell": [], "files": [], "network": []}
    for section, rule in counts:
        lists[section].append(rule)
    document = Document(**{name: Section(allow=tuple(rules)) for name, rules in lists.items()}, rest=Verdict.ASK)  # type: ignore[arg-type]  # sections by name
    policy = over(document)
    asks = [one for requests in seen for one in requests if decide(policy, one).verdict is not Verdict.ALLOW]
    rules = tuple(Mined(section, rule, count) for (section, rule), count in counts.items())
    return Mine(document, rules, tuple(dict.fromkeys(asks)))


def over(document: Document) -> Policy:
    """A policy as it holds for a handed-off session with nothing else above it."""
    free = stack(Permissions.ALLOW)
    return Policy((layer("workflow", document),), free.built_in)


def allows(document: Document, requests: Sequence[Request]) -> bool:
    """Whether all of this passes without a question."""
    return decide_all(over(document), requests).verdict is Verdict.ALLOW


def _rules(request: Request) -> list[tuple[str, str]]:
    match request.action:
        case Action.SHELL:
            return _commands(request)
        case Action.READ | Action.WRITE:
            return _file(request.target, request, read=request.action is Action.READ)
        case Action.NETWORK:
            wanted = host(request.target)
            return [] if wanted is None else [("network", str(wanted))]
        case _:
            return []


def _commands(request: Request) -> list[tuple[str, str]]:
    found = forms(request.target) if request.argv is None else forms_of_argv(request.argv)
    if found.doubts:
        return []
    acting = [form for form in found.forms if form.acts]
    rules: list[tuple[str, str]] = []
    for form in [form for form in acting if not inert(form)] or acting:
        rule = _command(form)
        if rule is not None:
            rules.append(("shell", rule))
    for redirect in found.redirects:
        folder = request.folder
        if redirect.folder:
            folder = (
                redirect.folder if folder is None or redirect.folder.startswith("/") else f"{folder}/{redirect.folder}"
            )
        where = replace(request, folder=folder)
        if redirect.folder is not None and not redirect.target.many and HOLE not in redirect.target.text:
            rules += _file(redirect.target.text, where, read=not redirect.write)
    return rules


def _command(form: Form) -> str | None:
    """A rule of exactly these words."""
    rule = " ".join(_quoted(_escaped(word.text)) for word in form.words)
    try:
        return rule if command_rule(rule, allows=True).allows(form) else None
    except ValueError:
        return None


def _file(target: str, request: Request, *, read: bool) -> list[tuple[str, str]]:
    where = place(target, request.workspace, request.folder)
    if read and where.inside is not None:
        return [("files", READS)]
    path = where.absolute if where.inside is None else f"./{where.inside}"
    if not where.sure or where.inside == "." or any(mark in path for mark in "*?"):
        return []
    rule = f"read {path}" if read else path
    try:
        return [("files", rule)] if file_rule(rule).allows(where) else []
    except ValueError:
        return []


def _escaped(text: str) -> str:
    return re.sub(r"[*?\[]", lambda found: f"[{found[0]}]", text)


def _quoted(word: str) -> str:
    return word if _PLAIN.fullmatch(word) else "'" + word.replace("'", "'\"'\"'") + "'"
