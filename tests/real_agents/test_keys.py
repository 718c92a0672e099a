"""Claude Code, Codex and Gemini CLI work with a placeholder: nothing inside their walls holds the provider's key."""

from __future__ import annotations

import json
from contextlib import suppress
from pathlib import Path

import pytest

from handrail.agents import catalogue, install
from handrail.types import Check, Goal, Outcome
from tests.fake_provider import prompt
from tests.real_agents.fetch import CACHE
from tests.real_agents.test_sessions import told
from tests.sessions.conftest import Open, fake, open_house, repository

__all__ = ["fake", "open_house", "repository"]

pytestmark = [pytest.mark.agents, pytest.mark.timeout(300)]

KEY = b"house-key-5b21c9"
"""what the gateway of `open_house` calls the provider with"""
SEARCH = """
import json, os, stat
key, found, environments = b"house-key" + b"-5b21c9", [], 0
since = os.stat("search.py").st_ctime - 600
for top, names, files in os.walk("/"):
    skipped = {"task", "map_files", "cwd", "root", "fd", "fdinfo"}
    names[:] = [name for name in names if name not in skipped and os.path.join(top, name) != "/sys"]
    for name in files:
        path = os.path.join(top, name)
        try:
            told = os.lstat(path)
            if not stat.S_ISREG(told.st_mode) or name in {"mem", "pagemap", "kmsg", "clear_refs", "kcore"}:
                continue
            if path.startswith("@AGENTS@") or (not path.startswith("/proc/") and told.st_ctime < since):
                continue  # what was fetched from a registry, and what was there before
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
            try:
                content = os.read(descriptor, 64 << 20)
            finally:
                os.close(descriptor)
        except OSError:
            continue
        environments += name == "environ" and bool(content)
        if key in content:
            found.append(path)
with open("found.json", "w") as file:
    json.dump({"found": found, "environments": environments}, file)
"""


WAIT: dict[str, object] = {"repeat": 12, "step": {"shell": "test -s found.json || sleep 8; true {i}"}}
"""Codex goes on after ten seconds, while a command still runs"""


@pytest.mark.parametrize("name", ["claude", "codex", "gemini"])
async def test_a_search_of_everything_inside_finds_no_key(open_house: Open, name: str) -> None:
    if install.find(catalogue.get(name), CACHE) is None:
        pytest.skip(f"{name} is not in {CACHE}: run `make agents-ci`")
    async with open_house(agent_start=90.0) as house:
        session = await house.new(agent=name)
        workspace = Path((await house.row(session)).workspace)
        (workspace / "search.py").write_text(SEARCH.replace("@AGENTS@", f"{CACHE.resolve()}/"))
        (workspace / "planted.txt").write_bytes(b"a search that finds nothing must be able to find: " + KEY)
        step: dict[str, object] = {"shell": "python3 search.py && echo over"}
        steps: list[dict[str, object]] = [{"read": f"{workspace}/greet.py"}, step, WAIT, {"text": "done"}]
        goal = Goal(prompt(steps, f"For {name}: search."), (Check("test -s found.json"),))
        await house.sessions.handoff(session, goal, "test")
        reached = await house.outcome(session, seconds=200)
        assert reached.data["outcome"] == Outcome.DONE, await told(house, session)
        came = json.loads((workspace / "found.json").read_text())
        assert came["found"] == [str(workspace / "planted.txt")]
        assert came["environments"] >= 1
        # From outside, where no process can hide: who has the placeholder in its environment has no key beside it.
        token = house.sessions._rooms.gateway.accounts[session].token.encode()
        given = [environment for environment in environments() if token in environment]
        assert given, "the agent was started with the placeholder"
        assert [environment for environment in given if KEY in environment] == []


def environments() -> list[bytes]:
    """The environment of every process."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            found.append(entry.read_bytes())
    return found
