from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from handrail.errors import SandboxError
from handrail.sandbox.bubblewrap import BubblewrapBackend
from handrail.sandbox.disk import DEEPEST, LEAST, measure
from tests.sandbox.conftest import Place

MEGABYTE = 1 << 20
WRITE = """
import sys, time
for number in range(int(sys.argv[2])):
    with open(f"{sys.argv[1]}/part-{number}", "wb") as file:
        file.write(bytes(1 << 20))
    time.sleep(0.01)
print("written", flush=True)
time.sleep(float(sys.argv[3]))
"""


def write(directory: Path, megabytes: int, rest: float) -> list[str]:
    return [sys.executable, "-I", "-S", "-c", WRITE, str(directory), str(megabytes), str(rest)]


def test_what_counts(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(bytes(MEGABYTE))
    (tmp_path / "again").hardlink_to(tmp_path / "file")
    (tmp_path / "away").symlink_to("/usr")
    with (tmp_path / "hole").open("wb") as file:
        file.truncate(1 << 40)
    assert MEGABYTE <= measure((tmp_path,)) < 2 * MEGABYTE
    many = tmp_path / "many"
    many.mkdir()
    for number in range(2000):
        (many / str(number)).touch()
    assert measure((many,)) >= 2000 * LEAST
    assert measure((tmp_path / "gone",)) == 0


def test_what_is_closed_is_counted_and_stays_closed(tmp_path: Path) -> None:
    closed = tmp_path / "closed"
    closed.mkdir()
    (closed / "file").write_bytes(bytes(MEGABYTE))
    closed.chmod(0)
    assert measure((tmp_path,)) >= MEGABYTE
    assert closed.stat().st_mode & 0o777 == 0
    closed.chmod(0o700)


def test_files_without_a_name_are_counted(tmp_path: Path) -> None:
    descriptor = os.open(tmp_path, os.O_TMPFILE | os.O_RDWR)
    os.write(descriptor, bytes(MEGABYTE))
    assert measure((tmp_path,)) < MEGABYTE <= measure((tmp_path,), [os.getpid()])
    os.close(descriptor)


def test_what_is_too_deep_counts_as_over_any_limit(tmp_path: Path) -> None:
    current = os.open(tmp_path, os.O_RDONLY)
    for _ in range(DEEPEST + 5):
        os.mkdir("d", dir_fd=current)
        below = os.open("d", os.O_RDONLY, dir_fd=current)
        os.close(current)
        current = below
    os.close(current)
    assert measure((tmp_path,)) > 1 << 50


@pytest.mark.parametrize("where", ["workspace", "home"])
async def test_at_the_limit_everything_is_ended(bubblewrap: BubblewrapBackend, place: Place, where: str) -> None:
    directory: Path = getattr(place, where)
    box = await bubblewrap.open(place.walls(disk_bytes=8 * MEGABYTE))
    process = await box.start(write(directory, 40, 60), env={})
    assert (await process.wait()).reason == "out_of_disk"
    with pytest.raises(SandboxError, match=r"the limit is 8 MiB: undo the last turn, or raise limits\.disk"):
        await box.start(["/bin/true"], env={})
    # what Handrail itself runs can still look, and make room
    done = await box.run(["/bin/sh", "-c", f"rm {directory}/part-*"])
    assert done.code == 0
    assert await (await box.start(["/bin/true"], env={})).wait()


async def test_below_the_limit_nothing_is_ended(bubblewrap: BubblewrapBackend, place: Place) -> None:
    box = await bubblewrap.open(place.walls(disk_bytes=32 * MEGABYTE))
    process = await box.start(write(place.workspace, 8, 0.5), env={})
    assert (await process.wait()).code == 0


async def test_one_file_is_held_by_the_kernel(bubblewrap: BubblewrapBackend, place: Place) -> None:
    box = await bubblewrap.open(place.walls(disk_bytes=8 * MEGABYTE))
    done = await box.run(["/bin/sh", "-c", "head -c 20000000 /dev/zero > file; stat -c %s file"])
    assert int(done.stdout) == 8 * MEGABYTE
