"""A session branched off another at one of its turns, with the real agent, walls and git."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from handrail.commands import branching, changes, files, sessions
from handrail.commands.actor import OWNER
from handrail.commands.desk import Desk
from handrail.errors import InvalidInput, NotFound
from handrail.kinds import Kind
from handrail.sessions.origin import Origin
from handrail.types import SessionId
from handrail.workspaces.browse import File
from tests.commands.desks import open_desk
from tests.fake_provider import FakeProvider, prompt
from tests.sessions.conftest import repository

__all__ = ["repository"]


async def turn(desk: Desk, session: SessionId, steps: list[dict[str, object]], text: str) -> None:
    after = await desk.store.log.last_seq(session)
    await sessions.prompt(desk, OWNER, session, prompt(steps, text))
    async with asyncio.timeout(60), desk.store.log.subscribe(session, after) as events:
        async for event in events:
            if event.kind == Kind.TURN_ENDED:
                break


async def text(desk: Desk, session: SessionId, at: int | None = None) -> str | None:
    found = (await files.look(desk, OWNER, session, "greet.py", at)).found
    assert isinstance(found, File)
    return found.text


async def test_a_branch_has_the_files_of_its_turn_and_is_told_what_was_before(tmp_path: Path, repository: Path) -> None:
    async with FakeProvider() as fake:
        environ = {"ANTHROPIC_API_KEY": "sk-test", "ANTHROPIC_BASE_URL": fake.url}
        async with open_desk(tmp_path / "data", environ) as desk:
            wanted = sessions.Wanted(
                str(repository), model="claude-sonnet-4-5", title="Greet", permissions="allow", scopes=("run:r-1",)
            )
            first = (await sessions.create(desk, OWNER, wanted)).row.id
            await turn(desk, first, [{"shell": "echo one >> greet.py"}, {"text": "Wrote one."}], "Write one.")
            await turn(desk, first, [{"shell": "echo two >> greet.py"}, {"text": "Wrote two."}], "Write two.")
            made = (await branching.branch(desk, OWNER, first, 1)).row
            assert (made.title, made.agent, made.model, made.turn) == ("Greet", "handrail", "claude-sonnet-4-5", 0)
            assert (made.permissions, list(made.scopes)) == ("allow", ["member:you", f"session:{made.id}"])
            assert await branching.origin_of(desk, OWNER, made.id) == Origin(first, 1)
            assert str(await text(desk, made.id)).endswith("one\n")
            await turn(desk, made.id, [{"shell": "echo three >> greet.py"}, {"text": "Wrote three."}], "Write three.")
            heard = fake.model_calls[-1].raw.decode()
            for words in ("this session was branched", "Write one.", "Wrote one.", "Write three."):
                assert words in heard
            assert not any(words in heard for words in ("Write two.", "echo two", "Wrote two."))
            await turn(desk, made.id, [{"text": "Nothing more."}], "And now?")
            assert fake.model_calls[-1].raw.decode().count("this session was branched") == 1
            assert str(await text(desk, made.id)).endswith("one\nthree\n")
            assert str(await text(desk, first)).endswith("one\ntwo\n")
            assert "+three" in (change := (await changes.diff(desk, OWNER, made.id, None, None)).patch)
            assert "+one" not in change
            second = (await branching.branch(desk, OWNER, made.id, title="Again")).row
            assert second.title == "Again"
            await turn(desk, second.id, [{"text": "I see."}], "What was done?")
            heard = fake.model_calls[-1].raw.decode()
            assert heard.index("Write one.") < heard.index("Write three.")
            start = (await branching.branch(desk, OWNER, first, 0)).row
            assert str(await text(desk, start.id)).endswith('"Hallo " + name\n')
            with pytest.raises(InvalidInput, match="name a turn"):
                await branching.branch(desk, OWNER, first, 9)
            with pytest.raises(NotFound):
                await branching.branch(desk, OWNER, "s-none")
