"""kill -9 at seeded moments of a run: no task is lost, none is done twice, every effect happens exactly once."""

from __future__ import annotations

import asyncio
import json
import random
import signal
import sys
from pathlib import Path

import pytest

from handrail.automation import EffectKind, EffectState, TaskState, Trust
from handrail.runs.plan import Plan, PlannedEffect, Spread, Target, as_json
from handrail.store import effects, runs, tasks
from handrail.store import sessions as sessions_rows
from handrail.store.engine import Store
from handrail.types import Outcome
from tests.fake_provider import FakeProvider
from tests.runs.conftest import stage
from tests.sessions.conftest import git

TASKS = 5
KILLS = 6


def _repository(folder: Path) -> Path:
    folder.mkdir(parents=True)
    (folder / "greet.py").write_text('def greet(name):\n    return "Hallo " + name\n')
    (folder / "check.sh").write_text('grep -q "Hello" greet.py\n')
    git(folder, "init", "-q", "-b", "main")
    git(folder, "add", "-A")
    git(folder, "commit", "-q", "-m", "first")
    return folder


@pytest.mark.timeout(240)
async def test_killed_at_any_moment_a_run_ends_as_if_nothing_had_been(tmp_path: Path, fake: FakeProvider) -> None:
    seed = random.randrange(1 << 30)  # noqa: S311  # moments, no secret
    print(f"seed {seed}")  # shown when it fails
    moments = random.Random(seed)  # noqa: S311  # the same
    repositories = [_repository(tmp_path / "work" / f"project-{number}") for number in range(TASKS)]
    spoilt = repositories[-1]
    (spoilt / "check.sh").write_text("false\n")
    git(spoilt, "commit", "-q", "-a", "-m", "spoil")
    # a kill may cut a step off, and the played model does not do it again: so there are more of them than
    # kills, and each differs, since the same call with the same answer again and again ends a turn as a loop
    steps: list[dict[str, object]] = [
        {"shell": f"sed -i s/Hallo/Hello/ greet.py; true {number}"} for number in range(8)
    ]
    plan = Plan(
        "fan", "0123456789ab", (stage(*steps, turns=1),), tuple(Target(str(path)) for path in repositories),
        effects=(PlannedEffect(EffectKind.PUSH), PlannedEffect(EffectKind.PULL_REQUEST, {"branch": "handrail/pr"})),
        trust=Trust.AUTONOMOUS, spread=Spread(concurrency=3),
    )  # fmt: skip
    data, order = tmp_path / "data", tmp_path / "run.json"
    order.write_text(json.dumps({"key": "event:fan:1", "plan": as_json(plan)}))
    command = [sys.executable, "-m", "tests.runs.alone", str(data), fake.url, str(order)]
    for kill in range(KILLS + 1):
        process = await asyncio.create_subprocess_exec(*command, stderr=asyncio.subprocess.PIPE)
        wait = None if kill == KILLS else moments.uniform(0.8, 4.0)
        try:
            await asyncio.wait_for(process.wait(), 90 if wait is None else wait)
        except TimeoutError:
            assert wait is not None, "the run did not end"
            process.send_signal(signal.SIGKILL)
            await process.wait()
            continue
        assert process.stderr is not None
        assert process.returncode == 0, (await process.stderr.read()).decode()
    async with await Store.open(data / "handrail.db") as store:
        (run,) = await runs.newest(store)
        ended = await tasks.of_run(store, run.id)
        made = await effects.of_run(store, run.id)
        sessions = await sessions_rows.newest(store, limit=None)
    assert [task.state for task in ended] == [TaskState.ENDED] * TASKS
    assert [task.outcome for task in ended] == [Outcome.DONE] * (TASKS - 1) + [Outcome.FAILED]
    assert sorted(row.key or "" for row in sessions) == sorted(f"{task.id}:work:1" for task in ended)
    assert {row.state for row in made} == {EffectState.CARRIED}
    assert sorted((row.task, row.kind) for row in made) == sorted(
        (task.id, kind) for task in ended[:-1] for kind in (EffectKind.PUSH, EffectKind.PULL_REQUEST)
    )
    noted = [json.loads(line) for line in (data / "noted.jsonl").read_text().splitlines()]
    new = [line["effect"] for line in noted if not line["found"]]
    assert len(new) == len(set(new))  # none was carried out twice; one whose note was cut off is found again
    for task, repository in zip(ended[:-1], repositories, strict=False):
        branches = git(repository, "for-each-ref", "--format=%(refname:short)", "refs/heads/handrail").split()
        assert branches == [f"handrail/fan-{task.id[2:]}", "handrail/pr"]
        assert git(repository, "rev-list", "--count", "main..handrail/pr").strip() == "1"
    assert git(spoilt, "for-each-ref", "refs/heads/handrail") == ""
