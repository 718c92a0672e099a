"""The profile, held line by line: no Mac has read it."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace

from handrail.errors import SandboxError
from handrail.sandbox import Walls
from handrail.sandbox.seatbelt import SeatbeltBackend, profile, refusal

WALLS = Walls(
    workspace=Path("/data/s/workspace/app"),
    home=Path("/data/s/home"),
    read_only=(Path("/opt/node"), Path("/data/mirror/objects")),
    protected=(Path("/data/s/workspace/app/.git/hooks"), Path("/data/s/workspace/app/.git/config")),
)
SCRATCH = Path("/private/tmp/handrail-1")
GOLDEN = Path(__file__).parent / "golden" / "seatbelt.sb"


def test_the_whole_profile() -> None:
    assert profile(WALLS, scratch=SCRATCH, door=3129) == GOLDEN.read_text("utf-8")


def test_without_a_door_there_is_no_network() -> None:
    closed = profile(WALLS, scratch=SCRATCH)
    assert "network" not in closed
    assert "socket" not in closed
    assert profile(WALLS, scratch=SCRATCH, door=3129).startswith(closed)


def test_what_is_protected_is_denied_after_it_was_allowed() -> None:
    text = profile(WALLS, scratch=SCRATCH)
    assert text.index("(deny file-write*") > text.rindex("(allow")
    assert "deny file" not in profile(replace(WALLS, protected=()), scratch=SCRATCH)


def test_the_same_walls_give_the_same_profile() -> None:
    turned = replace(WALLS, read_only=WALLS.read_only[::-1], protected=WALLS.protected[::-1])
    assert profile(turned, scratch=SCRATCH) == profile(WALLS, scratch=SCRATCH)


def test_no_path_adds_a_rule() -> None:
    sly = replace(WALLS, workspace=Path('/data/a") (allow default) ("\\'), protected=())
    assert r'(subpath "/data/a\") (allow default) (\"\\")' in profile(sly, scratch=SCRATCH)
    with pytest.raises(SandboxError, match="holds a character"):
        profile(replace(WALLS, workspace=Path("/data/a\nb"), protected=()), scratch=SCRATCH)


def test_walls_that_contradict_themselves_have_no_profile() -> None:
    with pytest.raises(SandboxError, match="both writable and read-only"):
        profile(replace(WALLS, read_only=(WALLS.home,)), scratch=SCRATCH)


async def test_it_starts_nothing_and_says_so() -> None:
    backend = SeatbeltBackend()
    with pytest.raises(SandboxError, match="this is not macOS: choose bubblewrap"):
        await backend.probe()
    with pytest.raises(SandboxError, match="untested"):
        await backend.open(WALLS)
    assert "untested" in refusal("darwin")
    await backend.close()
