"""What a kiln does once for all that it forks."""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from importlib import import_module
from typing import Any

import pytest

from handrail.agents import door, warm


def test_it_calls_and_leaves_nothing_behind(monkeypatch: pytest.MonkeyPatch) -> None:
    answers = []

    class Remote(door.Remote):
        def _post(self, message: Mapping[str, object], *how: Any) -> list[Any]:
            answers.extend(came := super()._post(message, *how))
            return came

    monkeypatch.setattr(warm, "Remote", Remote)
    descriptors, threads = os.listdir("/proc/self/fd"), threading.active_count()  # noqa: PTH208

    warm.warm_up()

    assert [answer["id"] for answer in answers] == list(range(1, 11))
    assert (os.listdir("/proc/self/fd"), threading.active_count()) == (descriptors, threads)  # noqa: PTH208


def test_the_kiln_finds_it_at_the_own_agent() -> None:
    assert import_module("handrail.agents.own.__main__").warm_up is warm.warm_up
