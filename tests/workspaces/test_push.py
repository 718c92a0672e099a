from __future__ import annotations

from pathlib import Path

import pytest

from handrail.workspaces import push
from tests.workspaces.conftest import sh

HEADER = {"http.http://127.0.0.1:9/.extraHeader": "Authorization: Basic c2VjcmV0"}


@pytest.fixture
def source(tmp_path: Path) -> Path:
    place = tmp_path / "source"
    place.mkdir()
    sh("git", "init", "-q", "-b", "main", cwd=place)
    sh("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "x", cwd=place)
    sh("git", "init", "-q", "--bare", "../target.git", cwd=place)
    return place


async def test_a_commit_goes_to_a_branch_that_is_where_it_was_seen(source: Path, tmp_path: Path) -> None:
    target, commit = str(tmp_path / "target.git"), sh("git", "rev-parse", "HEAD", cwd=source).strip()
    assert await push.head(source, target, {}, "feature") is None
    assert await push.push(source, target, {}, commit=commit, branch="feature", expected=None) is None
    assert await push.head(source, target, {}, "feature") == commit
    sh("git", "-c", "user.name=a", "-c", "user.email=a@b", "commit", "-q", "--allow-empty", "-m", "y", cwd=source)
    later = sh("git", "rev-parse", "HEAD", cwd=source).strip()
    refused = await push.push(source, target, {}, commit=later, branch="feature", expected="0" * 39 + "1")
    assert isinstance(refused, push.Refused)
    assert "stale info" in refused.said
    assert await push.head(source, target, {}, "feat") is None  # a name, not a pattern


async def test_the_credential_stands_in_the_environment_alone(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    spy = tmp_path / "bin" / "git"
    spy.parent.mkdir()
    spy.write_text('#!/bin/sh\nprintf "%s\\n" "$@" > "$0.argv"\nenv > "$0.env"\n')
    spy.chmod(0o755)
    monkeypatch.setenv("PATH", f"{spy.parent}:/usr/bin:/bin")
    await push.push(source, "http://127.0.0.1:9/a/b.git", HEADER, commit="a" * 40, branch="x", expected=None)
    assert "c2VjcmV0" not in (spy.parent / "git.argv").read_text()
    told = (spy.parent / "git.env").read_text()
    assert "c2VjcmV0" in told
    assert "http.followRedirects" in told


@pytest.mark.parametrize("url", ["ext::sh -c true", "ssh://127.0.0.1/x", "git://127.0.0.1/x"])
async def test_other_ways_than_http_and_files_are_closed(source: Path, url: str) -> None:
    refused = await push.head(source, url, {}, "x")
    assert isinstance(refused, push.Refused)
    assert "not allowed" in refused.said
