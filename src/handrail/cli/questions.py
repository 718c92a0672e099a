"""The verbs for what waits for a person: inbox, approve and deny questions and effects, seen for what ended badly."""

from __future__ import annotations

from typing import Annotated
from urllib.parse import quote

import typer

from handrail.cli import calls, options
from handrail.cli.answering import Reply, chosen
from handrail.cli.clean import one_line
from handrail.cli.client import Client, Obj, Refused
from handrail.cli.effects import decided, summary, whole
from handrail.cli.layout import Line, Span, line, printed
from handrail.cli.render import question
from handrail.errors import InvalidInput

Question = Annotated[
    str, typer.Argument(metavar="ID", help="Id of the question (a-…) or effect (f-…), or a unique beginning of it.")
]
FORBIDDEN = 403
_EFFECT = "f-"
"""begins the id of an effect"""


def inbox(
    full: Annotated[bool, typer.Option("--full", help="Show all input and whole diffs.")] = False,
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """List what waits for a person: questions of agents, acts on the outside world, and what ended badly."""
    asked, proposed, ended = options.run(_open(options.client(data)))
    if as_json:
        options.put_json({"approvals": asked, "effects": proposed, "ended": ended})
    elif not asked and not proposed and not any(ended.values()):
        options.put("nothing waits for you")
    else:
        printed(row for item in asked for row in _item(item, full=full))
        printed(row for item in proposed for row in _effect(item, full=full))
        printed(row for kind in ("runs", "sessions") for item in ended[kind] for row in _ended(item))
    return 0


def seen(
    words: Annotated[
        list[str], typer.Argument(metavar="ID…", help="Ids of sessions (s-…) and runs (r-…, or a run's number).")
    ],
    data: options.Data = None,
) -> int:
    """Say that you know how a session or run ended: it leaves the inbox, and stays what it is."""
    for word in words:
        room = "runs" if word.startswith("r-") or word.isdigit() else "sessions"
        told = calls.post(data, f"/{room}/{quote(word)}/seen", {})
        options.put(f"{told['id']} {_outcome(told)}: off the inbox")
    return 0


def _outcome(item: Obj) -> str:
    return str(item.get("outcome") or item.get("state")).replace("_", " ")


def _ended(item: Obj) -> list[Line]:
    """What ended badly, or stopped: which, how and why."""
    of_run = "workflow" in item
    what = f"{item['workflow']} #{item['number']}" if of_run else one_line(str(item.get("title") or ""), 120)
    at = str(item.get("ended" if of_run else "updated") or item.get("created") or "")[:16].replace("T", " ")
    rows = [line(Span(f"{item['id']}", "bold"), Span(f"  {_outcome(item)} ", "yellow"), Span(f"{what}  {at}", "dim"))]
    why = one_line(str(item.get("reason") or ""), 200)
    return [*rows, line(Span(f"  {why}", "dim"))] if why else rows


def _item(item: Obj, *, full: bool) -> list[Line]:
    asked = str(item.get("asked") or "")[:16].replace("T", " ")
    rows = [
        line(
            Span(f"{item.get('id')}", "bold"), Span(f"  session {str(item.get('session'))[:12]}, asked {asked}", "dim")
        )
    ]
    rows += question(item, full=full)
    names = [f"{number} {option.get('name')}" for number, option in enumerate(item.get("options") or [], 1)]
    return [*rows, line(Span(f"  options: {', '.join(names)}", "dim"))] if names else rows


def _effect(item: Obj, *, full: bool) -> list[Line]:
    """An effect that waits: what it is, and what it says."""
    asked = str(item.get("created") or "")[:16].replace("T", " ")
    by = f"run {str(item['run'])[:12]}" if item.get("run") else f"session {str(item.get('session'))[:12]}"
    head = line(Span(f"{item.get('id')}", "bold"), Span(f"  {by}, proposed {asked}", "dim"))
    if full:
        return [head, *whole(item)]
    kind = str(item.get("kind")).replace("_", " ")
    title = one_line(summary(item), 200)
    why = one_line(str(item.get("reason") or ""), 200)
    rows = [head, line(Span(f"  {kind} ", "yellow"), f"in {one_line(str(item.get('target')), 200)}: {title}")]
    return [*rows, line(Span(f"  {why}", "dim"))] if why else rows


def approve(
    *,
    approval: Question,
    option: Annotated[
        str | None, typer.Option("--option", help="One of the agent's own options, by number, id or name.")
    ] = None,
    for_session: Annotated[
        bool, typer.Option("--for-session", help="Allow what is like it in this session as well; prints the rule.")
    ] = False,
    always: Annotated[
        bool, typer.Option("--always", help="And in every later session of its repository (see `handrail rules`).")
    ] = False,
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """Allow what a session asks for, or let an effect be carried out. Exit status 1 when that failed."""
    if approval.startswith(_EFFECT):
        _bare({"--option": option, "--for-session": for_session, "--always": always})
        return decided(approval, {"decision": "approve"}, data, as_json=as_json)
    lasts = "always" if always else "session" if for_session else "once"
    asked = _answer(options.client(data), approval, "allow", option, None, as_json=as_json, lasts=lasts)
    return options.run(asked)


def deny(
    approval: Question,
    option: Annotated[
        str | None, typer.Option("--option", help="One of the agent's own options, by number, id or name.")
    ] = None,
    because: Annotated[
        str | None, typer.Option("--because", metavar="WHY", help="Reason, which the agent is told.")
    ] = None,
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """Refuse what a session asks for, or an effect."""
    if approval.startswith(_EFFECT):
        _bare({"--option": option})
        return decided(approval, {"decision": "reject", "because": because}, data, as_json=as_json)
    return options.run(_answer(options.client(data), approval, "deny", option, because, as_json=as_json))


def _bare(given: dict[str, str | bool | None]) -> None:
    """Refuse the options that only a question of an agent has."""
    for name, value in given.items():
        if value:
            raise InvalidInput(name, "true" if value is True else str(value), "an effect has none: leave it out")


async def _open(client: Client) -> tuple[list[Obj], list[Obj], Obj]:
    async with client:
        asked: list[Obj] = (await client.get("/approvals", open="true")).get("approvals") or []
        try:
            proposed: list[Obj] = (await client.get("/effects")).get("effects") or []
        except Refused as error:
            if error.http_status != FORBIDDEN:
                raise
            proposed = []  # whoever may not see effects has none to decide
        return asked, proposed, await client.get("/unseen")


async def _answer(
    client: Client,
    approval: str,
    decision: str,
    option: str | None,
    because: str | None,
    *,
    as_json: bool,
    lasts: str = "once",
) -> int:
    async with client:
        told: list[Obj] = (await client.get("/approvals", open="true")).get("approvals") or []
        found = [item for item in told if str(item.get("id")).startswith(approval)]
        if len(found) > 1:
            raise InvalidInput("ID", approval, f"{len(found)} questions begin so; give more of it")
        # one that is no longer open is asked for all the same: the server knows who answered it
        item = found[0] if found else {"id": approval}
        reply = chosen(item, decision, option)
        if reply.decision != decision:
            raise InvalidInput("--option", option, f"that option means {reply.decision}")
        rules = (await client.get(f"/approvals/{item['id']}")).get("always") if lasts != "once" else None
        body = Reply(decision, reply.option, because, lasts).body()
        answered = await client.post(f"/approvals/{item['id']}", body)
    if as_json:
        options.put_json(answered)
    else:
        options.put("allowed" if decision == "allow" else "denied")
        if rules:
            where = "in this repository" if lasts == "always" else "in this session"
            options.put(f"from now on {where}: {one_line('; '.join(rules.get('rules') or []), 400)}")
            if rules.get("of"):
                options.put(f"it would have allowed {rules['would_have_matched']} of {rules['of']} asked before")
    return 0
