"""Many sessions at once, and how soon a prompt reaches the model."""

from __future__ import annotations

import json
import statistics
import time
from pathlib import Path

from benchmarks import stage
from benchmarks.figures import Figure

SESSIONS, STEPS = 50, 20
TRIES = 12
_PATIENCE = 60.0
"""seconds that a first call may take"""


def run(folder: Path) -> list[Figure]:
    """Fifty sessions of twenty steps, then the latency of single prompts."""
    with stage.provider(folder) as provider, stage.server(folder / "many", provider.url) as server:
        place = stage.repository(folder)
        return [*_together(server, provider, place), *_latency(server, provider, place)]


def _together(server: stage.Server, provider: stage.Provider, place: Path) -> list[Figure]:
    sessions = [server.session(place) for _ in range(SESSIONS)]
    cold = _steps_a_second(server, provider, sessions, "cold")
    warm = _steps_a_second(server, provider, sessions, "warm")
    for session in sessions:
        server.post(f"/sessions/{session}/end")
    return [
        Figure(f"sessions_{SESSIONS}x{STEPS}_warm", warm, "steps/s", None, ">= 150 steps/s"),
        Figure(f"sessions_{SESSIONS}x{STEPS}_with_start", cold, "steps/s", None, "(50 agents started in it)"),
    ]


def _steps_a_second(server: stage.Server, provider: stage.Provider, sessions: list[str], word: str) -> float:
    """All sessions' steps over the time from the first prompt to the last call of the model."""
    provider.clear()
    began = time.monotonic()
    for session in sessions:
        steps = [{"repeat": STEPS, "step": {"shell": f"true # {word} {session} {{i}}"}}, {"text": "done"}]
        server.post(f"/sessions/{session}/prompts", {"text": f"Go. @@{json.dumps(steps)}@@"})
    for session in sessions:
        server.rest(session)
    calls = provider.calls()
    assert len(calls) == SESSIONS * (STEPS + 1), len(calls)
    last: float = max(call["answered"] for call in calls)
    return SESSIONS * STEPS / (last - began)


def _latency(server: stage.Server, provider: stage.Provider, place: Path) -> list[Figure]:
    nothing, warm = [], []
    for number in range(TRIES):
        provider.clear()
        began = time.monotonic()
        session = server.session(place, prompt=_say(number))
        nothing.append(1000 * (_first(provider) - began))
        server.rest(session)
        provider.clear()
        began = time.monotonic()
        server.post(f"/sessions/{session}/prompts", {"text": _say(number)})
        warm.append(1000 * (_first(provider) - began))
        server.rest(session)
        server.post(f"/sessions/{session}/end")
    return [
        Figure("prompt_to_model_warm", statistics.median(warm), "ms", None, "<= 60 ms"),
        Figure("prompt_to_model_from_nothing", statistics.median(nothing), "ms", None, "<= 500 ms"),
    ]


def _first(provider: stage.Provider) -> float:
    """When the first call arrived, waited for: a session rests until its prompt has left the queue, too."""
    end = time.monotonic() + _PATIENCE
    while not (calls := provider.calls()):
        assert time.monotonic() < end, "no call came"
        time.sleep(0.005)
    arrived: float = calls[0]["arrived"]
    return arrived


def _say(number: int) -> str:
    return f'Hello {number}. @@[{{"text": "hello"}}]@@'
