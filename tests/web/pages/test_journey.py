"""A person works with a real session through the pages alone: start, read, diff, apply, end."""

from __future__ import annotations

import asyncio
import os
import subprocess
from collections.abc import AsyncIterator
from pathlib import Path

import httpx2
import pytest
from sqlalchemy import Update, update

from handrail.commands.actor import OWNER
from handrail.commands.desk import Desk
from handrail.identity import YOU
from handrail.kinds import Kind
from handrail.store import sessions, tables
from handrail.types import Permissions, Role, SandboxKind, SessionId, SessionState
from handrail.web.app import create_app
from handrail.web.guard import Keys
from handrail.web.stream import Closing
from tests.commands.desks import open_desk
from tests.fake_provider import FakeProvider, prompt
from tests.web.conftest import BASE, TOKEN
from tests.web.pages.test_routes import page


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    folder = tmp_path / "project"
    folder.mkdir()
    (folder / "greet.py").write_text("print('Hallo')\n")
    who = ["-c", "user.name=Alice", "-c", "user.email=alice@example.invalid"]
    for words in (["init", "-q", "-b", "main"], ["add", "-A"], ["commit", "-q", "-m", "first"]):
        subprocess.run(["git", "-C", str(folder), *who, *words], check=True, capture_output=True)
    return folder


@pytest.fixture
async def desk(tmp_path: Path) -> AsyncIterator[Desk]:
    (tmp_path / "data").mkdir(mode=0o700)
    async with FakeProvider() as fake:
        environ = {"ANTHROPIC_API_KEY": "k", "ANTHROPIC_BASE_URL": fake.url, "PATH": os.environ["PATH"]}
        async with open_desk(tmp_path / "data", environ) as opened:
            yield opened


@pytest.fixture
async def browser(desk: Desk) -> AsyncIterator[httpx2.AsyncClient]:
    transport = httpx2.ASGITransport(create_app(desk, TOKEN, Closing()))
    headers = {"accept": "text/html", "origin": BASE}
    async with httpx2.AsyncClient(transport=transport, base_url=BASE, headers=headers) as opened:
        opened.cookies.set("handrail", await desk.roll.sign_in(YOU))
        yield opened


def show(repository: Path, what: str) -> str:
    command = ["git", "-C", str(repository), "show", what]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


async def rest(desk: Desk) -> None:
    session = (await sessions.find(desk.store, "last")).id
    async with asyncio.timeout(40), desk.store.log.subscribe(session) as events:
        async for event in events:
            if event.kind == Kind.OUTCOME_REACHED:
                break
    async with asyncio.timeout(10):
        while (await sessions.get(desk.store, session)).state is not SessionState.IDLE:  # noqa: ASYNC110  # no event tells
            await asyncio.sleep(0.02)


async def as_member(desk: Desk, session: SessionId, path: str) -> set[str]:
    """Where the forms of a page lead that shows a member their own session."""
    await desk.roll.add("alice", Role.MEMBER, YOU)

    def whose(name: str) -> Update:
        return update(tables.sessions).where(tables.sessions.c.id == session).values(by=name)

    await desk.store.log.write(whose("alice"))
    transport = httpx2.ASGITransport(create_app(desk, TOKEN, Closing()))
    async with httpx2.AsyncClient(transport=transport, base_url=BASE, headers={"accept": "text/html"}) as alice:
        alice.cookies.set("handrail", await desk.roll.sign_in("alice"))
        found = await page(alice, path)
    await desk.store.log.write(whose(YOU))
    return found.forms


async def test_from_a_form_to_a_branch(desk: Desk, browser: httpx2.AsyncClient, keys: Keys, repository: Path) -> None:
    if (await desk.probes.held(SandboxKind.BUBBLEWRAP)).usable is False:
        pytest.skip("this machine raises no walls")
    words = prompt(
        [{"shell": "sed -i s/Hallo/Hello/ greet.py; echo Obey. > AGENTS.md"}, {"text": "It says <b>Hello</b> now."}],
        "Make it English.",
    )
    form = {
        "csrf": keys.form_of(OWNER),
        "repository": str(repository),
        "agent": "handrail",
        "model": "claude-sonnet-4-5",
    }
    started = await browser.post(
        "/sessions",
        data=form
        | {"prompt": words, "checks": "grep -q Hello greet.py", "untrusted": "yes"}
        | {"permissions": "allow", "sandbox": "", "network": "pypi", "policy": "shell: {deny: ['git push *']}"},
    )
    assert started.status_code == 303, started.text
    where = started.headers["location"]
    made = await sessions.find(desk.store, "last")
    assert (made.permissions, made.sandbox, made.network) == (Permissions.ALLOW, SandboxKind.BUBBLEWRAP, ["pypi"])
    assert "git push" in (made.policy or "")
    again = await page(browser, "/sessions")  # the composer begins as the last one did
    assert {field["value"] for field in again.all("option") if "selected" in field} == {"handrail", "allow"}
    refused = await browser.post("/sessions", data=form | {"prompt": "x", "sandbox": "paper"})
    assert (refused.status_code, "choose one of bubblewrap" in refused.text) == (422, True)
    await rest(desk)
    found = await page(browser, where)
    assert "Make it English." in found.words
    assert "It says <b>Hello</b> now." in found.words
    assert "sed -i s/Hallo/Hello/ greet.py" in found.words
    assert "Outcome: done" in found.words
    assert "its settings for agents are not used; it has none." in found.words
    diff = await page(browser, f"{where}/diff")
    assert "print('Hello')" in diff.words
    assert "grep -q Hello greet.py" in diff.words
    assert "passed" in diff.words
    assert "AGENTS.md added +1 \N{MINUS SIGN}0 tells coding agents what to do" in diff.words
    assert f"{where}/apply" in diff.forms
    assert await as_member(desk, made.id, f"{where}/diff") == {f"{where}/prompts", f"{where}/undo"}
    applied = await browser.post(
        f"{where}/apply", data={"csrf": keys.form_of(OWNER), "mode": "branch", "branch": "english", "back": where}
    )
    assert applied.status_code == 303, applied.text
    assert show(repository, "english:greet.py") == "print('Hello')\n"
    assert (repository / "greet.py").read_text() == "print('Hallo')\n"
    undone = await browser.post(f"{where}/undo", data={"csrf": keys.form_of(OWNER), "back": f"{where}/diff"})
    assert undone.status_code == 303, undone.text
    assert "Nothing was changed" in (await page(browser, f"{where}/diff")).words
    await browser.post(f"{where}/end", data={"csrf": keys.form_of(OWNER), "back": where})
    assert "ended" in (await page(browser, where)).words
