"""Where Handrail may live: below a home that nobody else enters, and as a person who is not root."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

import handrail
from tests.fake_provider import prompt
from tests.whole.conftest import Build, make_repository
from tests.whole.house import MODEL

pytestmark = pytest.mark.timeout(150)  # many processes: a busy machine may take its time

UID = 61_234
DO = ("do", prompt([{"shell": "sed -i s/Hallo/Hello/ greet.py; id -u"}, {"text": "done"}]), "--check", "sh check.sh")


@pytest.fixture
def closed(tmp_path: Path) -> Path:
    """A home of mode 0700, as /root is."""
    home = tmp_path / "root"
    home.mkdir(mode=0o700)
    return home


@pytest.mark.skipif(os.geteuid() != 0, reason="only root gives its sessions another uid")
def test_below_a_home_that_the_sandbox_cannot_enter(build: Build, closed: Path) -> None:
    data = closed / ".local" / "share" / "handrail"
    house = build(data=data, repository=make_repository(closed / "work" / "project"), env={"HOME": str(closed)})
    house.env["HANDRAIL_DATA"] = ""  # found by HOME alone
    house.run(*DO, *MODEL)
    told = house.show()
    assert told["workspace"].startswith(str(data))
    assert told["outcome"] == "done"
    assert int(house.events("last", "tool.ended")[0]["data"]["output"].split()[0]) >= 200_000
    house.run("apply", "--uncommitted")
    assert "Hello" in (house.repository / "greet.py").read_text()
    assert (house.repository / "greet.py").stat().st_uid == 0
    house.run("undo", "--to", "0")
    house.run("down")
    house.empty()


@pytest.fixture
def outside() -> Iterator[Path]:
    """A folder that another user can reach; pytest's own are closed."""
    folder = Path(tempfile.mkdtemp(prefix="handrail-user-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def interpreter(folder: Path) -> str:
    """A virtual environment that anybody may run, with what this one has; ours may stand on a Python below /root."""
    system = f"/usr/bin/python{sys.version_info.major}.{sys.version_info.minor}"
    base = system if Path(system).exists() else os.path.realpath(sys.executable)
    subprocess.run([base, "-m", "venv", "--without-pip", str(folder)], check=True, timeout=50)
    (place,) = folder.glob("lib/python*/site-packages")
    shown = [*(path for path in sys.path if path.endswith("-packages")), str(Path(handrail.__file__).parents[1])]
    (place / "handrail.pth").write_text("\n".join(shown) + "\n")
    return str(folder / "bin" / "python")


def give(folder: Path, uid: int) -> None:
    for path in (folder, *folder.rglob("*")):
        os.chown(path, uid, uid, follow_symlinks=False)


@pytest.mark.skipif(os.geteuid() != 0, reason="the other tests run as this user already")
def test_as_an_ordinary_user(build: Build, outside: Path) -> None:
    home = outside / "home"
    repository = make_repository(home / "project")
    give(home, UID)
    prefix = ("setpriv", f"--reuid={UID}", f"--regid={UID}", "--clear-groups", "--inh-caps=-all", "--bounding-set=-all")
    env = {"HOME": str(home), "TMPDIR": "/tmp", "HANDRAIL_AGENTS_DIR": str(home / "agents")}
    house = build(
        data=home / "data", repository=repository, env=env, prefix=prefix, python=interpreter(outside / "venv")
    )
    house.run(*DO, *MODEL)
    told = house.show()
    assert told["outcome"] == "done"
    assert {"reads", "writes", "network", "processes", "secrets", "kill"} <= set(told["holds"])
    assert Path(told["workspace"]).stat().st_uid == UID
    house.run("apply", "--branch", "hello")
    again = house.hand_off(
        [{"shell": f"cat {house.data}/token; ls {home}; cat {repository}/greet.py; echo $?"}, {"text": "ok"}]
    )
    house.wait(again, "outcome.reached")
    output = house.events(again, "tool.ended")[0]["data"]["output"]
    assert (house.data / "token").read_text().strip() not in output
    assert "agents" not in output
    house.run("down")
    house.empty()
