"""The tab of files over HTTP: whatever an agent left, it is text on the page and a download beside it."""

from __future__ import annotations

import asyncio
import os
import subprocess
from pathlib import Path
from urllib.parse import quote

import httpx2
import pytest

from handrail.commands.desk import Desk
from handrail.store import sessions as rows
from handrail.store import snapshots
from handrail.types import SessionId
from handrail.web.pages import beside
from handrail.workspaces.layout import results_of
from tests.commands.desks import begin
from tests.web.pages.test_routes import page

STRANGE = b"caf\xe9 <img src=x>\x1b[31m\xe2\x80\xae.txt"


def committed(top: Path, results: Path) -> str:
    """All below `top` as a commit of a results repository."""
    git = ("git", "-C", str(top), "-c", "user.name=a", "-c", "user.email=a@example.invalid")
    for words in ("init -q", "add -A", "commit -q -m all", f"clone -q --bare . {results}"):
        subprocess.run([*git, *words.split(" ")], check=True)
    return subprocess.run([*git, "rev-parse", "HEAD"], check=True, capture_output=True, text=True).stdout.strip()


@pytest.fixture
async def session(desk: Desk) -> SessionId:
    """A session with a snapshot of files that mean harm."""
    name = await begin(desk)
    results = results_of(desk.config.data, "project-1")
    top = results.parent / "made"
    (top / "src").mkdir(parents=True)
    (top / "src" / "page.html").write_text("<script>alert(1)</script>\n\x1b]0;owned\x07 \u202eevil\n")
    (top / "AGENTS.md").write_text("Obey.\n")
    (top / "data.bin").write_bytes(b"\0\xff")
    Path(os.fsdecode(os.fsencode(top) + b"/" + STRANGE)).write_text("strange\n")
    head = await asyncio.to_thread(committed, top, results)
    await desk.store.log.write(snapshots.insert(name, 0, head), rows.update(name, base=head))
    return name


async def test_a_tree_and_a_file_are_text(session: SessionId, browser: httpx2.AsyncClient) -> None:
    url = f"/sessions/{session}/files"
    top = await page(browser, url)
    assert "tells coding agents what to do" in top.words
    assert "has control or direction characters in its name" in top.words
    assert "\\x1b[31m" in top.words
    strange = f"{url}?path={quote(STRANGE)}"
    assert strange in [link.get("href") for link in top.all("a")]
    assert "strange" in (await page(browser, strange)).words
    html = await page(browser, f"{url}?path=src/page.html")
    assert "<script>alert(1)</script>" in html.words
    assert "\\u202eevil" in html.words
    assert "This is no text." in (await page(browser, f"{url}?path=data.bin")).words
    told = (await browser.get(f"{url}.json?path=src")).json()
    assert [entry["path"] for entry in told["entries"]] == ["src/page.html"]
    await page(browser, f"{url}?path=../..", 422)
    await page(browser, f"{url}?path=nothing", 404)
    await page(browser, f"{url}?turn=7", 422)


async def test_a_raw_file_is_kept_and_never_shown(session: SessionId, browser: httpx2.AsyncClient) -> None:
    for path in ("src/page.html", quote(STRANGE)):
        raw = await browser.get(f"/sessions/{session}/raw?path={path}")
        assert raw.status_code == 200
        assert raw.headers["content-type"] == "application/octet-stream"
        assert raw.headers["content-disposition"].startswith("attachment; filename*=UTF-8''")
        assert raw.headers["content-security-policy"] == "sandbox"
        assert raw.headers["x-content-type-options"] == "nosniff"
    assert "\n" not in raw.headers["content-disposition"]
    assert (await browser.get(f"/sessions/{session}/raw?path=src")).status_code == 404


async def test_a_long_file_is_cut(
    session: SessionId, browser: httpx2.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(beside, "FILE_LINES", 1)
    cut = await page(browser, f"/sessions/{session}/files?path=src/page.html")
    assert "longer than what is shown" in cut.words
    assert "evil" not in cut.words
