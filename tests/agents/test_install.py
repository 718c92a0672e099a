from __future__ import annotations

import asyncio
import os
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from handrail.agents import install as module
from handrail.agents.catalogue import get
from handrail.agents.install import NODE, agents_directory, clean, find, find_python, install, uninstall
from handrail.agents.spec import AgentSpec, Package, Registry
from handrail.errors import AgentError, MissingPart
from tests.agents.conftest import a_spec

NPM = Package(Registry.NPM, "tiny", "1.0.0", "node_modules/tiny/index.js")
PYPI = Package(Registry.PYPI, "tiny", "1.0.0", "venv/bin/tiny")

FAKE_NPM = """#!/bin/sh
echo "$@" >> {log}
prefix=$3
for last; do :; done
case $last in
*broken*) echo "npm error 404 no such package" >&2; exit 1;;
node-*) name=${{last%@*}}; mkdir -p $prefix/node_modules/$name/bin; : > $prefix/node_modules/$name/bin/node;;
*) name=${{last%@*}}; mkdir -p $prefix/node_modules/$name; : > $prefix/node_modules/$name/index.js;;
esac
"""


@pytest.fixture
def npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A registry is out of reach in tests: a script in npm's place that makes the files and logs its arguments."""
    folder, log = tmp_path / "bin", tmp_path / "npm.log"
    folder.mkdir()
    (folder / "npm").write_text(FAKE_NPM.format(log=log))
    (folder / "npm").chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    return log


def npm_spec(**changes: object) -> AgentSpec:
    return a_spec(**({"package": NPM} | changes))


@pytest.fixture
def closed() -> Iterator[None]:
    """The umask of the server."""
    kept = os.umask(0o077)
    yield
    os.umask(kept)


@pytest.mark.usefixtures("closed")
async def test_install_then_find_without_the_network(tmp_path: Path, npm: Path) -> None:
    root, spec = tmp_path / "agents", npm_spec()
    assert find(spec, root) is None
    found = await install(spec, root)
    assert found == find(spec, root)
    assert (found.prefix, found.version) == (root / "peer" / "1.0.0", "1.0.0")
    assert found.node is not None
    assert found.node.stat().st_mode & 0o777 == 0o644, "whoever a session runs as can read it"
    assert found.node.parent.stat().st_mode & 0o777 == 0o755
    assert found.read_only == (found.prefix, root / "node" / NODE)
    assert not list((root / ".new").iterdir())
    calls = npm.read_text().splitlines()
    assert len(calls) == 2
    assert all("--no-fund --no-audit" in call and "--ignore-scripts" in call for call in calls)
    await install(spec, root)
    assert len(npm.read_text().splitlines()) == 2


async def test_two_installations_at_once_fetch_once(tmp_path: Path, npm: Path) -> None:
    root = tmp_path / "agents"
    first, second = await asyncio.gather(install(npm_spec(), root), install(npm_spec(name="other"), root))
    assert first.node == second.node
    assert sum("node-linux" in call for call in npm.read_text().splitlines()) == 1


async def test_a_failed_installation_leaves_nothing_that_is_found(tmp_path: Path, npm: Path) -> None:
    root = tmp_path / "agents"
    spec = npm_spec(package=Package(Registry.NPM, "broken", "1.0.0", "node_modules/broken/index.js"))
    with pytest.raises(AgentError, match=r"installing broken@1\.0\.0 failed: npm error 404"):
        await install(spec, root)
    assert find(spec, root) is None
    assert not (root / "peer").exists()
    assert npm.exists()
    assert list((root / ".new").iterdir())
    clean(root)
    assert not (root / ".new").exists()


async def test_half_an_installation_is_not_found_and_is_replaced(tmp_path: Path, npm: Path) -> None:
    root, spec = tmp_path / "agents", npm_spec()
    (root / "peer" / "1.0.0" / "node_modules").mkdir(parents=True)
    (root / ".new" / "left").mkdir(parents=True)
    assert find(spec, root) is None
    await install(spec, root)
    assert find(spec, root) is not None
    assert npm.exists()


async def test_a_package_without_its_file_is_an_error(tmp_path: Path, npm: Path) -> None:
    spec = npm_spec(package=Package(Registry.NPM, "tiny", "1.0.0", "node_modules/tiny/other.js"))
    with pytest.raises(AgentError, match=r"other\.js"):
        await install(spec, tmp_path / "agents")
    assert npm.exists()


async def test_without_npm(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(MissingPart, match="package `npm`"):
        await install(npm_spec(), tmp_path / "agents")


async def test_a_python_package_gets_a_venv(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    commands: list[list[str]] = []

    async def run(argv: list[str], _env: object, _what: str) -> None:
        commands.append(argv)
        if "venv" in argv:
            place = Path(argv[-1]) / "bin"
            place.mkdir(parents=True)
            (place / "python").symlink_to(sys.executable)
            (place / "tiny").write_text("")

    monkeypatch.setattr(module, "_run", run)
    spec = a_spec(package=PYPI)
    found = await install(spec, tmp_path / "agents")
    assert found.python == found.prefix / "venv" / "bin" / "python"
    assert Path(sys.executable).resolve().parent.parent in {*found.read_only, Path("/usr")}
    assert commands[1][-1] == "tiny==1.0.0"


def test_the_python_of_a_version(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    here = f"{sys.version_info[0]}.{sys.version_info[1]}"
    assert find_python(None) == find_python(here) == Path(sys.executable).resolve()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("PYENV_ROOT", str(tmp_path / "pyenv"))
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "data"))
    with pytest.raises(MissingPart, match=r"python3\.99-venv"):
        find_python("3.99")
    python = tmp_path / "pyenv" / "versions" / "3.99.1" / "bin" / "python3.99"
    python.parent.mkdir(parents=True)
    python.write_text("")
    assert find_python("3.99") == python


def test_agents_without_a_package(tmp_path: Path) -> None:
    own = find(get("handrail"), tmp_path)
    assert own is not None
    assert own.python == Path(sys.executable)
    assert Path(sys.prefix) in own.read_only
    shell = find(a_spec(command=("sh", "-c")), tmp_path)
    assert shell is not None
    assert find(a_spec(command=("no-such-program",)), tmp_path) is None


async def test_an_agent_without_a_package_cannot_be_installed(tmp_path: Path) -> None:
    with pytest.raises(MissingPart, match="no-such-program"):
        await install(a_spec(command=("no-such-program",)), tmp_path)


def test_where_agents_live(tmp_path: Path) -> None:
    assert agents_directory(tmp_path, {}) == tmp_path / "agents"
    assert agents_directory(tmp_path, {"HANDRAIL_AGENTS_DIR": "/shared"}) == Path("/shared")


async def test_uninstall(tmp_path: Path, npm: Path) -> None:
    root, spec = tmp_path / "agents", npm_spec()
    await install(spec, root)
    assert uninstall(spec, root)
    assert not uninstall(spec, root)
    assert find(spec, root) is None
    assert npm.exists()
