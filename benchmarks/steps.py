"""Overhead a step: Handrail's own agent, the driver, the gateway and the walls, beside the bare loop.

A step is one tool call (`true # step i`, so that no two are alike). The overhead is the time from the model's answer to
the next request, seen from the model: everything that is not the model.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
from pathlib import Path

from benchmarks import stage
from benchmarks.figures import Figure

SIZES = (50, 200, 400)
ROUNDS = 4


def prompt(steps: int) -> str:
    """A prompt whose script runs `steps` commands."""
    return f"Go. @@{json.dumps([{'repeat': steps, 'step': {'shell': 'true # step {i}'}}, {'text': 'done'}])}@@"


def run(folder: Path) -> list[Figure]:
    """Both loops in turn at each size, `ROUNDS` times; of each the round that other programs disturbed least counts."""
    figures = []
    with stage.provider(folder) as provider, stage.server(folder / "data", provider.url) as server:
        place = stage.repository(folder)
        for steps in SIZES:
            rounds = [
                (_bare(folder, provider, steps, number), _ours(server, provider, place, steps))
                for number in range(ROUNDS)
            ]
            bare, ours = (min(times) for times in zip(*rounds, strict=True))
            target = "<= 3 x bare" if steps == min(SIZES) else "<= 4 x bare" if steps == max(SIZES) else ""
            figures.append(Figure(f"step_overhead_{steps}", ours, "ms", bare, target))
    return figures


def _bare(folder: Path, provider: stage.Provider, steps: int, number: int) -> float:
    provider.clear()
    text = folder / "prompt.txt"
    text.write_text(prompt(steps), "utf-8")
    database = folder / f"bare-{steps}-{number}.db"
    subprocess.run(
        [sys.executable, "-m", "benchmarks.bare", provider.url, str(text), str(database)], check=True, cwd=stage.ROOT
    )
    return statistics.fmean(provider.gaps())


def _ours(server: stage.Server, provider: stage.Provider, place: Path, steps: int) -> float:
    session = server.session(place)
    provider.clear()
    server.post(f"/sessions/{session}/prompts", {"text": prompt(steps)})
    server.rest(session)
    gaps = provider.gaps()
    assert len(gaps) == steps, f"{len(gaps)} steps were taken, not {steps}"
    server.post(f"/sessions/{session}/end")
    return statistics.fmean(gaps)
