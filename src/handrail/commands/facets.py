"""Runs by what they are found by: facets with counts, and what failed of those that fit tried again together."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from datetime import date
from itertools import chain

from msgspec import Struct

from handrail.automation import RunState, TriggerKind
from handrail.commands import runs, values
from handrail.commands.actor import Actor, Permission, authorise
from handrail.commands.desk import Desk
from handrail.commands.runs import MOST_RUNS, Listed
from handrail.commands.unseen import run_needs_a_look
from handrail.errors import Conflict, HandrailError, InvalidInput
from handrail.store import runs as rows
from handrail.store.runs import Traits
from handrail.types import Outcome, RunId

NAMES = ("state", "outcome", "workflow", "repository", "trigger", "agent", "model", "by", "day")
"""what runs are found by; `by` is the member who started one, `day` is a date in UTC"""
MOST_TRIED = 50
"""runs that are tried again at once, at the most: each may have many tasks"""
LONGEST = 1000

Asked = Mapping[str, str]
"""facet → the word that it is held to"""


class Found(Struct, frozen=True):
    """Runs that fit, newest first.

    Args:
        listed: the first of them.
        facets: each facet with its words and how many runs fit all other facets and have that word.
        fits: how many fit.
        failed: those of them that ended badly, or stopped: what `retry` would go on with.
        looked: how many runs were looked through, the newest ones.
    """

    listed: tuple[Listed, ...]
    facets: Mapping[str, tuple[tuple[str, int], ...]]
    fits: int
    failed: tuple[RunId, ...]
    looked: int


class Retried(Struct, frozen=True):
    """What came of trying several again: those that go on, and why others do not."""

    resumed: tuple[RunId, ...]
    refused: tuple[tuple[RunId, str], ...]
    left: int = 0
    """how many more fit than are tried at once"""


async def find(desk: Desk, actor: Actor, asked: Asked, limit: int = 100) -> Found:
    """The runs that fit all that is asked, among the newest `MOST_RUNS` and as many of the workflow that is asked for.

    Raises:
        InvalidInput: a facet cannot be held to that word.
    """
    authorise(actor, Permission.RUNS_READ)
    _judge(asked)
    count = values.count("limit", limit, MOST_RUNS)
    newest = await rows.traits(desk.store, MOST_RUNS, actor.only)
    if "workflow" in asked:  # one that runs seldom may have none among the newest
        there = {one.id for one in newest}
        own = await rows.traits(desk.store, MOST_RUNS, actor.only, asked["workflow"])
        newest += [one for one in own if one.id not in there]
    places = await rows.repositories(desk.store, [one.id for one in newest])
    known = [(one, _words(one, places[one.id])) for one in newest]
    missed = [([name for name, word in asked.items() if word not in words[name]], words) for _, words in known]
    fit = [one for (one, _), (misses, _) in zip(known, missed, strict=True) if not misses]
    # a facet counts what fits all others: the runs that miss nothing, or it alone
    fitting = {name: [words for misses, words in missed if misses in ([], [name])] for name in NAMES}
    counted = {name: _counted(fitting[name], asked, name) for name in NAMES}
    failed = tuple(one.id for one in fit if _failed(one))
    listed = await runs.these(desk, [one.id for one in fit[:count]])
    return Found(tuple(listed), counted, len(fit), failed, len(newest))


async def retry(desk: Desk, actor: Actor, asked: Asked, only: Sequence[str] | None = None) -> Retried:
    """Go on with what failed of the runs that fit; with `only`, of those alone that a person saw.

    Raises:
        Conflict: none of them failed.
        InvalidInput: a facet cannot be held to that word.
    """
    authorise(actor, Permission.RUNS_WRITE)
    failed = (await find(desk, actor, asked, 1)).failed
    wanted = [run for run in failed if only is None or run in only]
    if not wanted:
        raise Conflict("no run that fits has failed: there is nothing to try again")
    resumed, refused = [], []
    for run in wanted[:MOST_TRIED]:
        try:
            await runs.resume(desk, actor, run, failed=True, step=None)
            resumed.append(run)
        except HandrailError as error:  # one that cannot go on keeps no other from it
            refused.append((run, error.message))
    return Retried(tuple(resumed), tuple(refused), max(0, len(wanted) - MOST_TRIED))


def _failed(one: Traits) -> bool:
    return run_needs_a_look(one) and one.trigger is not TriggerKind.REHEARSAL


def _judge(asked: Asked) -> None:
    for name, kind in (("state", RunState), ("outcome", Outcome), ("trigger", TriggerKind)):
        if name in asked:
            values.choice(name, asked[name], kind)
    if "day" in asked:
        try:
            date.fromisoformat(asked["day"])
        except ValueError as error:
            raise InvalidInput("day", asked["day"], "give a date, such as 2026-01-31") from error
    for name, word in asked.items():
        if name not in NAMES:
            raise InvalidInput(name, word, f"find runs by {', '.join(NAMES)}")
        values.text(name, word, LONGEST)


def _words(one: Traits, places: Collection[str]) -> Mapping[str, Collection[str]]:
    """What a run has of each facet."""
    return {
        "state": (one.state.value,), "outcome": () if one.outcome is None else (one.outcome.value,),
        "workflow": (one.workflow,), "repository": places, "trigger": (one.trigger.value,),
        "agent": () if one.agent is None else (one.agent,), "model": () if one.model is None else (one.model,),
        "by": (one.by,), "day": (one.created.date().isoformat(),),
    }  # fmt: skip


def _counted(fitting: Sequence[Mapping[str, Collection[str]]], asked: Asked, name: str) -> tuple[tuple[str, int], ...]:
    """The words of a facet: days newest first, all else the most frequent first; what it is held to is always there."""
    counts = Counter(chain.from_iterable(words[name] for words in fitting))
    if name in asked:
        counts[asked[name]] += 0
    if name == "day":
        return tuple(sorted(counts.items(), reverse=True))
    return tuple(sorted(counts.items(), key=lambda item: (-item[1], item[0])))
