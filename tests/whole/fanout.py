"""One migration over many repositories, killed on the way: `make test-fanout` runs forty with ten kills.

Each repository is a small Python package of its own shape with a vendored library, a caller of it and a real suite of
`unittest`. The library's next version has another name for what the callers use. In two repositories the caller is not
found by the migration, and one has the branch already, with somebody else's commit: these are the planted failures.
"""

from __future__ import annotations

import random
import sqlite3
import sys
import tempfile
import time
from collections import Counter
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import httpx2

from tests.fake_provider import prompt
from tests.whole.conftest import git
from tests.whole.house import House, Model, Obj, until

BRANCH = "handrail/textkit-2"
_LIBRARY = '''"""Vendored: textkit 1."""


def slug(text):
    return "-".join(text.lower().split())
'''
_MIGRATION = (
    "sed -i 's/textkit 1/textkit 2/; s/def slug(/def make_slug(/' {0}/vendored/textkit.py && "
    "sed -i 's/textkit[.]slug(/textkit.make_slug(/g' {0}/*.py"
)
_CHECK = "grep -q 'textkit 2' */vendored/textkit.py && python3 -m unittest -q"


@dataclass(frozen=True)
class Planted:
    """The repositories of one run, by what must become of them."""

    good: tuple[Path, ...]
    hidden: tuple[Path, ...]
    """whose caller the migration does not find: their suites fail"""
    taken: Path
    """which has the branch already"""

    @property
    def paths(self) -> list[Path]:
        """All of them, the bad ones in between."""
        half = len(self.good) // 2
        return [*self.good[:half], self.hidden[0], self.taken, self.hidden[1], *self.good[half:]]


def plant(folder: Path, count: int) -> Planted:
    """Make `count` repositories, three of them so that the migration fails."""
    made = [_package(folder / f"project-{number}", number, hidden=number < 2) for number in range(count)]
    taken = made[2]
    git(taken, "switch", "-q", "-c", BRANCH)
    (taken / "NOTES").write_text("Somebody has begun already.\n")
    git(taken, "add", "-A")
    git(taken, "commit", "-q", "-m", "begin")
    git(taken, "switch", "-q", "main")
    return Planted(tuple(made[3:]), (made[0], made[1]), taken)


def _package(top: Path, number: int, *, hidden: bool) -> Path:
    package, tests = top / "package", top / "tests"
    (package / "vendored").mkdir(parents=True)
    tests.mkdir()
    for folder in (package, package / "vendored", tests):
        (folder / "__init__.py").write_text("")
    (package / "vendored" / "textkit.py").write_text(_LIBRARY)
    for module in range(1 + number % 4):
        call = 'getattr(textkit, "sl" + "ug")' if hidden else "textkit.slug"
        (package / f"part_{module}.py").write_text(
            f"from package.vendored import textkit\n\n\ndef name(title):\n    return {call}(title) + '-{number}'\n"
        )
        (tests / f"test_part_{module}.py").write_text(
            f"import unittest\n\nfrom package.part_{module} import name\n\n\nclass PartTest(unittest.TestCase):\n"
            f"    def test_name(self):\n        self.assertEqual(name('A Fine Day'), 'a-fine-day-{number}')\n"
        )
    (top / ".gitignore").write_text("__pycache__/\n")
    git(top, "init", "-q", "-b", "main")
    git(top, "add", "-A")
    git(top, "commit", "-q", "-m", "first")
    return top


def workflow(planted: Planted, steps: int) -> str:
    """The file of the migration. A kill may cut off a step, and the played model does none twice: so there are more."""
    script: list[dict[str, object]] = [{"shell": f"{_MIGRATION.format('package')}; true {at}"} for at in range(steps)]
    goal = prompt(script, "Move to textkit 2, where slug is called make_slug.")
    listed = "".join(f"  - {path}\n" for path in planted.paths)
    told = "".join(f"  {line}\n" for line in goal.splitlines())
    return (
        f"name: migrate\non: {{manual: {{}}}}\ngoal: |\n{told}model: claude-sonnet-4-5\ntrust: autonomous\n"
        f'checks: "{_CHECK}"\nbudget: {{turns: 1}}\nconcurrency: 4\nrepositories:\n{listed}'
        f"effects:\n  then:\n    - pull_request: {{title: Move to textkit 2, branch: {BRANCH}}}\n"
    )


def run(house: House, planted: Planted, file: Path, *, kills: int, seed: int, seconds: float) -> Obj:
    """Start the migration, kill the server at seeded moments, and return the run when it has ended."""
    chance = random.Random(seed)  # noqa: S311  # moments, no secret
    count = len(planted.paths)
    file.write_text(workflow(planted, kills + 2))
    house.run("workflows", "add", str(file))
    _earn(house)
    house.run("workflows", "start", "migrate")
    # after so many tasks have ended, and so much later: any step of any task may be under way
    moments = sorted((chance.randrange(count - 2), chance.uniform(0.0, 2.0)) for _ in range(kills))
    for ended, later in moments:
        until(lambda ended=ended: _ended(house) >= ended, seconds, f"{ended} tasks ended")  # type: ignore[misc]
        time.sleep(later)
        pid = house.ready()
        house.kill(pid)
        house.ready(pid)
    until(lambda: (told := _told(house)) and told["state"] == "ended", seconds, "the run ended")
    return house.json("runs", "show", "last")


def _earn(house: House) -> None:
    """Let the workflow have earned its trust: dozens of accepted runs, which are not what is looked at here."""
    house.run("down")
    with closing(sqlite3.connect(house.data / "handrail.db")) as kept, kept:
        kept.execute("UPDATE workflows SET trust = 'autonomous'")


def _told(house: House) -> Obj:
    """The run by the HTTP API; empty while no server answers."""
    address = house.address()
    if not address:
        return {}
    with suppress(httpx2.TransportError):
        headers = {"Authorization": f"Bearer {address['token']}"}
        url = f"{address['url']}/api/v1/runs/last"
        answer = httpx2.get(url, headers=headers, timeout=10, trust_env=False, verify=False)
        if answer.status_code == httpx2.codes.OK:
            told: Obj = answer.json()
            return told
    return {}


def _ended(house: House) -> int:
    return sum(1 for task in _told(house).get("all", ()) if task["state"] == "ended")


def verify(planted: Planted, told: Obj) -> None:
    """Every outcome is right, the failures stand together by likeness, every branch was made exactly once."""
    tasks = {str(task["repository"]): task for task in told["all"]}
    assert Counter((task["outcome"], task["cause"]) for task in told["all"]) == Counter(
        {("done", "carried_out"): len(planted.good), ("failed", "turns_spent"): 2, ("needs_person", "conflict"): 1}
    ), [(task["repository"], task["outcome"], task["cause"], task["reason"]) for task in told["all"]]
    groups = [(group["outcome"], sorted(group["tasks"])) for group in told["groups"]]
    assert sorted(groups) == sorted(
        (outcome, sorted(tasks[str(path)]["id"] for path in paths))
        for outcome, paths in (
            ("done", planted.good), ("failed", planted.hidden), ("needs_person", (planted.taken,)),
        )
    ), groups  # fmt: skip
    for path in planted.good:
        (effect,) = tasks[str(path)]["effects"]
        assert (effect["kind"], effect["state"]) == ("pull_request", "carried")
        assert git(path, "for-each-ref", "--format=%(refname:short)", "refs/heads/handrail").split() == [BRANCH]
        assert git(path, "rev-parse", BRANCH).strip() == effect["receipt"]["commit"]
        assert git(path, "rev-list", "--count", f"main..{BRANCH}").strip() == "1"
        assert "def make_slug(" in git(path, "show", f"{BRANCH}:package/vendored/textkit.py")
        assert git(path, "status", "--porcelain") == ""
    for path in planted.hidden:
        assert git(path, "for-each-ref", "refs/heads/handrail") == ""
        assert tasks[str(path)]["effects"] == []
    assert git(planted.taken, "log", "-1", "--format=%s", BRANCH).strip() == "begin"


def main(count: int, kills: int, seed: int) -> None:
    """Do it in a folder of its own, and tell how long it took."""
    with tempfile.TemporaryDirectory(prefix="handrail-fanout-") as name, Model() as model:
        folder = Path(name)
        began = time.monotonic()
        planted = plant(folder / "work", count)
        print(f"seed {seed}: {count} repositories made in {time.monotonic() - began:.0f} s", flush=True)
        house = House(folder / "data", planted.good[0], model)
        try:
            began = time.monotonic()
            told = run(house, planted, folder / "migrate.yaml", kills=kills, seed=seed, seconds=1800)
            verify(planted, told)
            took = time.monotonic() - began
            print(house.run("runs", "show", "last").stdout)
            print(f"{count} repositories, {kills} kills: {took:.0f} s, all as it must be")
            house.run("down")
        finally:
            house.close()


if __name__ == "__main__":
    count, kills, *seeds = [int(word) for word in sys.argv[1:]]
    main(count, kills, seeds[0] if seeds else random.randrange(1 << 30))  # noqa: S311  # moments, no secret
