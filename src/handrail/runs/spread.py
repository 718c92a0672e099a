"""Which tasks of a run may begin now: the canary wave first, limits per run, agent and provider, a stop at failures."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable

from msgspec import Struct

from handrail.automation import TaskState
from handrail.runs import plan as plans
from handrail.runs.plan import Plan, Stage
from handrail.store import runs as run_rows
from handrail.store import tasks as task_rows
from handrail.store.engine import Store
from handrail.store.tasks import Standing, TaskRow
from handrail.types import Outcome

GOOD = frozenset({Outcome.DONE, Outcome.NOTHING_TO_DO})
FEWEST = 3
"""ended tasks before a failure rate says anything; a canary wave speaks whatever its size"""


Served = Callable[[str, str | None], str]
"""the provider that serves an agent who is told this one, or none"""


def _as_named(_agent: str, named: str | None) -> str:
    return named or ""


class Verdict(Struct, frozen=True):
    """What may begin. `stop` is the sentence why nothing more does."""

    begin: tuple[TaskRow, ...]
    stop: str | None = None


def choose(
    plan: Plan, standing: Standing, *, agents: Counter[str], providers: Counter[str], served: Served = _as_named
) -> Verdict:
    """Which queued tasks may begin.

    Args:
        plan: of the run.
        standing: how far it is.
        agents: tasks of all runs that are at work now, by agent.
        providers: and by provider.
        served: who serves a stage that names no provider counts as one that was named.
    """
    waiting = standing.waiting
    if not waiting:
        return Verdict(())
    spread = plan.spread
    canaries = canaries_of(plan)
    if (why := _stop(plan, standing, canaries)) is not None and any(task.started is None for task in waiting):
        # what had begun before goes on to its end; what waits to begin does not
        waiting = tuple(task for task in waiting if task.started is not None)
        if not waiting:
            return Verdict((), why)
    if standing.canaries:
        waiting = tuple(task for task in waiting if task.position < canaries or task.started is not None)
    room = spread.concurrency - standing.count(TaskState.RUNNING)
    chosen = []
    agents, providers = agents.copy(), providers.copy()
    for task in waiting:
        if room <= 0:
            break
        stage = stage_of(plan, task)
        if spread.per_agent is not None and agents[stage.agent] >= spread.per_agent:
            continue
        provider = "" if spread.per_provider is None else served(stage.agent, stage.provider)
        if spread.per_provider is not None and providers[provider] >= spread.per_provider:
            continue
        agents[stage.agent] += 1
        providers[provider] += 1
        room -= 1
        chosen.append(task)
    return Verdict(tuple(chosen))


def canaries_of(plan: Plan) -> int:
    """How many tasks of a run go first; none where all would."""
    return plan.spread.canary if 0 < plan.spread.canary < len(plan.targets) else 0


async def busy(store: Store, served: Served) -> tuple[Counter[str], Counter[str]]:
    """How many tasks are at work with each agent and provider, of all runs; those that are being prepared too."""
    used = [(agent, provider or None) for _, agent, provider in await task_rows.at_work(store)]
    for task in await task_rows.in_state(store, TaskState.RUNNING):
        if task.session is None:
            stage = stage_of(plans.from_json((await run_rows.get(store, task.run)).plan), task)
            used.append((stage.agent, stage.provider))
    providers: Counter[str] = Counter()
    for (agent, named), count in Counter(used).items():
        providers[served(agent, named)] += count
    return Counter(agent for agent, _ in used), providers


def stage_of(plan: Plan, task: TaskRow) -> Stage:
    """The stage that a task is at."""
    work = task.results.get("work")
    at = work.get("stage", 0) if isinstance(work, dict) else 0
    return plan.stages[min(int(at), len(plan.stages) - 1)]


def _stop(plan: Plan, standing: Standing, canaries: int) -> str | None:
    """Why no further task begins, where too many failed. Cancelled ones count neither way."""
    rate = plan.spread.stop_at_failure_rate
    if rate is None:
        return None
    ended = {
        outcome: number
        for (state, outcome), number in standing.counts.items()
        if state is TaskState.ENDED and outcome is not Outcome.CANCELLED
    }
    count = sum(ended.values())
    bad = sum(number for outcome, number in ended.items() if outcome not in GOOD)
    spoken = count >= FEWEST or (canaries and count >= canaries) or count == standing.count()
    if not count or not spoken or bad / count <= rate:
        return None
    return f"{bad} of {count} tasks did not succeed, more than the {rate:.0%} at which this run stops"
