"""Overhead a step: Handrail's own agent, the driver, the gateway and the walls, beside the bare loop.

A step is one tool call (`true # step i`, so that no two are alike). The overhead is the time from the model's answer to
the next request, seen from the model: everything that is not the model. Handrail's own agent takes the same steps alone
as well, spoken to over ACP without a server: what that takes is its share, and what is left is that of the driver, the
gateway and the walls.
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

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
                (
                    _bare(folder, provider, steps, number),
                    _alone(folder, provider, place, steps),
                    _ours(server, provider, place, steps),
                )
                for number in range(ROUNDS)
            ]
            bare, alone, ours = (min(times) for times in zip(*rounds, strict=True))
            target = "<= 3 x bare" if steps == min(SIZES) else "<= 4 x bare" if steps == max(SIZES) else ""
            figures.append(Figure(f"step_overhead_{steps}", ours, "ms", bare, target))
            figures.append(Figure(f"step_overhead_{steps}_of_own_agent", alone, "ms", bare))
            figures.append(Figure(f"step_overhead_{steps}_of_driver", max(ours - alone, 0.0), "ms", bare))
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


def _alone(folder: Path, provider: stage.Provider, place: Path, steps: int) -> float:
    """The own agent with nothing but a client around it that allows everything."""
    home = folder / "own-agent"
    home.mkdir(exist_ok=True)
    told = {"WIRE": "anthropic", "MODEL_URL": provider.url, "TOKEN": "bench", "MODEL": "claude-sonnet-4-5"}
    environment = {"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(home)}
    environment |= {f"HANDRAIL_{name}": value for name, value in told.items()}
    provider.clear()
    with subprocess.Popen(
        [sys.executable, "-I", "-m", "handrail.agents.own"],
        stdin=subprocess.PIPE, stdout=subprocess.PIPE, env=environment, cwd=place,
    ) as agent:  # fmt: skip
        _call(agent, "initialize", protocolVersion=1, clientCapabilities={})
        session = _call(agent, "session/new", cwd=str(place), mcpServers=[])["sessionId"]
        _call(agent, "session/set_mode", sessionId=session, modeId="auto")
        _call(agent, "session/prompt", sessionId=session, prompt=[{"type": "text", "text": prompt(steps)}])
        agent.communicate()
    gaps = provider.gaps()
    assert len(gaps) == steps, f"{len(gaps)} steps were taken, not {steps}"
    return statistics.fmean(gaps)


def _call(agent: subprocess.Popen[bytes], method: str, **params: object) -> dict[str, Any]:
    """One request of ACP; updates that come meanwhile are passed over."""
    assert agent.stdin is not None
    assert agent.stdout is not None
    agent.stdin.write(json.dumps({"jsonrpc": "2.0", "id": method, "method": method, "params": params}).encode() + b"\n")
    agent.stdin.flush()
    for line in agent.stdout:
        message = json.loads(line)
        if message.get("id") == method:
            result: dict[str, Any] = message["result"]
            return result
    raise SystemExit(f"the agent ended at {method} with {agent.wait()}")
