"""A GitHub double with one repository, a repository of Handrail's own with commits to push, a forge that meets it."""

from __future__ import annotations

import subprocess
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import httpx2
import pytest

from handrail.commands.pushing import Pushing
from handrail.forges import Effect, Receipt
from handrail.forges.deliver import Patience, carry_out
from handrail.forges.github import GitHub, Token
from handrail.forges.http import client
from tests.fake_github import FakeGitHub, Repository

SHOP = "acme/shop"


def sh(*argv: str, cwd: Path) -> str:
    done = subprocess.run(argv, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@dataclass
class Stage:
    """What a test plays with."""

    github: FakeGitHub
    shop: Repository
    forge: GitHub
    http: httpx2.AsyncClient
    source: Path
    """Handrail's own repository: a clone of the shop's"""

    def commit(self, name: str, text: str, parent: str = "main") -> str:
        """A commit in `source` that adds one file."""
        write = ["git", "hash-object", "-w", "--stdin"]
        made = subprocess.run(write, cwd=self.source, input=text.encode(), capture_output=True, check=True)
        blob = made.stdout.decode().strip()
        index = {"GIT_INDEX_FILE": str(self.source / "scratch"), "PATH": "/usr/bin:/bin"}
        for command in (["read-tree", parent], ["update-index", "--add", "--cacheinfo", f"100644,{blob},{name}"]):
            subprocess.run(["git", *command], cwd=self.source, env=index, check=True)
        tree = subprocess.run(["git", "write-tree"], cwd=self.source, env=index, capture_output=True, check=True)
        command = ["git", "-c", "user.name=H", "-c", "user.email=h@x", "commit-tree", tree.stdout.decode().strip()]
        return sh(*command, "-p", parent, "-m", f"Add {name}", cwd=self.source)

    async def carry(self, effect: Effect, key: str = "k1", tries: int = 3) -> Receipt:
        patience = Patience(tries=tries, first=0.01)
        return await carry_out(self.forge, effect, key, push=Pushing(), source=self.source, patience=patience)


@pytest.fixture
async def stage(tmp_path: Path) -> AsyncIterator[Stage]:
    async with FakeGitHub(tmp_path / "github") as github, client() as http:
        shop = await github.create(SHOP, {"README.md": "shop\n", "price.py": "PRICE = 1\n"})
        source = tmp_path / "results.git"
        sh("git", "clone", "-q", "--bare", str(shop.path), str(source), cwd=tmp_path)
        yield Stage(github, shop, GitHub(http, github.url, Token(github.token)), http, source)
        await github.settled()
    assert github.violations == []
