"""Values as the API's JSON. What a field means is said once, in `answers`."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable
from datetime import UTC, datetime

from msgspec.structs import asdict

from handrail.commands.approvals import Always
from handrail.commands.budgets import forecast
from handrail.commands.files import Looked
from handrail.commands.sessions import Seen
from handrail.commands.system import Finding, Status
from handrail.store.approvals import ApprovalRow
from handrail.store.calls import Spend, Totals
from handrail.store.columns import goal_json
from handrail.types import Event, Json, SessionState, now
from handrail.workspaces import Applied, Change
from handrail.workspaces.browse import Entry, Folder


def moment(time: datetime) -> str:
    """RFC 3339 in UTC, with milliseconds."""
    return time.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def session(seen: Seen) -> Json:
    """A session."""
    row = seen.row
    return {
        "id": row.id,
        "title": row.title,
        "by": row.by,
        "agent": row.agent,
        "provider": row.provider,
        "model": row.model,
        "repository": row.repository,
        "workspace": row.workspace,
        "base": row.base,
        "branch": row.branch,
        "sandbox": row.sandbox,
        "holds": list(row.holds),
        "tools": list(row.tools),
        "network": list(row.network),
        "login": row.login,
        "secrets": list(row.secrets),
        "scopes": list(row.scopes),
        "turn_budget_nano": row.turn_budget_nano,
        "untrusted": row.untrusted,
        "set_aside": list(row.set_aside),
        "permissions": row.permissions,
        "policy": row.policy,
        "control": row.control,
        "state": row.state,
        "outcome": row.outcome,
        "outcome_reason": row.outcome_reason,
        "turn": row.turn,
        "queued": seen.queued,
        "goal": None if row.goal is None else goal_json(row.goal),
        "goal_spent_nano": row.goal_spent_nano,
        "cost_nano": row.cost_nano,
        "unpriced": row.unpriced,
        "tokens": {"input": row.input_tokens, "cached": row.cached_tokens, "output": row.output_tokens},
        "agent_session": row.agent_session,
        "created": moment(row.created),
        "updated": moment(row.updated),
        "last_seq": seen.last_seq,
        "approvals": [approval(item) for item in seen.approvals],
    }


def approval(row: ApprovalRow) -> Json:
    """An approval."""
    return {
        "id": row.id,
        "session": row.session,
        "turn": row.turn,
        "title": row.title,
        "tool": row.tool,
        "input": row.input,
        "diffs": list(row.diffs),
        "options": list(row.options),
        "why": row.why,
        "asked": moment(row.asked),
        "deadline": None if row.deadline is None else moment(row.deadline),
        "then": row.then,
        "released": None if row.released is None else moment(row.released),
        "state": row.state,
        "decision": row.decision,
        "by": row.by,
        "because": row.because,
    }


def whole_approval(row: ApprovalRow, always: Always | None) -> Json:
    """An approval with what "always" would mean."""
    said = None if always is None else asdict(always) | {"rules": list(always.rules)}
    return approval(row) | {"always": said}


def event(given: Event) -> Json:
    """An event of the log."""
    return {"seq": given.seq, "time": moment(given.time), "turn": given.turn, "kind": given.kind, "data": given.data}


def change(given: Change) -> Json:
    """A change."""
    return {
        "base": given.base,
        "head": given.head,
        "files": [
            {
                "path": file.path,
                "status": file.status,
                "added": file.added,
                "removed": file.removed,
                "binary": file.binary,
                "flag": file.flag,
            }
            for file in given.files
        ],
        "patch": given.patch,
        "truncated": given.truncated,
    }


def looked(given: Looked) -> Json:
    """A folder or a file of a snapshot."""
    found = given.found
    told: Json = {"session": given.session, "turn": given.turn, "commit": given.commit}
    if isinstance(found, Folder):
        entries = [_entry(entry) for entry in found.entries]
        return told | {"path": _text(found.path), "kind": "folder", "entries": entries, "more": found.more}
    return told | _entry(found.entry) | {"text": found.text, "truncated": found.truncated}


def _entry(entry: Entry) -> Json:
    return {"path": _text(entry.path), "kind": entry.kind, "size": entry.size, "flag": entry.flag}


def _text(path: str) -> str:
    """A path as text; bytes that are none are replaced."""
    return path.encode("utf-8", "surrogateescape").decode("utf-8", "replace")


def applied(given: Applied) -> Json:
    """Where a change went."""
    return {"mode": given.mode, "branch": given.branch, "commit": given.commit, "files": given.files}


def spend(given: Spend) -> Json:
    """What was spent."""
    expected = forecast(given, now().date())
    return {
        "total_nano": given.total.cost_nano,
        "unpriced": given.total.unpriced,
        "not_metered": given.not_metered,
        "calls": given.total.calls,
        "by_model": _rows("model", given.by_model.items()),
        "by_session": _rows("session", given.by_session.items()),
        "by_scope": _rows("scope", given.by_scope.items()),
        "by_agent": _rows("agent", given.by_agent.items()),
        "by_workflow": _rows("workflow", given.by_workflow.items()),
        "by_member": _rows("member", given.by_member.items()),
        "by_day": _rows("day", given.by_day.items()),
        "forecast": None
        if expected is None
        else {"month_nano": expected.month, "day_nano": expected.pace, "expected_nano": expected.expected},
    }


def spend_table(given: Spend) -> str:
    """What was spent as CSV (RFC 4180): a line a name of each kind of sum.

    A name that a spreadsheet would take for a formula begins with an apostrophe (https://owasp.org/www-community/attacks/CSV_Injection).
    """
    out = io.StringIO()
    writer = csv.writer(out)
    writer.writerow(("by", "name", "calls", "cost_usd", "calls_without_price", "input_tokens", "output_tokens"))
    kinds = ("day", "workflow", "agent", "model", "member", "session")
    for kind in kinds:
        rows: dict[str, Totals] = getattr(given, f"by_{kind}")
        for name, sums in rows.items():
            safe = f"'{name}" if name.startswith(("=", "+", "-", "@", "\t", "\r")) else name
            dollars = f"{sums.cost_nano / 10**9:.9f}"
            writer.writerow((kind, safe, sums.calls, dollars, sums.unpriced, sums.input_tokens, sums.output_tokens))
    return out.getvalue()


def _rows(name: str, table: Iterable[tuple[str, Totals]]) -> list[Json]:
    return [{name: key} | _sums(sums) for key, sums in table]


def _sums(sums: Totals) -> Json:
    return {
        "calls": sums.calls,
        "cost_nano": sums.cost_nano,
        "unpriced": sums.unpriced,
        "input_tokens": sums.input_tokens,
        "output_tokens": sums.output_tokens,
    }


def status(given: Status) -> Json:
    """The server."""
    held = given.sandbox
    return {
        "version": given.version,
        "pid": given.pid,
        "data": str(given.data),
        "url": given.url,
        "started": moment(given.started),
        "uptime": round(given.uptime, 3),
        "sandbox": {"kind": held.kind, "holds": list(held.holds), "lacks": list(held.lacks), "detail": held.detail},
        "sessions": {
            "total": sum(given.sessions.values()),
            "running": given.sessions.get(SessionState.RUNNING, 0),
            "waiting": given.sessions.get(SessionState.WAITING, 0),
        },
        "providers": list(given.providers),
        "memory_mb": given.memory_mb,
        "servers": [{"id": one.id, "host": one.host, "quiet": round(one.quiet, 1)} for one in given.servers],
    }


def finding(given: Finding) -> Json:
    """One line of the doctor."""
    said: Json = {"name": given.name, "ok": given.ok, "detail": given.detail}
    return said if given.mend is None else said | {"mend": given.mend}
