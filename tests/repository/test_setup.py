"""What `scripts/setup` says and does on a machine without bubblewrap: a search path without it, the script as it is."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
NOBODY = 65534
PROGRAMS = ("bash", "cat", "dirname", "git", "id", "mktemp", "python3", "rm", "sha256sum", "tail")
PRESENT = "#!/bin/sh\nexit 0\n"


@pytest.fixture
def clone() -> Iterator[Path]:
    """A bare clone that is set up but for system parts, where everybody may read it; `bin` is its search path."""
    top = Path(tempfile.mkdtemp(prefix="handrail-setup-"))
    top.chmod(0o755)
    for name in ("scripts", "bin", ".venv"):
        (top / name).mkdir()
    shutil.copy(ROOT / "scripts" / "setup", top / "scripts")
    shutil.copy(ROOT / "pyproject.toml", top)
    for name in PROGRAMS:
        found = shutil.which(name, path="/usr/local/bin:/usr/bin:/bin")
        assert found is not None, name
        (top / "bin" / name).symlink_to(found)
    for name in ("npm", "apt-get"):
        put(top, name, PRESENT)
    yield top
    shutil.rmtree(top)


def put(top: Path, name: str, script: str) -> None:
    program = top / "bin" / name
    program.unlink(missing_ok=True)
    program.write_text(script)
    program.chmod(0o755)


def stamp(top: Path) -> None:
    """The virtual environment is what it should be."""
    sums = "".join(
        f"{hashlib.sha256((top / name).read_bytes()).hexdigest()}  {name}\n"
        for name in ("pyproject.toml", "scripts/setup")
    )
    (top / ".venv" / ".handrail-setup").write_text(f"{hashlib.sha256(sums.encode()).hexdigest()}  -")


def setup(top: Path, user: int | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [str(top / "bin" / "bash"), str(top / "scripts" / "setup")],
        env={"PATH": str(top / "bin"), "TMPDIR": str(top), "LOG": str(top / "log")},
        capture_output=True, text=True, check=False, timeout=60, user=user, group=user,
    )  # fmt: skip


def as_root(top: Path, apt: str) -> subprocess.CompletedProcess[str]:
    put(top, "id", "#!/bin/sh\necho 0\n")
    put(top, "apt-get", apt)
    return setup(top)


def test_without_root_one_sentence_names_the_package(clone: Path) -> None:
    done = setup(clone, NOBODY if os.geteuid() == 0 else None)
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == (
        "Handrail needs bubblewrap: install with 'sudo apt-get install bubblewrap' and run this again.\n"
    )


def test_as_root_it_is_installed(clone: Path) -> None:
    stamp(clone)
    apt = '#!/bin/sh\necho "$@" >> "$LOG"\ncase $1 in install) printf "#!/bin/sh\\n" > "${0%/*}/bwrap" ;; esac\n'
    done = as_root(clone, apt)
    assert (done.returncode, done.stderr) == (0, "Installing bubblewrap …\n")
    assert (clone / "log").read_text() == "update -qq\ninstall -y -qq bubblewrap\n"
    assert (clone / "bin" / "bwrap").exists()


def test_what_cannot_be_installed_is_said_with_the_reason(clone: Path) -> None:
    done = as_root(clone, '#!/bin/sh\necho "E: no network" >&2\nexit 100\n')
    assert done.returncode == 1
    assert done.stderr.splitlines()[1:] == ["E: no network", "apt-get could not install bubblewrap."]
