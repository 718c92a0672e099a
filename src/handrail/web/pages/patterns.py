"""The gallery: every part of the pages in every state, made of values that stand here."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from pathlib import Path
from typing import Any

from msgspec.structs import replace
from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from handrail.automation import EffectKind, EffectState
from handrail.commands.actor import OWNER, Permission, authorise
from handrail.commands.approvals import Always
from handrail.commands.sessions import Seen
from handrail.store.approvals import ApprovalRow
from handrail.store.effects import EffectRow
from handrail.store.prompts import PromptRow
from handrail.store.sessions import SessionRow
from handrail.store.tables import PromptState
from handrail.types import (
    ApprovalId,
    Control,
    EffectId,
    Goal,
    Json,
    Limits,
    NanoUSD,
    Outcome,
    SandboxKind,
    SessionId,
    SessionState,
    now,
)
from handrail.web.guard import Keys
from handrail.web.pages import matrix, patch, render, timeline
from handrail.web.pages.frame import ENTRIES, facts
from handrail.web.pages.matrix import Cell
from handrail.web.pages.transcript import Block, Line, Steps, Tool, Turn, Verdict, Words
from handrail.web.table import actor_of

_PATCH = (
    "diff --git a/src/greet.py b/src/greet.py",
    "--- a/src/greet.py",
    "+++ b/src/greet.py",
    "@@ -1,3 +1,4 @@ def greet(name):",
    " def greet(name):",
    '-    return "Hallo " + name',
    "+    name = name.strip()",
    '+    return f"Hello {name}"',
    ' print(greet("Ada"))',
)


def endpoint(keys: Keys) -> Callable[[Request], Awaitable[Response]]:
    """The gallery's page."""

    async def shown(request: Request) -> Response:
        actor = actor_of(request)
        authorise(actor, Permission.SESSIONS_READ)
        return HTMLResponse(await asyncio.to_thread(render.page, "patterns.html", **specimens(keys.form_of(actor))))

    return shown


def specimens(csrf: str) -> dict[str, Any]:
    """Everything that the gallery shows."""
    states = [facts(seen) for seen in _sessions()]
    files, _ = patch.files("\n".join(_PATCH))
    return {
        "entries": ENTRIES,
        "waiting": 2,
        "running": states[:2],
        "csrf": csrf,
        "who": OWNER,
        "owner": True,
        "here": "",
        "refresh": None,
        "states": states,
        "session": states[0],
        "blocks": _blocks(),
        "asked": _approvals(),
        "queue": [_queued()],
        "files": files,
        "ticks": _ticks(),
        "matrix": _matrix(),
        "effects": _effects(),
        "bars": _bars(),
        "lanes": timeline.LANES,
        "levels": ("good", "warning", "error"),
        "tool_states": ("pending", "running", "completed", "failed", "denied", "interrupted", "a_state_of_tomorrow"),
    }


def _ticks() -> list[Json]:
    ends = [*Outcome, "running", "stopped"]
    return [{"row": {"id": "none", "number": at, "outcome": word, "state": word}} for at, word in enumerate(ends, 1)]


def _matrix() -> list[tuple[str, list[Cell]]]:
    done, later = matrix.DONE, matrix.LATER
    return [
        (
            "acme/shop",
            [
                done,
                done,
                Cell("completed", "3 of 3"),
                Cell("completed", "1 proposed"),
                Cell("denied", "1 to decide"),
                later,
            ],
        ),
        ("acme/site", [done, done, Cell("failed", "1 of 3"), later, later, later]),
        ("acme/docs", [done, Cell("running", "now"), later, later, later, later]),
        ("acme/tools", [Cell("none", "queued"), later, later, later, later, later]),
        ("acme/old", [done, done, Cell("none", "no check"), done, Cell("failed", "rejected"), matrix.NONE]),
    ]


def _effects() -> list[EffectRow]:
    waits = EffectRow(
        id=EffectId("f-1"), key="f-1", kind=EffectKind.PULL_REQUEST, target="acme/shop", by="agent", created=now(),
        body={"title": "Mend the greeting", "base": "main"}, state=EffectState.WAITING, session=SessionId("s-asks"),
    )  # fmt: skip
    return [
        waits,
        replace(
            waits,
            id=EffectId("f-2"),
            state=EffectState.CARRIED,
            decided_by="alice",
            receipt={"url": "https://forge.example/acme/shop/pulls/7"},
        ),
        replace(
            waits, id=EffectId("f-3"), state=EffectState.FAILED, reason="the forge refused: the branch is protected"
        ),
        replace(
            waits, id=EffectId("f-4"), state=EffectState.REJECTED, decided_by="you", because="not before the release"
        ),
    ]


def _row(name: str, **columns: Any) -> SessionRow:
    values: dict[str, Any] = {
        "id": SessionId(name), "number": 1, "title": "Mend the greeting", "agent": "handrail", "model": "a-model",
        "repository": str(Path("/src/project")), "repository_key": "project-1", "workspace": "/data/s/workspace",
        "base": "0" * 40, "branch": "handrail/mend", "sandbox": SandboxKind.BUBBLEWRAP, "created": now(),
        "updated": now(), "turn": 3, "cost_nano": 421_000_000, "input_tokens": 48_200, "output_tokens": 3_100,
    }  # fmt: skip
    return SessionRow(**(values | columns))


def _sessions() -> list[Seen]:
    goal = Goal("All tests pass", (), Limits(budget=NanoUSD(2_000_000_000)))
    rows = [
        _row("s-busy", state=SessionState.RUNNING, control=Control.AGENT, goal=goal),
        _row("s-asks", state=SessionState.WAITING, title="Upgrade the database driver"),
        _row("s-idle", unpriced=2, cost_nano=0, title="A session whose cost is not known"),
        _row("s-bare", sandbox=SandboxKind.NONE, title="Without walls"),
        *(_row(f"s-{word}", state=SessionState.ENDED, outcome=word, title=f"Ended: {word}") for word in Outcome),
    ]
    return [Seen(row, 1 if row.id == "s-busy" else 0, 10, ()) for row in rows]


def _approvals() -> list[tuple[ApprovalRow, Always | None]]:
    edit: Json = {"path": "src/greet.py", "old": 'return "Hallo"\n', "new": 'return "Hello"\n'}
    command = ApprovalRow(
        id=ApprovalId("a-1"), session=SessionId("s-asks"), turn=2, call="c-1", title="npm install left-pad",
        tool="execute", input={"command": "npm install left-pad"}, diffs=(), options=(), signature="x", asked=now(),
        why="step 2 of 4: Add the dependency · $0.12 so far",
    )  # fmt: skip
    written = replace(command, id=ApprovalId("a-2"), title="Edit src/greet.py", tool="edit", input=None, diffs=(edit,))
    return [(command, Always(("allow execute `npm install *`",), 3, 5, stands=True)), (written, None)]


def _queued() -> PromptRow:
    return PromptRow("p-1", SessionId("s-busy"), "Then run the linter.", "you", now(), PromptState.QUEUED, 1)


def _blocks() -> list[Block]:
    words = (
        "The greeting is **German**. I change it:\n\n```python\nprint('Hello')\n```\n\n"
        "| file | lines |\n|---|---|\n| greet.py | 3 |"
    )
    return [
        Turn(1, 1, "Make the greeting English, and keep the tests green.", "you", now() - timedelta(minutes=4)),
        Words(2, "It prints Hallo; the tests want Hello.", thought=True),
        Steps(3, [("completed", "Read the code"), ("in_progress", "Change it"), ("pending", "Run the tests")]),
        Tool(4, "c-1", "Read src/greet.py", "read", "completed", "src/greet.py", "def greet", seconds=0.012),
        Tool(5, "c-2", "Edit src/greet.py", "edit", "completed", diffs=[("src/greet.py", "Hallo\n", "Hello\n")]),
        Tool(6, "c-3", "pytest -q", "execute", "failed", "pytest -q", "1 failed in 0.02s", seconds=1.4),
        Tool(7, "c-4", "pytest -q tests/with/a/name/that/is/long/enough/to/be/cut/at/the/edge", "execute", "running"),
        Words(8, words),
        Verdict(9, "pytest -q", False, "E  assert 'Hallo' == 'Hello'", 1.2),
        Verdict(10, "ruff check", True, "", 0.2),
        Line(11, "Allowed by you", "plain", "go on"),
        Line(12, "Network denied: pypi.org:443 (3 times)", "warning", "no host is allowed"),
        Line(13, "The agent's memory was lost", "error", "it cannot load its session"),
        Line(14, "Outcome: done", "good", "all checks pass"),
    ]


def _bars() -> list[timeline.Bar]:
    lanes = [("model", 0, 120), ("tool", 130, 40), ("wait", 180, 400), ("model", 590, 200), ("check", 800, 180)]
    return [timeline.Bar(1, lane, f"a {lane}", now(), width / 10, 1, x, width) for lane, x, width in lanes]
