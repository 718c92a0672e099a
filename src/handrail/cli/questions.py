"""The verbs that answer what waits for a person: inbox, approve, deny."""

from __future__ import annotations

from typing import Annotated

import typer

from handrail.cli import options
from handrail.cli.answering import Reply, chosen
from handrail.cli.clean import one_line
from handrail.cli.client import Client, Obj
from handrail.cli.layout import Line, Span, line, printed
from handrail.cli.render import question
from handrail.errors import InvalidInput

Question = Annotated[str, typer.Argument(metavar="ID", help="Id of the question, or a unique beginning of it.")]


def inbox(
    full: Annotated[bool, typer.Option("--full", help="Show all input and whole diffs.")] = False,
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """List the questions that wait for a person."""
    found = options.run(_open(options.client(data)))
    if as_json:
        options.put_json({"approvals": found})
    elif not found:
        options.put("nothing waits for you")
    else:
        printed(row for item in found for row in _item(item, full=full))
    return 0


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
    """Allow what a session asks for."""
    lasts = "always" if always else "session" if for_session else "once"
    asked = _answer(options.client(data), approval, "allow", option, None, as_json=as_json, lasts=lasts)
    return options.run(asked)


def deny(
    approval: Question,
    option: Annotated[
        str | None, typer.Option("--option", help="One of the agent's own options, by number, id or name.")
    ] = None,
    because: Annotated[str | None, typer.Option("--because", metavar="WHY", help="Reason the agent is told.")] = None,
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """Refuse what a session asks for."""
    return options.run(_answer(options.client(data), approval, "deny", option, because, as_json=as_json))


async def _open(client: Client) -> list[Obj]:
    async with client:
        told: list[Obj] = (await client.get("/approvals", open="true")).get("approvals") or []
        return told


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
            options.put(f"it would have allowed {rules.get('would_have_matched')} of {rules.get('of')} asked before")
    return 0
