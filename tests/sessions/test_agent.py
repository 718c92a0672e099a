from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest

from handrail.sessions import agent


async def test_a_transcript_begins_anew_at_its_limit_and_is_whole_lines_always(
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
    assert 500 < largest < 700, "what was written together beyond it, at the most"


async def test_messages_that_wait_for_others_are_in_the_file_soon(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(agent, "WRITE_AT_ONCE", 100)
    file = tmp_path / "acp.jsonl"
    transcript = agent.Transcript(file)
    transcript("out", b'{"n":1}')
    transcript("in", b'{"n":2}')
    assert not file.exists()
    async with asyncio.timeout(10):
        while not file.exists():  # noqa: ASYNC110  # it is the file that is waited for
            await asyncio.sleep(0.01)
    assert [json.loads(line)["message"]["n"] for line in file.read_bytes().splitlines()] == [1, 2]
    transcript("in", b'{"n":"%s"}' % (b"x" * 100))
    assert len(file.read_bytes().splitlines()) == 3, "a large one is not held in memory"
    transcript.close()
