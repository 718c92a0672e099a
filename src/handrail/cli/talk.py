"""The verbs that follow a session live: chat, do, attach."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated, Any

import typer

from handrail.cli import acts, options
from handrail.cli.client import LONG, Client, Obj
from handrail.cli.layout import Line, Span, colourful, columns, line, paint
from handrail.cli.live import EXIT_OF_OUTCOME, FAILED_OUTCOME, Conversation, Until
from handrail.cli.render import Transcript, walls
from handrail.cli.screen import Pipe, Screen, Terminal, glyphs
from handrail.errors import InvalidInput
from handrail.kinds import Kind

HISTORY = 200  # events shown again when one comes back to a session


def chat(
    *,
    prompt: Annotated[str | None, typer.Argument(metavar="[PROMPT]", help="First prompt.", show_default=False)] = None,
    agent: options.AgentName = None,
    model: options.Model = None,
    provider: options.Provider = None,
    sandbox: options.Sandbox = None,
    permissions: options.Permit = None,
    policy: options.Policy = None,
    include_uncommitted: options.Uncommitted = False,
    tools: options.Tools = None,
    network: options.Network = None,
    login: options.Login = False,
    secret: options.Secrets = None,
    turn_budget: options.TurnBudget = None,
    ref: options.Ref = None,
    untrusted: options.Untrusted = False,
    repo: options.Repo = None,
    session: Annotated[str | None, typer.Option("--session", metavar="ID", help="Go on with this session.")] = None,
    thoughts: Annotated[bool, typer.Option("--thoughts", help="Show the agent's thoughts too.")] = False,
    data: options.Data = None,
) -> int:
    """Talk with an agent in the current repository."""
    if prompt is not None:
        options.fits(prompt, "PROMPT", options.where(data))
    told = None
    if session is None:
        told = _wanted(agent, model, provider, sandbox, permissions) | {
            "repository": options.repository(repo),
            "ref": ref,
            "include_uncommitted": include_uncommitted or None,
            "policy": options.policy(policy),
            "tools": options.tools(tools),
            "network": network,
            "login": login or None,
            "secrets": secret,
            "turn_budget_usd": options.usd(turn_budget, "--turn-budget"),
            "untrusted": untrusted or None,
        }
    return options.run(_chat(options.client(data), told, session, prompt, thoughts=thoughts))


async def _chat(client: Client, wanted: Obj | None, session: str | None, prompt: str | None, *, thoughts: bool) -> int:
    screen = _screen(options.where(client.data))
    async with client:
        if wanted is None:
            told = await client.get(f"/sessions/{session}")
        else:
            told = await client.post("/sessions", wanted, timeout=LONG)
        return await _follow(client, told, screen, Until.LEFT, first=prompt, thoughts=thoughts)


def attach(
    session: options.Session = "last",
    thoughts: Annotated[bool, typer.Option("--thoughts", help="Show the agent's thoughts too.")] = False,
    data: options.Data = None,
) -> int:
    """Follow a session live, answer its questions and prompt it."""
    return options.run(_attach(options.client(data), session, thoughts=thoughts))


async def _attach(client: Client, session: str, *, thoughts: bool) -> int:
    screen = _screen(client.data, reads=False)
    until = Until.LEFT if screen.live else Until.ENDED
    async with client:
        told = await client.get(f"/sessions/{session}")
        return await _follow(client, told, screen, until, first=None, thoughts=thoughts)


def do(
    *,
    text: Annotated[str, typer.Argument(metavar="GOAL", help="What to reach, in words.")],
    check: options.Checks = None,
    budget: options.Budget = None,
    turns: options.Turns = None,
    time: options.Limit = None,
    agent: options.AgentName = None,
    model: options.Model = None,
    provider: options.Provider = None,
    sandbox: options.Sandbox = None,
    permissions: options.Permit = None,
    policy: options.Policy = None,
    include_uncommitted: options.Uncommitted = False,
    tools: options.Tools = None,
    network: options.Network = None,
    login: options.Login = False,
    secret: options.Secrets = None,
    turn_budget: options.TurnBudget = None,
    ref: options.Ref = None,
    untrusted: options.Untrusted = False,
    repo: options.Repo = None,
    detach: Annotated[bool, typer.Option("--detach", help="Start it, print the session and leave.")] = False,
    as_json: options.AsJson = False,
    data: options.Data = None,
) -> int:
    """Hand a goal to an agent and follow until the checks pass or a limit is met."""
    options.fits(text, "GOAL", options.where(data))
    wanted = _wanted(agent, model, provider, sandbox, permissions)
    if permissions is None:
        # nobody watches: the walls decide, and without walls a person does
        wanted["permissions"] = "ask" if sandbox == "none" else "allow"
    wanted |= {
        "repository": options.repository(repo),
        "ref": ref,
        "include_uncommitted": include_uncommitted or None,
        "policy": options.policy(policy),
        "tools": options.tools(tools),
        "network": network,
        "login": login or None,
        "secrets": secret,
        "turn_budget_usd": options.usd(turn_budget, "--turn-budget"),
        "untrusted": untrusted or None,
        "goal": options.goal(text, check, budget=budget, turns=turns, time=time),
    }
    return options.run(_do(options.client(data), wanted, detach=detach, as_json=as_json))


async def _do(client: Client, wanted: Obj, *, detach: bool, as_json: bool) -> int:
    async with client:
        session = await client.post("/sessions", wanted, timeout=LONG)
        if detach:
            if as_json:
                options.put_json(session)
            else:
                _print(
                    [line(acts.short(session)), line(Span(f"follow it: handrail attach {acts.short(session)}", "dim"))]
                )
            return 0
        if as_json:
            return await _awaited(client, session)
        screen = _screen(client.data, reads=False)
        code = await _follow(client, session, screen, Until.OUTCOME, first=None)
        if code in {0, 3, FAILED_OUTCOME}:
            screen.show(await _summary(client, str(session["id"])))
        return code


async def _awaited(client: Client, session: Obj) -> int:
    """Wait for the outcome, questions being named on stderr, then print session, checks and change as one document."""
    reached: Obj = {}
    async for event in client.events(str(session["id"]), 0):
        if event.get("kind") == Kind.APPROVAL_ASKED:
            asked = (event.get("data") or {}).get("approval")
            sys.stderr.write(f"handrail: the agent waits for an answer: handrail approve {asked}\n")
        if event.get("kind") == Kind.OUTCOME_REACHED:
            reached = event.get("data") or {}
        if event.get("kind") in {Kind.OUTCOME_REACHED, Kind.SESSION_ENDED}:
            break
    told = await client.get(f"/sessions/{session['id']}")
    change = await acts.diff(client, str(session["id"]))
    options.put_json({"session": told, "outcome": reached, "files": change.get("files")})
    return EXIT_OF_OUTCOME.get(str(reached.get("outcome")), FAILED_OUTCOME)


async def _summary(client: Client, session: str) -> list[Line]:
    """What came of it: files, cost, and how to see and take the change."""
    told = await client.get(f"/sessions/{session}")
    change = await acts.diff(client, session)
    name = acts.short(told)
    rows = [line(Span("change", "bold")), *acts.stat_lines(change)]
    paid = acts.bill(told)
    rows.append(line(paid if paid.startswith("cost") else f"cost: {paid}"))
    if change.get("files"):
        rows.append(line(Span(f"see it: handrail diff {name}   take it: handrail apply {name}", "dim")))
    return rows


async def _follow(
    client: Client, session: Obj, screen: Screen, until: Until, *, first: str | None, thoughts: bool = False
) -> int:
    """Show the recent events of a session, then follow it."""
    transcript = Transcript(glyphs=glyphs(sys.stdout), thoughts=thoughts, columns=columns())
    talk = Conversation(client, session, screen, transcript, until)
    begin = max(0, int(session.get("last_seq") or 0) - HISTORY)
    page = await client.get(f"/sessions/{session['id']}/events", after=begin, limit=HISTORY * 2)
    events: list[Obj] = page.get("events") or []
    if not any(event.get("kind") == Kind.SESSION_CREATED for event in events):
        screen.show(
            [line(Span(f"session {acts.short(session)}: {session.get('title') or ''}", "bold")), *walls(session)]
        )
    for event in events:
        talk.take_in(event, replayed=True)
    # an outcome that came before we looked ends `do` as well
    if until is Until.OUTCOME and (outcome := session.get("outcome")):
        return EXIT_OF_OUTCOME.get(str(outcome), FAILED_OUTCOME)
    if until is Until.ENDED and any(event.get("kind") == Kind.SESSION_ENDED for event in events):
        return 0  # nothing more will come
    return await talk.run(first=first)


def _wanted(
    agent: str | None, model: str | None, provider: str | None, sandbox: str | None, permissions: str | None
) -> dict[str, Any]:
    return {
        "agent": agent,
        "model": model,
        "provider": provider,
        "sandbox": options.allowed(sandbox, "--sandbox", "bubblewrap", "none", "seatbelt"),
        "permissions": options.allowed(permissions, "--permissions", "ask", "allow", "deny"),
    }


def _screen(data: Path, *, reads: bool = True) -> Screen:
    """The terminal with its input line, or a plain pipe where stdin or stdout is none."""
    if sys.stdin is None or sys.stdout is None:
        raise InvalidInput("stdin and stdout", "closed", "run it with both open")
    if sys.stdin.isatty() and sys.stdout.isatty():
        return Terminal(data / "history")
    return Pipe(sys.stdout, reads=reads and not sys.stdin.isatty())


def _print(rows: list[Line]) -> None:
    colour = colourful(sys.stdout)
    for row in rows:
        options.put(paint(row, colour=colour))
