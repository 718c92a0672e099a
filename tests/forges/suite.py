"""What every forge with an API is held to: each act, done twice and with its answer lost, is there once."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from handrail.commands.pushing import Pushing
from handrail.forges import Effect, Forge, Receipt
from handrail.forges import effects as e
from handrail.forges.deliver import Patience, carry_out
from tests.forges.conftest import SHOP, sh
from tests.forges.small import Small


@dataclass
class Meeting:
    """A small double and the forge that meets it."""

    small: Small
    forge: Forge
    source: Path
    commit: str

    @classmethod
    async def begin(cls, small: Small, forge: Forge, place: Path) -> Meeting:
        source = place / "results.git"
        sh("git", "clone", "-q", "--bare", str(small.repository.path), str(source), cwd=place)
        tree = sh("git", "rev-parse", "main^{tree}", cwd=source)
        who = ["-c", "user.name=H", "-c", "user.email=h@x"]
        commit = sh("git", *who, "commit-tree", tree, "-p", "main", "-m", "Work", cwd=source)
        return cls(small, forge, source, commit)

    async def carry(self, effect: Effect, key: str) -> Receipt:
        patience = Patience(tries=3, first=0.01)
        return await carry_out(self.forge, effect, key, push=Pushing(), source=self.source, patience=patience)


async def every_act_happens_once(meeting: Meeting, calls: Mapping[str, str]) -> None:
    """`calls`: kind → the call whose answer is lost."""
    acts: list[Effect] = [
        e.PullRequest(SHOP, "f", "main", "F", "Body", commit=meeting.commit),
        e.Issue(SHOP, "Title", "Body", ("bug",)),
        e.Comment(SHOP, 1, "Hello", on_pull_request=True),
        e.Review(SHOP, 1, meeting.commit, "Good", comments=(e.LineComment("README.md", 1, "Why?"),)),
        e.Label(SHOP, 1, ("ready",), on_pull_request=True),
        e.Status(SHOP, meeting.commit, "handrail", "success"),
        e.Merge(SHOP, 1, meeting.commit),
    ]
    small = meeting.small
    for number, effect in enumerate(acts):
        small.lose = calls.get(effect.kind)
        first = await meeting.carry(effect, f"key-{number}")
        assert small.lose is None, f"the call of {effect.kind} was not made"
        counted = (len(small.pulls), len(small.issues), sum(map(len, small.notes.values())), len(small.statuses))
        again = await meeting.carry(effect, f"key-{number}")
        assert counted == (
            len(small.pulls), len(small.issues), sum(map(len, small.notes.values())), len(small.statuses)
        )  # fmt: skip
        assert effect.kind not in calls or (first.found and again.found)
    head = await small.repository.head("f")
    assert head == meeting.commit
