from __future__ import annotations

import os
from pathlib import Path

import pytest

from handrail.errors import SandboxError
from handrail.sandbox.paths import FIRST_UID, choose_uid, hand_over, missing_program, session_uid, uid_range
from tests.sandbox.conftest import Place

root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root")


@root
def test_uids_are_free_or_kept(place: Place) -> None:
    first, _ = uid_range()
    assert choose_uid(place.workspace, ()) == first
    assert choose_uid(place.workspace, {first, first + 1}) == first + 2
    os.chown(place.workspace, first + 7, first + 7)
    assert choose_uid(place.workspace, {first + 7}) == first + 7


@root
def test_sessions_that_live_at_once_have_uids_of_their_own_and_none_is_root() -> None:
    first, last = uid_range()
    many = [session_uid(number) for number in range(1, min(1000, last - first + 1))]
    assert len(set(many)) == len(many)
    assert all(uid is not None and first <= uid <= last for uid in many)
    assert first > 0


def test_uids_run_out(place: Place) -> None:
    first, last = uid_range()
    assert first == FIRST_UID or last - first <= 4096
    with pytest.raises(SandboxError, match="are in use"):
        choose_uid(place.workspace, range(first, last + 1))


@root
def test_no_link_is_followed_when_files_change_hands(place: Place) -> None:
    secret = place.top / "secret"
    secret.write_text("x")
    (place.home / "link").symlink_to(secret)
    (place.home / "directory").symlink_to(place.top)
    (place.home / "file").write_text("x")
    hand_over(place.home, FIRST_UID)
    assert secret.stat().st_uid == place.top.stat().st_uid == 0
    assert (place.home / "file").stat().st_uid == (place.home / "link").lstat().st_uid == FIRST_UID


def test_a_tree_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(SandboxError, match="cannot be given"):
        hand_over(tmp_path / "none", os.getuid())


def test_programs_are_looked_for_where_the_walls_see(place: Place) -> None:
    walls = place.walls()
    tool = place.workspace / "tool"
    tool.write_text("")
    hidden = place.top / "hidden"
    hidden.write_text("")
    link = place.workspace / "link"
    link.symlink_to(hidden)

    def missing(program: str) -> str | None:
        return missing_program(program, walls, f"/usr/bin:{place.top}", place.workspace)

    assert missing("sh") is missing("./tool") is missing(str(tool)) is None
    assert "was not found" in str(missing("no-such-program"))
    for program in ("hidden", str(hidden), "./link", "../hidden"):
        assert "is not mounted" in str(missing(program))
