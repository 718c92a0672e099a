from __future__ import annotations

import json
from pathlib import Path

import pytest

from handrail.sessions import agent


def test_a_transcript_begins_anew_at_its_limit_and_is_whole_lines_always(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "TRANSCRIPT_LIMIT", 500)
    file = tmp_path / "acp.jsonl"
    largest = 0
    for number in range(60):
        transcript = agent.Transcript(file)  # as after a start of the server: what is there counts
        for direction in ("in", "out"):
            transcript(direction, json.dumps({"number": number, "text": "x" * 20}).encode() + b"\n")
        transcript.close()
        kept = [json.loads(line) for line in file.read_text("utf-8").splitlines()]
        assert kept[-1]["message"]["number"] == number, "the newest is there"
        largest = max(largest, file.stat().st_size)
    assert 500 < largest < 700, "one message beyond it, at the most"
