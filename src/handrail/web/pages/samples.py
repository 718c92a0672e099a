"""Values for the gallery: sessions, questions, changes and the rest, none of them real."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

from handrail import types
from handrail.automation import EffectKind, EffectState
from handrail.commands.approvals import Always
from handrail.commands.sessions import Seen
from handrail.store.approvals import ApprovalRow
from handrail.store.effects import EffectRow
from handrail.store.prompts import PromptRow
from handrail.store.sessions import SessionRow
from handrail.store.tables import PromptState, Then
from handrail.types import (
    SCRIPTED,
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
from handrail.web.pages import matrix, timeline
from handrail.web.pages.evidence import Check, Evidence
from handrail.web.pages.frame import facts
from handrail.web.pages.matrix import Cell
from handrail.web.pages.transcript import Block, Line, Steps, Tool, Turn, Verdict, Words
from handrail.workspaces import Change, FileChange
from handrail.workspaces.browse import Entry, File, Folder

DAY = datetime(2026, 11, 23, 9, 0, tzinfo=UTC)
"""a due time; a Monday"""
SPLIT_PATCH = """\
diff --git a/src/greet.py b/src/greet.py
--- a/src/greet.py
+++ b/src/greet.py
@@ -1,3 +1,4 @@ def greet(name):
 def greet(name):
-    return "Hallo " + name
+    name = name.strip()
+    return f"Hello {name}"
 print(greet("Ada"))
@@ -20,3 +21,2 @@ def leave(name):
 def leave(name):
-    # nobody calls this
     return f"Bye {name}, and a line that is long enough to be cut, or wrapped, wherever the room beside it is narrow"
diff --git a/logo.png b/brand/logo.png
rename from logo.png
rename to brand/logo.png
"""
_VALUES: dict[str, Any] = {
    "id": "s-none", "number": 1, "title": "Mend the greeting", "agent": "handrail", "model": "a-model",
    "repository": "/src/project", "repository_key": "project-1", "workspace": "/data/s/workspace", "base": "0" * 40,
    "branch": "handrail/mend", "sandbox": SandboxKind.BUBBLEWRAP, "turn": 3, "cost_nano": 421_000_000,
    "input_tokens": 48_200, "output_tokens": 3_100, "holds": ("reads", "writes", "network"),
}  # fmt: skip
GOAL = Goal(
    "All tests pass", (types.Check("pytest -q"),), Limits(budget=NanoUSD(2_000_000_000), turns=20, seconds=3600)
)


def seen(queued: int = 0, **columns: Any) -> Seen:
    """A session with these columns."""
    moment = now()
    return Seen(SessionRow(**(_VALUES | {"created": moment, "updated": moment} | columns)), queued, 10, ())


def session(**columns: Any) -> dict[str, Any]:
    """A session as templates have it."""
    return facts(seen(**columns))


def working(**columns: Any) -> dict[str, Any]:
    """A session that the agent works at, with a goal and its budget."""
    return session(**{"state": SessionState.RUNNING, "control": Control.AGENT, "goal": GOAL} | columns)


def sessions() -> list[dict[str, Any]]:
    """One in every state, and with every outcome."""
    return [
        working(id="s-busy", queued=1),
        session(id="s-asks", state=SessionState.WAITING, title="Upgrade the database driver"),
        session(id="s-idle", unpriced=2, cost_nano=0, title="A session whose cost is not known"),
        session(id="s-bare", sandbox=SandboxKind.NONE, title="Without walls", provider=SCRIPTED),
        session(id="s-login", login=True, title="With a login of one’s own"),  # noqa: RUF001
        *(
            session(id=f"s-{word}", state=SessionState.ENDED, outcome=word, title=f"Ended: {word}".replace("_", " "))
            for word in Outcome
        ),
    ]


def ticks() -> list[Json]:
    """Last runs of a workflow, one with every end."""
    ends = [*Outcome, "running", "stopped"]
    return [{"row": {"id": "none", "number": at, "outcome": word, "state": word}} for at, word in enumerate(ends, 1)]


def rows() -> list[tuple[str, list[Cell]]]:
    """Tasks of a fan-out: repository, cells."""
    done, later = matrix.DONE, matrix.LATER
    waits = Cell("denied", "1 to decide")
    return [
        ("acme/shop", [done, done, Cell("completed", "3 of 3"), Cell("completed", "1 proposed"), waits, later]),
        ("acme/site", [done, done, Cell("failed", "1 of 3"), later, later, later]),
        ("acme/docs", [done, Cell("running", "now"), later, later, later, later]),
        ("acme/tools", [Cell("none", "queued"), later, later, later, later, later]),
        ("acme/old", [done, done, Cell("none", "no check"), done, Cell("failed", "rejected"), matrix.NONE]),
    ]


def effect(name: str, state: EffectState, **columns: Any) -> EffectRow:
    """A pull request in this state."""
    values: dict[str, Any] = {
        "key": name, "kind": EffectKind.PULL_REQUEST, "target": "acme/shop", "by": "agent", "created": now(),
        "body": {"title": "Mend the greeting", "base": "main"}, "session": SessionId("s-asks"),
    }  # fmt: skip
    return EffectRow(id=EffectId(name), state=state, **(values | columns))


def effects() -> Iterator[EffectRow]:
    """Effects at every point of their way."""
    yield effect("f-1", EffectState.WAITING, run="r-1")
    yield effect("f-2", EffectState.CARRIED, decided_by="alice", receipt={"url": "https://forge.example/pulls/7"})
    yield effect("f-3", EffectState.FAILED, reason="the forge refused: the branch is protected")
    yield effect("f-4", EffectState.REJECTED, decided_by="you", because="not before the release")
    yield effect("f-5", EffectState.APPROVED, due=now(), tries=2, reason="the forge does not answer")
    yield effect("f-6", EffectState.CARRIED, kind=EffectKind.PUSH, receipt={"commit": "5" * 40}, body={})


def approvals() -> list[tuple[ApprovalRow, Always | None]]:
    """Questions: a command with a rule for it, an edit without one, one with a deadline."""
    edit: Json = {"path": "src/greet.py", "old": 'return "Hallo"\n', "new": 'return "Hello"\n'}
    values: dict[str, Any] = {
        "session": SessionId("s-asks"), "turn": 2, "call": "c-1", "options": (), "signature": "x", "asked": now(),
    }  # fmt: skip
    command = ApprovalRow(
        id=ApprovalId("a-1"), title="npm install left-pad", tool="execute", input={"command": "npm install left-pad"},
        diffs=(), why="step 2 of 4: Add the dependency · $0.12 so far", **values,
    )  # fmt: skip
    written = ApprovalRow(
        id=ApprovalId("a-2"), title="Edit src/greet.py", tool="edit", input={"path": "src/greet.py"}, diffs=(edit,),
        **values,
    )  # fmt: skip
    dated = ApprovalRow(
        id=ApprovalId("a-3"), title="rm -r build", tool="execute", input=None, diffs=(), then=Then.DENY,
        deadline=now() + timedelta(hours=2), **values,
    )  # fmt: skip
    narrow = Always(("allow execute `npm install *`",), 3, 5, stands=True)
    return [(command, narrow), (written, None), (dated, Always(("allow execute `rm -r build`",), 0, 5, stands=False))]


def queue() -> list[PromptRow]:
    """Prompts that wait for the end of a turn."""
    return [PromptRow("p-1", SessionId("s-busy"), "Then run the linter.", "you", now(), PromptState.QUEUED, 1)]


def blocks() -> list[Block]:
    """A transcript with every kind of block."""
    words = (
        "The greeting is **German**. I change it:\n\n```python\nprint('Hello')\n```\n\n"
        "| file | lines |\n|---|---|\n| greet.py | 3 |\n\n> as it was asked\n\n1. with `strip`\n2. and [why](https://example.org)"
    )
    long = "pytest -q tests/with/a/name/that/is/long/enough/to/be/cut/at/the/edge"
    return [
        Turn(1, 1, "Make the greeting English, and keep the tests green.", "you", now() - timedelta(minutes=4)),
        Words(2, "It prints Hallo; the tests want Hello.", thought=True),
        Steps(3, [("completed", "Read the code"), ("in_progress", "Change it"), ("pending", "Run the tests")]),
        Tool(4, "c-1", "Read src/greet.py", "read", "completed", "src/greet.py", "def greet", seconds=0.012),
        Tool(5, "c-2", "Edit src/greet.py", "edit", "completed", diffs=[("src/greet.py", "Hallo\n", "Hello\n")]),
        Tool(6, "c-3", "pytest -q", "execute", "failed", "pytest -q", "1 failed in 0.02s", seconds=1.4),
        Tool(7, "c-4", long, "execute", "running", paths=["tests"]),
        Tool(8, "c-5", "curl pypi.org", "fetch", "denied"),
        Words(9, words),
        Verdict(10, "pytest -q", False, "E  assert 'Hallo' == 'Hello'", 1.2),
        Verdict(11, "ruff check", True, "", 0.2),
        Verdict(12, "mypy", None, "", None),
        Line(13, "Allowed by you", "plain", "go on"),
        Line(14, "Network denied: pypi.org:443 (3 times)", "warning", "no host is allowed"),
        Line(15, "The agent's memory was lost", "error", "it cannot load its session"),
        Line(16, "The budget of this turn is used up: $0.50 of $0.50", "warning", "what was made is kept"),
        Line(17, "Outcome: done", "good", "all checks pass"),
    ]


def bars() -> list[timeline.Bar]:
    """Spans in every lane."""
    lanes = [("model", 0, 120), ("tool", 130, 40), ("wait", 180, 400), ("model", 590, 200), ("check", 800, 180)]
    made = [timeline.Bar(1, lane, f"a {lane}", now(), width / 10, 1, x, width) for lane, x, width in lanes]
    return [*made, timeline.Bar(0, "model", "before the first turn", now(), 1, 0, 990, 5)]


def change(*, truncated: bool = False) -> Change:
    """A change of two files, one of which steers agents."""
    flagged = FileChange("AGENTS.md", "added", 1, 0, flag="configures agents")
    moved = FileChange("brand/logo.png", "renamed", 0, 0, binary=True)
    files = (FileChange("src/greet.py", "modified", 2, 2), moved, flagged)
    return Change("1" * 40, "2" * 40, files, SPLIT_PATCH, truncated)


def evidence() -> Evidence:
    """Checks that passed, failed, and ran before the last edit; what the agent says; what nobody saw."""
    checks = [
        Check("pytest -q", True, "12 passed in 0.31s", fresh=True, turn=3),
        Check("ruff check", False, "greet.py:2:5: F841", fresh=True, turn=3),
        Check("mypy", True, "", fresh=False, turn=2),
    ]
    return Evidence(checks, [("make lint", "completed")], "Not checked since the last edit: mypy.")


def folder() -> Folder:
    """Every kind of entry."""
    entries = (
        Entry("docs", "docs", "folder", None),
        Entry("src", "src", "folder", None),
        Entry("vendored", "vendored", "repository", None),
        Entry("AGENTS.md", "AGENTS.md", "file", 412, "configures agents"),
        Entry("latest", "latest", "link", 9),
        Entry("README.md", "README.md", "file", 18_400),
    )
    return Folder("", entries, more=True)


def file(kind: str, text: str | None, flag: str | None = None, *, truncated: bool = False) -> File:
    """One file with this text; none for what is no text."""
    return File(Entry("greet.py", "src/greet.py", kind, 2_100, flag), text, truncated)
