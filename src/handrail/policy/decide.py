"""The one function that answers what an agent may do. Pure: the same policy and request give the same answer.

A command line is taken apart first (`shellwords`, `wrappers`): each command in it, each file that the shell opens for
it and each doubt about it is judged by itself, and the strictest answer is the answer.
"""

from __future__ import annotations

from collections.abc import Iterable

from handrail.policy import Action, Decision, Request, Verdict, strictest
from handrail.policy.commands import CommandRule, Match, names_of
from handrail.policy.layers import BUILT_IN, SESSION, Layer, Policy
from handrail.policy.places import FileRule, Host, Place, host, place
from handrail.policy.script import HOLE, Redirect
from handrail.policy.wrappers import Form, forms, forms_of_argv, inert

_SINKS = frozenset({"/dev/null", "/dev/stdout", "/dev/stderr", "/dev/tty", "/dev/zero"})
_SHOWN = 120


def decide(policy: Policy, request: Request) -> Decision:
    """Answer one request.

    Args:
        policy: the layers of the session.
        request: what the agent wants to do.

    Returns:
        The verdict, with the rule and the layer that gave it.
    """
    match request.action:
        case Action.SHELL:
            return _shell(policy, request)
        case Action.READ | Action.WRITE:
            where = place(request.target, request.workspace, request.folder)
            return _file(policy, where, read=request.action is Action.READ)
        case Action.NETWORK:
            return _network(policy, request.target)
        case Action.EFFECT:
            return _layered(policy, ((layer, _effect(layer, request.target)) for layer in policy.layers), "effects",
                            f"the effect {request.target}")  # fmt: skip
        case Action.OTHER:
            return _layered(policy, ((layer, None) for layer in policy.layers), "", f"`{_short(request.target)}`")


def decide_all(policy: Policy, requests: Iterable[Request]) -> Decision:
    """Answer several requests that are made at once: the strictest answer holds for all of them."""
    return strictest([decide(policy, request) for request in requests])


def _layered(
    policy: Policy,
    answers: Iterable[tuple[Layer, Decision | None]],
    section: str,
    what: str,
    base: Decision | None = None,
) -> Decision:
    """The strictest of what the layers say; the built-in policy (`base`: its rule) where none says anything."""
    found: list[Decision] = []
    session_spoke = False
    for layer, answer in answers:
        said = answer or _rest(layer, section, what)
        if said is not None:
            found.append(said)
            session_spoke = session_spoke or layer.name == SESSION
    if not found or (policy.refuses and not session_spoke):
        found.append(base or _built_in(policy, section, what))
    return strictest(found)


def _rest(layer: Layer, section: str, what: str) -> Decision | None:
    rest = layer.rest(section)
    if rest is None:
        return None
    reason = f"no rule of the {layer.name} policy names {what}: it says {rest} to the rest"
    return Decision(rest, None, layer.name, reason)


def _built_in(policy: Policy, section: str, what: str) -> Decision:
    rest = policy.built_in.rest(section) or Verdict.ASK
    return Decision(rest, None, BUILT_IN, f"no rule names {what}: {rest} is what the session's permissions say")


def _said(verdict: Verdict, rule: str, layer: Layer, what: str, *, unsure: bool = False) -> Decision:
    how = "could name" if unsure else "names"
    reason = f"the {layer.name} policy says {verdict}: its rule `{rule}` {how} {what}"
    return Decision(verdict, rule, layer.name, reason)


# --- shell ------------------------------------------------------------------------------------------------------------


def _shell(policy: Policy, request: Request) -> Decision:
    found = forms(request.target) if request.argv is None else forms_of_argv(request.argv)
    decisions: list[Decision] = []
    acting = [form for form in found.forms if form.acts]
    alone = all(inert(form) for form in acting)
    for form in found.forms:
        answer = _form(policy, form, alone=alone)
        if answer is not None:
            decisions.append(answer)
    for redirect in found.redirects:
        answer = _redirect(policy, redirect, request)
        if answer is not None:
            decisions.append(answer)
    if found.doubts:
        decisions.append(_doubt(policy, found.doubts[0]))
    if not decisions:
        decisions.append(_layered(policy, ((layer, None) for layer in policy.layers), "shell", "an empty command"))
    return strictest(decisions)


def _form(policy: Policy, form: Form, *, alone: bool) -> Decision | None:
    """The answer for one command; None where there is nothing to say about it."""
    names = names_of(form)
    beside = not form.acts or (not alone and inert(form))
    if beside and all(layer.silent(names) for layer in policy.layers):
        return None
    what = f"`{_short(' '.join([word.text for word in form.words]))}`"
    answers = [(layer, None if layer.silent(names) else _judged(layer, form, names, what)) for layer in policy.layers]
    if beside:
        said = [answer for _, answer in answers if answer is not None]
        strict = [answer for answer in said if answer.verdict is not Verdict.ALLOW]
        return strictest(strict) if strict else None
    return _layered(policy, answers, "shell", what)


def _judged(layer: Layer, form: Form, names: tuple[str, ...] | None, what: str) -> Decision | None:
    best: tuple[CommandRule, Match] | None = None
    for rule in layer.shell[Verdict.DENY].near(names):
        match = rule.forbids(form)
        if match is Match.YES:
            return _said(Verdict.DENY, rule.text, layer, what)
        if match is Match.MAYBE and best is None:
            best = (rule, match)
    for rule in layer.shell[Verdict.ASK].near(names):
        if best is None and rule.forbids(form) is not Match.NO:
            best = (rule, Match.YES)
    if best is not None:
        return _said(Verdict.ASK, best[0].text, layer, what, unsure=best[1] is Match.MAYBE)
    if form.acts:
        for rule in layer.shell[Verdict.ALLOW].near(names):
            if rule.allows(form):
                return _said(Verdict.ALLOW, rule.text, layer, what)
    return None


def _doubt(policy: Policy, doubt: str) -> Decision:
    """The answer where it is not certain what would run: what forbids something may be meant, what allows is not."""
    what = f"what cannot be read with certainty ({doubt})"
    answers: list[tuple[Layer, Decision | None]] = []
    for layer in policy.layers:
        strict = [*layer.shell[Verdict.DENY], *layer.shell[Verdict.ASK]]
        everything = next((rule for rule in layer.shell[Verdict.DENY] if rule.anything), None)
        free = next((rule for rule in layer.shell[Verdict.ALLOW] if rule.anything), None)
        if everything is not None:
            answers.append((layer, _said(Verdict.DENY, everything.text, layer, what)))
        elif strict:
            answers.append((layer, _said(Verdict.ASK, strict[0].text, layer, what, unsure=True)))
        elif free is not None:
            answers.append((layer, _said(Verdict.ALLOW, free.text, layer, what)))
        else:
            answers.append((layer, None))
    return _layered(policy, answers, "shell", what)


def _redirect(policy: Policy, redirect: Redirect, request: Request) -> Decision | None:
    target = redirect.target
    if target.text in _SINKS and not target.many:
        return None
    folder = request.folder
    if redirect.folder:
        folder = redirect.folder if folder is None or redirect.folder.startswith("/") else f"{folder}/{redirect.folder}"
    where = place(target.text, request.workspace, folder)
    unknown = redirect.folder is None and not target.text.startswith("/")
    if unknown or target.many or HOLE in target.text:
        where = Place(where.inside, where.absolute, sure=False)
    return _file(policy, where, read=not redirect.write)


# --- files, network, effects ------------------------------------------------------------------------------------------


def _file(policy: Policy, where: Place, *, read: bool) -> Decision:
    shown = where.inside if where.inside is not None else where.absolute
    what = f"{'reading' if read else 'writing'} `{_short(shown)}`"
    answers = [(layer, _placed(layer, where, what, read=read)) for layer in policy.layers]
    base = _placed(policy.built_in, where, what, read=read)
    return _layered(policy, answers, "files", what, base)


def _placed(layer: Layer, where: Place, what: str, *, read: bool) -> Decision | None:
    def about(verdict: Verdict) -> tuple[FileRule, ...]:
        return tuple(rule for rule in layer.files[verdict] if rule.read == read)

    denies, asks = about(Verdict.DENY), about(Verdict.ASK)
    for verdict, rules in ((Verdict.DENY, denies), (Verdict.ASK, asks)):
        for rule in rules:
            if rule.forbids(where):
                return _said(verdict, rule.text, layer, what)
    if not where.sure and (denies or asks):
        return _said(Verdict.ASK, (*denies, *asks)[0].text, layer, what, unsure=True)
    for rule in about(Verdict.ALLOW):
        if rule.allows(where):
            return _said(Verdict.ALLOW, rule.text, layer, what)
    return None


def _network(policy: Policy, target: str) -> Decision:
    what = f"`{_short(target)}`"
    wanted = host(target)
    answers = [(layer, _reached(layer, wanted, what)) for layer in policy.layers]
    return _layered(policy, answers, "network", what)


def reach(policy: Policy, target: str) -> Decision:
    """Whether what runs inside the walls may reach `host:port`.

    Stricter than `decide`, which answers an agent's question: nothing can be reached that no rule names, whatever the
    permissions are; only a section `network` with `rest: ask` makes a question of the others.
    """
    what = f"`{_short(target)}`"
    wanted = host(target)
    found: list[Decision] = []
    for layer in policy.layers:
        said = _reached(layer, wanted, what)
        rest = layer.document.network.rest
        if said is None and rest not in (None, Verdict.ALLOW):
            said = _rest(layer, "network", what)
        if said is not None:
            found.append(said)
    return strictest(found) if found else Decision(Verdict.DENY, None, BUILT_IN, f"no policy allows {what} by name")


def _reached(layer: Layer, wanted: Host | None, what: str) -> Decision | None:
    rules = layer.network
    if wanted is None:
        strict = [*rules[Verdict.DENY], *rules[Verdict.ASK], *rules[Verdict.ALLOW]]
        return _said(Verdict.DENY, strict[0].text, layer, f"{what}, which is no host", unsure=True) if strict else None
    for verdict in (Verdict.DENY, Verdict.ASK, Verdict.ALLOW):
        for rule in rules[verdict]:
            if rule.names(wanted):
                return _said(verdict, rule.text, layer, what)
    if rules[Verdict.ALLOW] and layer.document.network.rest is None:
        reason = f"{what} is not among the hosts that the {layer.name} policy allows"
        return Decision(Verdict.DENY, None, layer.name, reason)
    return None


def _effect(layer: Layer, name: str) -> Decision | None:
    section = layer.document.effects
    for verdict, rules in ((Verdict.DENY, section.deny), (Verdict.ASK, section.ask), (Verdict.ALLOW, section.allow)):
        for rule in rules:
            if rule in {name, "*"}:
                return _said(verdict, rule, layer, f"the effect {name}")
    return None


def _short(text: str) -> str:
    line = " ".join((text.replace(HOLE, "…") if HOLE in text else text).split())
    return line if len(line) <= _SHOWN else line[: _SHOWN - 1] + "…"
