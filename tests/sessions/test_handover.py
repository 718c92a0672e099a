"""A session and what it is to do are one transaction: a server killed right after it leaves work that goes on."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from handrail.kinds import Kind
from handrail.store import prompts
from handrail.types import Control, Outcome, SessionId, SessionState
from tests.fake_provider import FakeProvider, prompt
from tests.sessions.conftest import Open

MEND: list[dict[str, object]] = [{"shell": "sed -i s/Hallo/Hello/ greet.py"}, {"text": "done"}]

# The server as far as it is needed to make a session; it dies at the moment at which the session has been written.
SERVER = """
import asyncio, os, signal, sys
from msgspec.structs import replace
from pathlib import Path
from handrail.sessions import supervisor
from handrail.sessions.create import create
from handrail.sessions.rooms import NewSession
from handrail.types import Check, Goal, Permissions
from tests.sessions.conftest import open_house

async def dies(*given):
    print((await create(*given)).id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)

supervisor.create = dies

class Fake:
    url = sys.argv[1]

async def main():
    data, repository, what, text = Path(sys.argv[2]), Path(sys.argv[3]), sys.argv[4], sys.argv[5]
    new = NewSession(repository=repository, model="claude-sonnet-4-5", permissions=Permissions.ALLOW)
    new = replace(new, goal=Goal(text, (Check("sh check.sh"),))) if what == "goal" else replace(new, prompt=text)
    async with open_house.__wrapped__(data, repository, Fake)() as house:
        await house.sessions.create(new, "test")

asyncio.run(main())
"""


def killed(fake: FakeProvider, tmp_path: Path, repository: Path, what: str, text: str) -> SessionId:
    """Make a session in a server that dies of it; returns its name."""
    command = [sys.executable, "-c", SERVER, fake.url, str(tmp_path), str(repository), what, text]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=50, env=dict(os.environ))
    assert done.returncode == -signal.SIGKILL, done.stderr
    return SessionId(done.stdout.strip())


@pytest.mark.parametrize("what", ["goal", "prompt"])
async def test_killed_between_making_and_beginning(
    what: str, open_house: Open, fake: FakeProvider, tmp_path: Path, repository: Path
) -> None:
    session = killed(fake, tmp_path, repository, what, prompt(MEND, "Make it say Hello."))
    async with open_house() as house:
        await house.until(session, Kind.OUTCOME_REACHED if what == "goal" else Kind.TURN_ENDED)
        row = await house.rest(session)
        assert row.title.startswith("Make it say Hello.")
        assert row.turn == 1
        assert await prompts.queued(house.store, session) == []
        assert [file.path for file in (await house.sessions.diff(session, None, None)).files] == ["greet.py"]
        if what == "goal":
            assert row.outcome == Outcome.DONE
            kinds = [event.kind for event in await house.events(session)][:3]
            assert kinds == [Kind.SESSION_CREATED, Kind.GOAL_SET, Kind.CONTROL_CHANGED]
        else:
            assert (row.control, row.state) == (Control.YOU, SessionState.IDLE)
