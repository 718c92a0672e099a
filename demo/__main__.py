"""`make demo`: a real open-source project with a planted bug, handed off until its own test suite passes.

The project is boltons (https://github.com/mahmoud/boltons, BSD), its source distribution from PyPI. With a model key in
the environment a model of its provider is used (`DEMO_MODEL` names which); with a login of an agent (`codex login` and
its like) that agent works, in a session that holds a copy of it; with neither, the model is played by the scripted
provider of the tests. Everything goes through the command line, as a user would do it.
"""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
HERE = Path(__file__).resolve().parent
WORK = ROOT / ".cache" / "demo"
VERSION = "26.2.0"
GOAL = "The test suite of this project fails since the last commit. Find the cause in the source and mend it there."
CHECK = "python -m pytest -q -p no:cacheprovider -p no:asyncio"
KEYS = {
    "ANTHROPIC_API_KEY": ("anthropic", "claude-sonnet-4-5"),
    "OPENAI_API_KEY": ("openai", "gpt-5"),
    "GEMINI_API_KEY": ("gemini", "gemini-2.5-pro"),
    "GOOGLE_API_KEY": ("gemini", "gemini-2.5-pro"),
}
"""variable → the provider that it opens, and the model that is used there unless `DEMO_MODEL` names another"""


def main() -> int:
    """Run the demo; 0 when the project's own tests pass on the branch that came out of it."""
    project = _project()
    environment = {key: value for key, value in os.environ.items() if not key.startswith("HANDRAIL_")}
    environment["HANDRAIL_DATA"] = str(WORK / "data")
    environment["HANDRAIL_AGENTS_DIR"] = str(ROOT / ".cache" / "agents")
    handrail = [str(Path(sys.executable).with_name("handrail"))]
    _run([*handrail, "down"], environment, quiet=True)
    shutil.rmtree(WORK / "data", ignore_errors=True)
    with choose_model(handrail, environment) as (said, options):
        _say(said)
        goal = ["do", GOAL, "--repo", str(project), "--check", CHECK, "--turns", "6"]
        tools = ["--tools", str(Path(sys.prefix))]
        try:
            code = _run([*handrail, *goal, *tools, *options], environment)
            for title, verb in (("What it changed", "diff"), ("The session", "show"), ("What it cost", "spend")):
                _say(title)
                _run([*handrail, verb], environment)
            if code:
                return code
            _say("Bring it home as a branch, and run the suite there")
            _run([*handrail, "apply", "--branch", "mended"], environment)
            return _verify(project)
        finally:
            _run([*handrail, "down"], environment, quiet=True)


def _project() -> Path:
    """A fresh checkout of the project with the bug committed."""
    archive = WORK / f"boltons-{VERSION}.tar.gz"
    if not archive.exists():
        _say(f"Fetching boltons {VERSION} from PyPI")
        pip = [sys.executable, "-m", "pip", "download", "-q", "--disable-pip-version-check", "--no-deps"]
        command = [*pip, "--no-binary", ":all:", "-d", str(WORK), f"boltons=={VERSION}"]
        subprocess.run(command, check=True, stderr=subprocess.DEVNULL)
    project = WORK / "boltons"
    shutil.rmtree(project, ignore_errors=True)
    # not tarfile: before 3.11.4 it takes no filter, and with none later ones warn
    subprocess.run(["tar", "-xzf", str(archive), "-C", str(WORK)], check=True)
    (WORK / f"boltons-{VERSION}").rename(project)
    _git(project, "init", "-q", "-b", "main")
    _git(project, "add", "-A")
    _git(project, "commit", "-q", "-m", f"boltons {VERSION} as published")
    _git(project, "apply", str(HERE / "bug.patch"))
    _git(project, "commit", "-q", "-am", "Simplify windowed_iter")
    return project


@contextlib.contextmanager
def choose_model(handrail: list[str], environment: dict[str, str]) -> Iterator[tuple[str, list[str]]]:
    """The model to use, as options of `handrail do`: that of a key, that of a login, or the scripted one."""
    if key := next((name for name in KEYS if environment.get(name, "").strip()), None):
        provider, model = KEYS[key]
        model = environment.get("DEMO_MODEL") or model
        options = ["--provider", provider, "--model", model, "--budget", "2"]
        yield f"Using {model}, which {key} opens (DEMO_MODEL names another)", options
        return
    if login := _logged_in(handrail, environment):
        name, where = login
        _say(f"Fetching {name}, where it is not here yet")
        subprocess.run([*handrail, "agents", "install", name], env=environment, check=True)
        yield f"Using {name} with a copy of your login in {where}", ["--agent", name, "--login"]
        return
    played = subprocess.Popen(
        [sys.executable, "-m", "tests.fake_provider", "--script", str(HERE / "script.json")],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        text=True,
    )
    try:
        assert played.stdout is not None
        environment["ANTHROPIC_BASE_URL"] = played.stdout.readline().strip()
        environment["ANTHROPIC_API_KEY"] = "scripted"
        options = ["--model", "claude-sonnet-4-5", "--budget", "2"]
        yield "No model key and no login of an agent in the environment: the model is played by a script", options
    finally:
        played.terminate()
        played.wait(timeout=10)


def _logged_in(handrail: list[str], environment: Mapping[str, str]) -> tuple[str, str] | None:
    """The first agent that the user is logged in to, and where that stands."""
    told = subprocess.run([*handrail, "agents", "--json"], env=environment, check=True, stdout=subprocess.PIPE)
    agents = json.loads(told.stdout)["agents"]
    _run([*handrail, "down"], environment, quiet=True)  # the model's address is not in that server's environment
    return next(((str(agent["name"]), str(agent["login"])) for agent in agents if agent["login"]), None)


def _verify(project: Path) -> int:
    _git(project, "switch", "-q", "mended")
    suite = subprocess.run([sys.executable, *CHECK.split()[1:]], cwd=project, check=False)
    _say("The planted bug is gone" if suite.returncode == 0 else "The suite still fails")
    return suite.returncode


def _git(project: Path, *arguments: str) -> None:
    who = ["-c", "user.name=Demo", "-c", "user.email=demo@example.invalid", "-c", "commit.gpgsign=false"]
    subprocess.run(["git", "-C", str(project), *who, *arguments], check=True)


def _run(command: list[str], environment: Mapping[str, str], *, quiet: bool = False) -> int:
    output = subprocess.DEVNULL if quiet else None
    return subprocess.run(command, env=environment, stdout=output, stderr=output, check=False).returncode


def _say(text: str) -> None:
    sys.stdout.write(f"\n── {text} {'─' * max(0, 100 - len(text))}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    WORK.mkdir(parents=True, exist_ok=True)
    sys.exit(main())
