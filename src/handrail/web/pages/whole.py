"""Whole pages of the gallery: with nothing in them yet, and with something."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from handrail.automation import EffectState, RunState, TaskState, TriggerKind, Trust
from handrail.types import Json, Outcome, now
from handrail.web.pages import matrix, samples
from handrail.web.pages.admin import WALLS
from handrail.web.pages.automation import cause

Pages = list[tuple[str, str, dict[str, Any]]]
"""what is shown, its template, what that is given"""
_EVENT: Json = {
    "id": "e-1",
    "event": "issues",
    "action": "opened",
    "state": "worked",
    "reason": "1 run of triage",
    "source": "forge",
    "repository": "acme/shop",
    "sender": "carol",
    "payload": {"issue": {"number": 7}},
}
_NO_ENDS: Json = {"sessions": [], "runs": []}
_LISTS: Json = {
    "wanted": "",
    "providers": [],
    "logged_in": [],
    "choice": {"agent": "handrail", "permissions": None, "login": False},
    "walls": "bubblewrap",
    "repository": "",
    "groups": [],
}


def empty() -> Pages:
    """Each list before there is anything in it: a sentence, and what to do."""
    none: list[Any] = []
    runs: Json = {"found": {"looked": 0, "failed": none, "fits": 0}, "runs": none, "asked": {}, "url": "/runs"}
    runs |= {"facets": none, "retried": None, "most": 50}
    spend = {"spend": _spend({}), "forecast": None, "sessions": {}, "budgets": none, "prices": none}
    inbox = {"asked": none, "effects": none, "ended": _NO_ENDS, "sessions": {}}
    set_up = dict.fromkeys(("providers", "forges", "secrets", "sources", "budgets"), none)
    return [
        ("Inbox", "inbox.html", inbox | {"working": 0}),
        ("Inbox, agents work", "inbox.html", inbox | {"working": 4}),
        ("Sessions: the first run", "sessions.html", _LISTS | _first(known=False) | {"scripted": True}),
        (
            "Sessions: no model, the walls do not hold",
            "sessions.html",
            _LISTS | _first(known=True) | {"agents": none, "scripted": False},
        ),
        (
            "Sessions: none fits",
            "sessions.html",
            _LISTS | {"agents": _agents(), "scripted": False, "status": None, "wanted": "state:lost", "sessions": none},
        ),
        ("Runs", "runs.html", runs),
        ("Runs: none fits", "runs.html", runs | {"asked": {"state": "stopped"}, "facets": [_facet("stopped")]}),
        ("Workflows", "workflows.html", {"workflows": none, "gallery": none}),
        ("Events", "events.html", {"events": none, "sources": none, "polls": none, "source": None}),
        ("Rules", "rules.html", {"rules": none}),
        ("Spend", "spend.html", spend),
        ("Admin", "admin.html", set_up | {"invited": None, "members": _members()[:1], "roles": ("member", "owner")}),
        ("Agents, nothing is known yet", "agents.html", _trial(known=False)),
    ]


def filled() -> Pages:
    """Each page with something in it."""
    return [*_of_sessions(), *_of_runs(), *_of_events(), *_of_the_house()]


def _of_sessions() -> Pages:
    busy, asks = samples.sessions()[:2]
    status: Json = {"status": None, "agents": _agents(), "scripted": False, "sessions": [busy, asks]}
    failed = samples.seen(outcome=Outcome.FAILED, outcome_reason="pytest -q failed").row
    ends = {"sessions": [failed], "runs": [_run(RunState.STOPPED)]}
    (command, always), (edit, _), _ = samples.approvals()
    waiting = samples.effect("f-1", EffectState.WAITING)
    inbox: Json = {"asked": [(command, always)], "effects": [waiting], "ended": ends, "sessions": {"s-asks": asks}}
    link = {"asked": edit, "token": "t", "decision": "deny", "heading": "Deny this?"}
    rule = {"section": "execute", "rule": "npm install *", "repository": "/src/project", "key": "project-1"}
    return [
        ("Inbox", "inbox.html", inbox | {"working": 1}),
        ("Sessions", "sessions.html", _LISTS | status | {"groups": [("Needs you", [asks]), ("Working", [busy])]}),
        ("Promote", "promote.html", _promoted()),
        ("Rules that stand", "rules.html", {"rules": [rule]}),
        ("Always: the rule is shown first", "always.html", {"asked": command, "always": always}),
        ("Always: no narrow rule", "always.html", {"asked": edit, "always": None}),
        ("An answer by a link", "answer.html", link),
    ]


def _of_runs() -> Pages:
    rows = [_run(state) for state in (RunState.RUNNING, RunState.STOPPED)] + [_run(RunState.ENDED, Outcome.DONE)]
    listed = [{"row": row, "cause": "by its schedule", "tasks": {"done": 3}, "unpriced": 0} for row in rows]
    found: Json = {"looked": 1000, "failed": ["r-1", "r-2"], "fits": 214}
    facets: Json = {"found": found, "runs": listed, "asked": {"workflow": "triage"}, "url": "/runs?workflow=triage"}
    facets |= {"facets": [_facet(None), _facet("running")], "most": 1}
    facets |= {"retried": {"resumed": ["r-3"], "refused": [("r-9", "its workflow was removed")], "left": 2}}
    carried = samples.effect("f-2", EffectState.CARRIED, receipt={"url": "https://forge.example/pulls/7"})
    shelf = {"workflows": [(_workflow(), samples.ticks())], "gallery": [("triage", "Label new issues")]}
    return [
        ("Runs", "runs.html", facets),
        ("A run of several repositories", "run.html", _whole_run()),
        ("An effect", "effect.html", {"effect": carried}),
        ("Workflows", "workflows.html", shelf),
        ("A workflow", "workflow.html", _whole_workflow()),
    ]


def _of_events() -> Pages:
    poll = {"source": "forge", "repository": "acme/shop", "every": 60, "due": now() + timedelta(minutes=1)}
    polls = [poll | {"error": None, "looked": now()}, poll | {"error": "the forge does not answer", "looked": None}]
    came = {"events": [_EVENT | {"received": now()}], "polls": polls, "source": None}
    return [
        ("Events", "events.html", came | {"sources": [{"name": "forge", "kind": "github", "path": "/hooks/forge"}]}),
        ("An event that would start a workflow", "event.html", _event(matched=True)),
        ("An event that would not", "event.html", _event(matched=False)),
    ]


def _of_the_house() -> Pages:
    return [
        ("Spend", "spend.html", _whole_spend()),
        ("Admin", "admin.html", _set_up()),
        ("Agents, one of them tried", "agents.html", _trial(known=True)),
    ]


def _facet(held: str | None) -> Json:
    options = [(word, number, "/runs", word == held) for word, number in (("running", 1), ("ended", 212))]
    return {"title": "State" if held else "Day", "options": options, "held": held, "all": "/runs", "more": 3}


def _agents() -> list[Json]:
    spec = {"licence": "MIT", "package": {"version": "2.1"}, "notes": ["it asks before each command"]}
    own = {"name": "handrail", "title": "Handrail", "installed": True, "login": None, "found": {"version": "0.1"}}
    other = {"name": "claude", "title": "Claude Code", "installed": False, "login": "~/.claude", "found": None}
    return [own | {"spec": spec | {"notes": []}}, other | {"spec": spec}]


def _first(*, known: bool) -> Json:
    walls = {
        "known": known,
        "holds": (),
        "kind": "bubblewrap",
        "detail": "bwrap is not installed" if known else "one moment",
    }
    return {"agents": _agents(), "sessions": [], "status": {"sandbox": walls}}


def _run(state: RunState, outcome: Outcome | None = None) -> Json:
    return {
        "id": "r-1",
        "number": 12,
        "workflow": "triage",
        "version": "9" * 40,
        "state": state,
        "outcome": outcome,
        "reason": "2 of 5 tasks failed" if state is RunState.STOPPED else None,
        "cost_nano": 1_210_000_000,
        "created": now(),
        "started": now() - timedelta(minutes=3),
        "ended": now() if outcome else None,
        "trust": Trust.SUPERVISED,
        "arrival": "e-1",
        "due": samples.DAY,
    }


def _task(name: str, state: TaskState, outcome: Outcome | None = None, **made: Any) -> Json:
    row = {
        "id": f"t-{name}",
        "repository": f"acme/{name}",
        "state": state,
        "outcome": outcome,
        "step": "gate",
        "attempt": 2,
        "session": "s-asks",
        "cost_nano": 240_000_000,
        "due": None,
        "reason": None,
        "cause": None,
    }
    given: Json = {"files": samples.change().files, "checks": samples.evidence().checks, "unverified": None}
    if outcome is Outcome.FAILED:
        row |= {"reason": "pytest -q failed", "cause": "checks"}
    shown: Json = {"row": row, "stage": "waits for a person", "unpriced": 0, "made": given | made, "effects": []}
    return shown | {"away": None}


def _whole_run() -> Json:
    shop, site = (
        _task("shop", TaskState.PARKED),
        _task("site", TaskState.ENDED, Outcome.FAILED, unverified="it has no check"),
    )
    shop["effects"] = [samples.effect("f-1", EffectState.WAITING)]
    taken = _task("docs", TaskState.TAKEN) | {"away": {"host": "build-1", "quiet": 3600}}
    tasks = [(one, cells) for one, (_, cells) in zip((shop, site, taken), samples.rows(), strict=False)]
    group = {"label": "pytest -q failed", "outcome": Outcome.FAILED, "tasks": [site["row"]]}
    line = {"time": now(), "task": "t-shop", "kind": "task.moved", "data": {"step": "gate", "none": None}}
    return {
        "run": _run(RunState.STOPPED),
        "unpriced": 0,
        "cause": cause(TriggerKind.SCHEDULE, "you"),
        "tasks": tasks,
        "groups": [group],
        "steps": [step.value for step in matrix.STEPS],
        "open": 1,
        "failed": True,
        "away": True,
        "lines": [line],
    }


def _workflow() -> Json:
    row = {
        "name": "triage",
        "source": "gallery",
        "origin": None,
        "enabled": True,
        "trust": Trust.SHADOW,
        "fell": "a person rejected its result",
    }
    workflow = {"description": "Label new issues, and say what is missing.", "repositories": ["acme/shop"]}
    last = {"outcome": Outcome.DONE, "state": RunState.ENDED, "created": now()}
    return {
        "row": row,
        "workflow": workflow,
        "sentence": (
            ("When", "every Monday at 9:00, Europe/Berlin"),
            ("For each of", "acme/shop"),
            ("Do", "label new issues, with handrail"),
            ("Check", "nothing: nobody verifies it"),
            ("Ask", "nobody: effects are recorded, none is carried out"),
            ("Deliver", "label, then comment"),
        ),
        "problem": None,
        "number": 2,
        "newest": 3,
        "rehearsed": now(),
        "last": last,
        "starts": "every Monday at 9:00, Europe/Berlin",
        "next": samples.DAY,
        "rises": "3 more accepted results raise it",
    }


def _whole_workflow() -> Json:
    item = _workflow()
    version = {"number": 3, "by": "you", "created": now(), "text": "name: triage\ntrust: shadow\n", "rehearsed": None}
    tick = {"due": samples.DAY, "count": 3, "state": "missed", "reason": "the server was away", "run": None}
    shown = {
        "upcoming": [samples.DAY],
        "ticks": [tick, tick | {"state": "fired", "run": "r-1", "count": 1}],
        "notes": ["it may push to any branch"],
    }
    case: Json = {
        "name": "1" * 40,
        "subject": "Mend the greeting",
        "outcome": Outcome.DONE,
        "reason": None,
        "passed": 2,
        "checks": 2,
        "files": 3,
        "common": 2,
        "past": 3,
        "asks": 1,
        "denials": 0,
        "effects": ["pull_request"],
        "cost_nano": 120_000_000,
        "seconds": 42.0,
    }
    forecast = {"mean_nano": 120_000_000, "month_mean_nano": 480_000_000}
    card = {"state": "running", "good": 1, "cases": [1, 2], "how": "past commits", "forecast": forecast}
    results = [case, case | {"outcome": None, "reason": "at the first check"}]
    inputs = [
        ("label", {"description": "which to set", "type": "choice", "choices": ["bug", "idea"], "default": "bug"}),
        ("least", {"description": None, "type": "number", "choices": [], "default": None}),
    ]
    return {
        "shown": shown,
        "item": item,
        "row": item["row"],
        "inputs": inputs,
        "versions": [version],
        "chosen": version,
        "before": version | {"number": 2, "text": "name: triage\n"},
        "rehearsal": {"rehearsal": card | {"results": results}},
        "last": samples.ticks(),
        "levels": [level.value for level in Trust],
        "by_event": False,
    }


def _event(*, matched: bool) -> Json:
    verdict = {"matched": matched, "why": "its filter fits" if matched else "the label is another one"}
    tried = {"workflow": "triage", "verdict": verdict, "repositories": ["acme/shop"], "goals": ["Label issue 7."]}
    refused = None if matched else "triage: it is switched off"
    return {
        "event": _EVENT | {"received": now()},
        "names": ["triage"],
        "wanted": "triage",
        "tried": tried,
        "refused": refused,
    }


def _promoted() -> Json:
    rule = {"section": "execute", "rule": "pytest *", "seen": 4}
    told = {
        "name": "mend",
        "text": "name: mend\n",
        "acts": 4,
        "rules": [rule],
        "asks": [{"what": "git push", "times": 1}],
        "inputs": [{"name": "file", "type": "text", "value": "greet.py"}],
        "suggested": ["pytest -q"],
        "checks": ["make test"],
    }
    return {"session": samples.session(), "told": told, "before": None, "newest": 0, "notes": ["it has no check yet"]}


def _spend(found: dict[str, dict[str, int]], not_metered: int = 0) -> Json:
    total = {"cost_nano": 0, "unpriced": 0, "calls": 0, "input_tokens": 0, "output_tokens": 0}
    for one in found.values():
        total = {name: value + one[name] for name, value in total.items()}
    by = {f"by_{word}": found for word in ("day", "workflow", "agent", "model", "member", "session")}
    return by | {"total": total, "not_metered": not_metered}


def _whole_spend() -> Json:
    found: dict[str, dict[str, int]] = {
        "a": {"cost_nano": 8_100_000_000, "unpriced": 0, "calls": 40, "input_tokens": 410_000, "output_tokens": 20_000},
        "b": {"cost_nano": 2_000_000_000, "unpriced": 3, "calls": 9, "input_tokens": 90_000, "output_tokens": 4_000},
    }
    forecast = {"month": 10_100_000_000, "expected": 14_000_000_000, "pace": 420_000_000}
    price = {"model": "a-model", "input": "3", "output": "15", "cached": None, "cache_written": None}
    return {
        "spend": _spend(found, 2),
        "forecast": forecast,
        "sessions": {"a": samples.session()},
        "budgets": _budgets(),
        "prices": [price],
    }


def _budgets() -> list[Json]:
    used = {"money": 19_200_000_000, "tokens": 210_000, "seconds": 4_000.0}
    limit = {"scope": "member:you", "period": "month", "money": 20_000_000_000, "tokens": None, "seconds": None}
    return [
        {"budget": limit, "used": used, "spent": False},
        {"budget": limit | {"scope": "all", "money": None, "tokens": 200_000}, "used": used, "spent": True},
        {"budget": limit | {"scope": "workflow:triage", "money": None, "seconds": 7200}, "used": used, "spent": False},
    ]


def _members() -> list[Json]:
    you: Json = {"name": "you", "role": "owner", "added": None, "added_by": None, "seen": now(), "invited": None}
    added: Json = {"added": now(), "added_by": "you"}
    return [
        you,
        you | added | {"name": "alice", "role": "member"},
        you | added | {"name": "bob", "role": "member", "seen": None, "invited": now()},
    ]


def _set_up() -> Json:
    provider = {
        "name": "anthropic",
        "wire": "anthropic",
        "base_url": "https://api.anthropic.com",
        "key": "sk-…7f",
        "source": "kept",
    }
    forge = {
        "name": "forge",
        "kind": "github",
        "url": "https://forge.example",
        "credential": "a token",
        "account": "bot",
    }
    invited = {"member": _members()[2], "link": "https://handrail.example/open?token=…"}
    return {
        "invited": invited,
        "members": _members(),
        "roles": ("member", "owner"),
        "providers": [provider],
        "forges": [forge],
        "secrets": [{"name": "NPM_TOKEN", "host": "registry.npmjs.org", "header": "authorization"}],
        "sources": [{"name": "forge", "kind": "github"}],
        "budgets": _budgets(),
    }


def _trial(*, known: bool) -> Json:
    walls: Json = {
        "kind": "bubblewrap",
        "known": known,
        "usable": known,
        "holds": ("reads", "writes"),
        "lacks": ("disk",),
        "detail": "",
    }
    found = [
        {"name": name, "tried": tried, "detail": "ok"}
        for name, tried in (("load_session", True), ("images", False), ("mcp", None))
    ]
    report = {"ok": True, "name": "handrail", "version": "0.1", "seconds": 0.4, "capabilities": found}
    doctor = [
        {"name": "disk", "ok": False, "detail": "800 MB are free", "mend": "make room"},
        {"name": "git", "ok": True, "detail": "2.39", "mend": None},
    ]
    return {
        "agents": _agents(),
        "walls": walls,
        "words": WALLS,
        "doctor": doctor if known else [],
        "problem": None,
        "tried": "handrail" if known else None,
        "report": report if known else None,
    }
