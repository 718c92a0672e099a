"""What the gallery shows: each part made by its own template, out of the values of `samples`."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, Any

from markupsafe import Markup

from handrail.automation import EffectState, RunState, TaskState
from handrail.commands.actor import OWNER
from handrail.commands.files import Looked
from handrail.lazy import Later
from handrail.types import SCRIPTED, Control, Json, Outcome, SandboxKind, SessionState, now
from handrail.web.pages import beside, patch, render, samples, timeline, whole
from handrail.web.pages.evidence import Evidence
from handrail.web.pages.frame import EMPTY, ENTRIES, OWNERS_ENTRIES
from handrail.web.pages.matrix import Cell
from handrail.workspaces import Change
from handrail.workspaces.browse import Folder

if TYPE_CHECKING:
    from jinja2 import Environment

Made = Iterator[tuple[str, Markup]]
"""specimens: what each shows, and how it looks"""
_BACK = "/patterns"
_jinja = Later("jinja2")


@cache
def _bare() -> Environment:
    """The templates with nothing round a page's own part."""
    module = _jinja.load()
    frame = module.DictLoader({"base.html": "{% block main %}{% endblock %}"})
    found: Environment = render.environment().overlay(loader=module.ChoiceLoader([frame, render.environment().loader]))
    return found


def page(template: str, **context: Any) -> Markup:
    """The main part of a whole page."""
    given = EMPTY | {"shared": False, "here": "", "refresh": None, "who": OWNER, "owner": True} | context
    return Markup(_bare().get_template(template).render(given))  # noqa: S704  # made by our templates


def part(template: str, **context: Any) -> Markup:
    """A template that others include."""
    return Markup(render.page(template, **{"csrf": "", "owner": True} | context))  # noqa: S704  # made by our templates


def macro(template: str, name: str, *given: Any, **named: Any) -> Markup:
    """A macro of a template."""
    made: Markup = getattr(render.environment().get_template(template).module, name)(*given, **named)
    return made


def _row(template: str, name: str, given: Any) -> Markup:
    return Markup(" ").join(macro(template, name, one) for one in given)


def signs() -> Made:
    """Words with a glyph: what something is, never by its colour alone."""
    tools = ("pending", "running", "in_progress", "completed", "failed", "denied", "interrupted", "a_state_of_tomorrow")
    yield "States of sessions", _row("parts.html", "state", [{"state": word} for word in SessionState])
    yield "Outcomes", _row("parts.html", "outcome", [{"outcome": word} for word in Outcome])
    yield (
        "States of tools, and one that is not known",
        _row("run_parts.html", "cell", [Cell(w, w.replace("_", " ")) for w in tools]),
    )
    runs: list[Json] = [{"state": word, "outcome": None} for word in {*RunState, *TaskState}]
    ended: list[Json] = [{"state": RunState.ENDED, "outcome": Outcome.NEEDS_PERSON}]
    yield "States of runs and tasks", _row("run_parts.html", "row_state", [*sorted(runs, key=str), *ended])
    yield "States of effects", _row("run_parts.html", "effect_state", [{"state": word} for word in EffectState])
    yield "Last runs of a workflow", macro("run_parts.html", "ticks", samples.ticks())
    yield "No run yet", macro("run_parts.html", "ticks", [])
    lines = ("none", "live", "stale", "offline", "expired")
    marks = (macro("line.html", "mark", state, f"link-{state}") for state in lines)
    yield "The line to the server", Markup(" ").join(marks)
    times = [macro("run_parts.html", "time", now()), macro("run_parts.html", "due", samples.DAY)]
    counts = macro("run_parts.html", "counts", {"done": 38, "needs_person": 2})
    yield "Times, counts, keys", Markup(" · ").join([*times, counts, macro("parts.html", "key", "g s")])


def told() -> Made:
    """What a page says when something is not as usual."""
    for state, name in {
        "stale": "Stale: the line is lost", "offline": "Offline", "restarted": "The server was started again",
        "expired": "Signed in no longer", "unsent": "Not sent",
    }.items():  # fmt: skip
        yield name, macro("line.html", "told", state, "14:02")
    yield "Refused", part("notice.html", sentence="prompt: give some text")
    limit = "the budget of session:s-busy is used up: $2.00 of $2.00; what was made is kept"
    yield "A limit is reached", part("notice.html", sentence=limit)
    yield "Loading", macro("parts.html", "loading", "Loading the change …", _BACK, "Open a tab to see more.")
    yield "It could not be loaded", macro("parts.html", "loading", "Loading …", _BACK, failed=True)
    for status, title, sentence in (
        (401, "Sign in first", "Nobody is signed in here: open the link that an owner gave you."),
        (403, "Not yours to do", "alice is a member, and members may not do this: an owner can."),
        (404, "Not found", "There is nothing at this address."),
        (409, "Not now", "The session works: stop the turn, or wait for its end."),
        (422, "That cannot be used", "turn: give the number of a turn, not 'x'"),
        (500, "That did not work", "Something broke inside the server; its log says what."),
    ):
        yield f"Error {status}", page("error.html", status=status, title=title, sentence=sentence, back=_BACK)
    for role in ("member", "owner"):
        member = {"name": "alice", "added_by": "Carol", "role": role}
        yield f"Sign in as {role}", page("signin.html", member=member, token="")


def session() -> Made:
    """The parts of a session's page."""
    busy, idle, ended = samples.working(), samples.session(), samples.session(state=SessionState.ENDED)
    asks = samples.session(state=SessionState.WAITING)
    bare = samples.session(sandbox=SandboxKind.NONE, login=True, untrusted=True, set_aside=("CLAUDE.md",))
    yield "The rail", part("live_rail.html", entries=ENTRIES + OWNERS_ENTRIES, waiting=2, running=[busy, asks, bare])
    yield "The rail, nothing runs", part("live_rail.html", entries=ENTRIES, waiting=0, running=[], here="inbox")
    yield "Meters: budget and context", macro("session_parts.html", "status", busy, (61_000, 200_000))
    full = samples.working(cost_nano=1_990_000_000)
    yield "Meters: nearly used up", macro("session_parts.html", "status", full, (196_000, 200_000))
    yield "Meters: not known, not metered", macro("session_parts.html", "status", bare, None)
    for name, one in {"you hold it": idle, "the agent holds it": busy, "it has ended": ended}.items():
        yield f"What can be done: {name}", macro("session_parts.html", "acts", one, "", _BACK, owner=True)
    yield "Notices", macro("session_parts.html", "notices", bare, owner=True)
    script = samples.session(provider=SCRIPTED, untrusted=True)
    yield "Notices: a script, an untrusted ref", macro("session_parts.html", "notices", script, owner=True)
    yield "Transcript", part("blocks.html", blocks=samples.blocks())
    older: dict[str, Any] = {"older": 301, "session": idle, "blocks": samples.blocks()[:1]}
    yield "An older window", part("older.html", **older)
    yield "New events below", macro("session_parts.html", "jump", fresh=12)
    yield "An older window: the way back", macro("session_parts.html", "jump", apart=True)
    yield "Approvals", macro("session_parts.html", "waits", samples.approvals(), "", _BACK, owner=True)
    asked, always = samples.approvals()[0]
    inbox = macro("parts.html", "approval", asked, always, "", _BACK, of=asks)
    yield "An approval in the inbox of a member", inbox
    queue = samples.queue()
    for name, one, waiting in (
        ("idle", idle, []), ("the agent works, a prompt waits", busy, queue), ("a question waits", asks, []),
    ):  # fmt: skip
        yield f"Composer: {name}", macro("session_parts.html", "composer", one, waiting, "", _BACK)


def change() -> Made:
    """A change under review."""
    files, _ = patch.files(samples.SPLIT_PATCH)
    first = files[0].hunks[0].lines
    given: dict[str, Any] = {
        "session": samples.session(), "change": samples.change(), "files": files, "cut": False,
        "evidence": samples.evidence(), "tabs": beside.TABS, "tab": "diff",
    }  # fmt: skip
    yield "Unified, with its evidence", part("side.html", **given | {"split": False})
    yield "Side by side", part("side.html", **given | {"split": True, "change": samples.change(truncated=True)})
    editor = macro("diff_parts.html", "editor", "Comment on removed line 2", "Why not an f-string?")
    comment = macro("diff_parts.html", "comment", "Say why the name is stripped.")
    still = ("<button ", '<button tabindex="-1" ')  # one tab stop for all lines: as the script of the review makes it
    rows = [Markup(str(macro("diff_parts.html", "row", line)).replace(*still)) for line in first]  # noqa: S704  # the same
    rows[2:2], rows[4:4] = [editor], [comment]
    table = Markup('<div class="file"><table class="lines"><tbody>{}</tbody></table></div>')
    yield "A comment being written, and one that waits", table.format(Markup().join(rows))
    yield "Comments to be sent in one batch", macro("diff_parts.html", "tray", "", _BACK, _BACK, 3)
    yield "One comment", macro("diff_parts.html", "tray", "", _BACK, _BACK, 1)
    nothing = {"change": Change("1" * 40, "1" * 40, (), ""), "files": [], "split": False}
    running = samples.working()
    unseen = Evidence(unverified="Nobody checked this change: hand the session off with a check.")
    yield "Nothing changed", part("side.html", **given | nothing | {"session": running, "evidence": unseen})


def tabs() -> Made:
    """What else stands beside a transcript."""
    given: dict[str, Any] = {"session": samples.session(), "tabs": beside.TABS, "asked_turn": None}
    yield "Timeline", part("side.html", **given, tab="timeline", bars=samples.bars(), lanes=timeline.LANES)
    yield "Timeline, empty", part("side.html", **given, tab="timeline", bars=[], lanes=timeline.LANES)
    shells = [block for block in samples.blocks() if block.block == "tool" and block.seq in {6, 8}]
    yield "Terminal: what the agent’s shell said", part("side.html", **given, tab="terminal", shells=shells)  # noqa: RUF001
    bare = samples.session(id="s-bare", sandbox=SandboxKind.NONE, control=Control.AGENT)
    yield "Terminal: empty, no walls", part("side.html", **given | {"session": bare}, tab="terminal", shells=[])
    yield from _files(given | {"tab": "files"})
    yield from _details(given | {"tab": "details"})


def _files(given: dict[str, Any]) -> Made:
    def looked(found: Any, turn: int | None = None) -> Markup:
        at = Looked("s-none", 3, "4" * 40, found)
        return part(
            "side.html",
            **given | beside.shown(at, {"README.md": "modified", "src/greet.py": "added"}) | {"asked_turn": turn},
        )

    yield "Files: a folder", looked(samples.folder())
    yield "Files: an empty folder, of an earlier turn", looked(Folder("src", ()), 1)
    yield (
        "Files: a file",
        looked(samples.file("file", "def greet(name):\n    return 1\n", "configures agents", truncated=True)),
    )
    yield "Files: an empty one", looked(samples.file("file", ""))
    yield "Files: no text", looked(samples.file("file", None))
    yield "Files: a repository inside", looked(samples.file("repository", None))
    yield "Files: a link", looked(samples.file("link", "../elsewhere"))


def _details(given: dict[str, Any]) -> Made:
    lost = [{"data": {"reason": "it cannot load its session"}, "turn": 2, "seq": 40}]
    kept = [{"turn": turn, "commit": "7" * 40, "time": now()} for turn in (0, 1)]
    full = samples.working(
        network=("pypi", "example.org:443"), secrets=("NPM_TOKEN",), tools=("/usr/lib/node",), policy="allow: [read]",
        turn_budget_nano=500_000_000, scopes=("member:you",), agent_session="0c7f", provider="anthropic",
    )  # fmt: skip
    origin = {"session": "s-idle", "turn": 2}
    yield "Details", part("side.html", **given | {"session": full, "lost": lost, "snapshots": kept, "origin": origin})
    bare = samples.session(sandbox=SandboxKind.NONE, state=SessionState.ENDED, provider=SCRIPTED, login=True)
    yield (
        "Details of one without walls",
        part("side.html", **given | {"session": bare, "lost": [], "snapshots": [], "origin": None}),
    )


def sheets() -> Made:
    """What opens above a page."""
    rows = [("Allow once: npm install left-pad", "a"), ("Take over", "t"), ("Go to Mend the greeting", "")]
    yield "The palette", macro("sheets.html", "palette", rows, shown=True)
    yield "The palette, nothing fits", macro("sheets.html", "palette", [], shown=True)
    keys = [(("g", "i"), "Go to Inbox"), (("a",), "Allow once"), (("j", "k"), "next, previous row"), (("?",), "keys")]
    yield "The keys of a page", macro("sheets.html", "keys", keys, shown=True)


def work() -> Made:
    """Parts of runs."""
    yield (
        "Effects",
        Markup().join(macro("run_parts.html", "effect", one, "", _BACK, linked=True) for one in samples.effects()),
    )


def _pages(found: Callable[[], whole.Pages]) -> Callable[[], Made]:
    def made() -> Made:
        for name, template, context in found():
            yield name, page(template, **context)

    return made


GROUPS: dict[str, Callable[[], Made]] = {
    "Signs": signs,
    "Told": told,
    "Session": session,
    "Change": change,
    "Tabs": tabs,
    "Sheets": sheets,
    "Work": work,
    "Empty": _pages(whole.empty),
    "Pages": _pages(whole.filled),
}
