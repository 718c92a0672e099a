"""What "always" means: from one answered request, the rules that would answer it from now on, shown before written."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from handrail.lazy import Later
from handrail.policy import Action, Request, Verdict
from handrail.policy.commands import command_rule
from handrail.policy.decide import decide_all
from handrail.policy.document import Document, PolicyLimits, Section, read
from handrail.policy.layers import SESSION, Policy, layer
from handrail.policy.places import host, place
from handrail.policy.wrappers import Form, forms, forms_of_argv, inert

if TYPE_CHECKING:
    import yaml
else:
    yaml = Later("yaml")

# what only looks, checks or formats, whatever its arguments are
_WIDE = frozenset({"pytest", "ruff", "mypy", "pyright", "black", "isort", "flake8", "tox", "nox", "eslint", "prettier",
                   "tsc", "jest", "vitest", "mocha", "phpunit", "rspec", "rubocop", "shellcheck", "ls", "cat", "head",
                   "tail", "wc", "grep", "diff", "stat", "file", "cut", "du", "df", "ps",
                   "which"})  # fmt: skip
_WIDE_TWO = frozenset({"git status", "git diff", "git log", "git show", "git blame", "git ls-files", "git add",
                       "git commit", "cargo test", "cargo build", "cargo check", "cargo clippy", "cargo fmt", "go test",
                       "go build", "go vet", "npm test", "pnpm test", "yarn test", "pip list", "pip show",
                       "make test"})  # fmt: skip
_INLINE = frozenset({"-c", "-e", "-p", "--eval", "-r"})

_VOLATILE = re.compile(
    r"(?:/private)?/(?:tmp|var/tmp|var/folders)/[^\s:=,]+"
    r"|[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"
    r"|\b(?=[0-9a-f]*\d)(?=\d*[a-f])[0-9a-f]{7,64}\b"
    r"|\btmp[0-9A-Za-z_]{6,}\b"
    r"|(?<![\w.])\d+(?![\w.])"
    r"|\d{4,}"
)
_TEMPORARY = re.compile(r"((?:/private)?/(?:tmp|var/tmp|var/folders)/)")
_PLAIN = re.compile(r"[\w@%+=:,./*?\[\]!-]+", re.ASCII)


class Learnt(Struct, frozen=True):
    """One rule that would be written: it goes into the list `allow` of its section."""

    section: str
    rule: str


class Proposal(Struct, frozen=True):
    """What "always" would write, and what it would have answered before."""

    rules: tuple[Learnt, ...]
    matched: int
    """earlier requests of the session that it would have allowed"""
    of: int
    """earlier requests of the session"""
    stands: bool = False
    """they can be written for the repository, beyond the session"""


def propose(policy: Policy, requests: Sequence[Request], earlier: Sequence[Sequence[Request]] = ()) -> Proposal | None:
    """The rules that would answer `requests` with allow from now on.

    Args:
        policy: what holds for the session now.
        requests: what was asked.
        earlier: what was asked before in this session, each as its requests.

    Returns:
        None where no narrow rule can be given, or where it would not help since a higher layer says no.
    """
    found: list[Learnt] = []
    for request in requests:
        rules = _rules(request)
        if rules is None:
            return None
        found += rules
    learnt = tuple(dict.fromkeys(found))
    if not learnt or decide_all(_with(policy, learnt), requests).verdict is not Verdict.ALLOW:
        return None
    alone = _with(replace(policy, layers=()), learnt)
    matched = sum(1 for one in earlier if one and decide_all(alone, one).verdict is Verdict.ALLOW)
    return Proposal(learnt, matched, len(earlier))


def helps(policy: Policy, requests: Sequence[Request], learnt: Sequence[Learnt], name: str) -> bool:
    """Whether rules in the layer of this name would answer `requests` with allow, whatever the other layers say."""
    return decide_all(_with(policy, learnt, name), requests).verdict is Verdict.ALLOW


def add(text: str | None, rules: Sequence[Learnt]) -> str:
    """The text of a session's policy with `rules` in it; comments are not kept.

    Raises:
        InvalidInput: `text` is no policy.
    """
    return render(_added(read(text or "", "session policy"), rules))


def render(document: Document) -> str:
    """A policy as YAML that reads back as the same."""
    out: dict[str, object] = {}
    for name in ("shell", "files", "network", "effects"):
        section: Section = getattr(document, name)
        lists = {key: list(getattr(section, key)) for key in ("allow", "ask", "deny") if getattr(section, key)}
        rest = {} if section.rest is None else {"rest": str(section.rest)}
        if lists or rest:
            out[name] = lists | rest
    if limits := _limits(document.limits):
        out["limits"] = limits
    if document.secrets is not None:
        out["secrets"] = list(document.secrets)
    if document.rest is not None:
        out["rest"] = str(document.rest)
    return yaml.safe_dump(out, sort_keys=False, allow_unicode=True, width=1000) if out else ""


def _limits(limits: PolicyLimits) -> dict[str, str | int]:
    out: dict[str, str | int] = {}
    for name in ("turns", "processes", "memory", "tmp", "disk"):
        if (value := getattr(limits, name)) is not None:
            out[name] = value
    if limits.budget is not None:
        out["budget"] = f"{limits.budget // 1_000_000_000}.{limits.budget % 1_000_000_000:09d}"
    if limits.seconds is not None:
        out["seconds"] = int(limits.seconds)
    if limits.cpus is not None:
        out["cpus"] = f"{limits.cpus:.6f}"
    return out


def _added(document: Document, rules: Sequence[Learnt]) -> Document:
    for rule in rules:
        section: Section = getattr(document, rule.section)
        if rule.rule not in section.allow:
            document = replace(document, **{rule.section: replace(section, allow=(*section.allow, rule.rule))})
    return document


def _with(policy: Policy, rules: Sequence[Learnt], name: str = SESSION) -> Policy:
    own = next((item.document for item in policy.layers if item.name == name), Document())
    others = tuple(item for item in policy.layers if item.name != name)
    return replace(policy, layers=(*others, layer(name, _added(own, rules))))


def _rules(request: Request) -> list[Learnt] | None:
    match request.action:
        case Action.SHELL:
            return _commands(request)
        case Action.READ | Action.WRITE:
            rule = _path(request)
            return None if rule is None else [Learnt("files", rule)]
        case Action.NETWORK:
            wanted = host(request.target)
            return None if wanted is None else [Learnt("network", str(wanted))]
        case Action.EFFECT:
            return [Learnt("effects", request.target)]
        case Action.OTHER:
            return None


def _commands(request: Request) -> list[Learnt] | None:
    found = forms(request.target) if request.argv is None else forms_of_argv(request.argv)
    if found.doubts:
        return None
    acting = [form for form in found.forms if form.acts]
    wanted = [form for form in acting if not inert(form)] or acting
    rules: list[Learnt] = []
    for form in wanted:
        rule = _command(form)
        if rule is None:
            return None
        rules.append(Learnt("shell", rule))
    return rules


def _command(form: Form) -> str | None:
    """The rule for one command: the command word stays, and what changes from call to call becomes `*`."""
    texts = [word.text for word in form.words]
    if texts[0] in _WIDE:
        return f"{texts[0]} *"
    if " ".join(texts[:2]) in _WIDE_TWO:
        return f"{texts[0]} {texts[1]} *"
    if any(not word.sure for word in form.words) or any("\n" in text for text in texts):
        return None
    if any(text in _INLINE for text in texts[1:]) and not texts[0].startswith("git"):
        return None  # code in an argument is not asked for twice
    words = [_quoted(_escaped(texts[0]))]
    for at, text in enumerate(texts[1:], 1):
        word = _general(text) if at > 1 or not text.isidentifier() else _escaped(text)
        # a lone `*` at the end would mean any more arguments
        words.append(_quoted("?*" if word == "*" else word))
    rule = " ".join(words)
    try:
        return rule if command_rule(rule, allows=True).allows(form) else None
    except ValueError:
        return None


def _general(text: str) -> str:
    out: list[str] = []
    at = 0
    for found in _VOLATILE.finditer(text):
        out.append(_escaped(text[at : found.start()]))
        temporary = _TEMPORARY.match(found[0])
        out.append(f"{temporary[1]}*" if temporary else "*")
        at = found.end()
    out.append(_escaped(text[at:]))
    return "".join(out)


def _escaped(text: str) -> str:
    return re.sub(r"[*?\[]", lambda found: f"[{found[0]}]", text)


def _quoted(word: str) -> str:
    return word if _PLAIN.fullmatch(word) else "'" + word.replace("'", "'\"'\"'") + "'"


def _path(request: Request) -> str | None:
    where = place(request.target, request.workspace, request.folder)
    if where.inside is None or not where.sure or any(mark in where.inside for mark in "*?"):
        return None
    read = "read " if request.action is Action.READ else ""
    top, slash, _ = where.inside.partition("/")
    # what configures tools stands in hidden directories and at the top: one file at a time
    return f"{read}{top}/**" if slash and not top.startswith(".") else f"{read}{where.inside}"
