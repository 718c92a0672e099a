"""Every recorded payload of `@octokit/webhooks-examples` is taken, and none crashes anything (issue 4)."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace

from handrail.triggers import Settings
from handrail.triggers.match import Wanted, judge
from handrail.triggers.receive import ours, receive
from handrail.triggers.senders import SenderKind
from tests.store.test_arrivals import made
from tests.triggers.hooks import SECRET, github

VERSION = "7.6.1"
CACHE = Path(__file__).parents[2] / ".cache" / "webhooks-examples"


@pytest.fixture(scope="module")
def corpus() -> list[tuple[str, dict[str, Any]]]:
    file = CACHE / "node_modules/@octokit/webhooks-examples/api.github.com/index.json"
    if not file.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        package = f"@octokit/webhooks-examples@{VERSION}"
        command = ["npm", "install", "--silent", "--no-audit", "--no-fund", "--ignore-scripts", "--prefix", str(CACHE)]
        subprocess.run([*command, package], check=True, timeout=120)
    events = json.loads(file.read_text("utf-8"))
    return [(event["name"], example) for event in events for example in event["examples"]]


@pytest.mark.timeout(180)
def test_all_payloads_of_githubs_corpus_are_taken(corpus: list[tuple[str, dict[str, Any]]]) -> None:
    assert len(corpus) == 329
    wanted = Wanted(events=("pull_request",), actions=("opened",), when="!(pull_request.draft)")
    meanings: dict[str, set[str]] = {}
    started = 0
    for number, (name, payload) in enumerate(corpus):
        message = receive(SenderKind.GITHUB, github(name, payload, delivery=str(number)), SECRET, Settings())
        assert message.event == name
        assert ours(message, Settings()) is None
        row = replace(made(f"e-{number}"), event=name, action=message.action, payload=payload)
        verdict = judge(wanted, row)
        opened = name == "pull_request" and payload["action"] == "opened" and not payload["pull_request"].get("draft")
        assert verdict.matched == opened, verdict.why
        started += verdict.matched
        meanings.setdefault(message.meaning, set()).add(json.dumps(payload, sort_keys=True))
        if "pull_request" in payload:
            assert message.number is not None
    assert started > 2
    # the same meaning is never given to two things: what shares one is the same act on the same subject
    for meaning, payloads in meanings.items():
        subjects = {json.dumps(_subject(json.loads(text)), sort_keys=True) for text in payloads}
        assert len(subjects) == 1, meaning


def _subject(payload: dict[str, Any]) -> object:
    return [payload.get("action"), payload.get("ref"), payload.get("after")] + [
        payload[key].get("id") for key in ("comment", "pull_request", "issue", "check_run") if payload.get(key)
    ]
