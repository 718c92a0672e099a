from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from handrail.sandbox import Guarantee, attempts
from handrail.sandbox.bubblewrap import BubblewrapBackend
from handrail.sandbox.probe import PROVES, TITLES, Finding, conclude

WALLS = Guarantee.READS | Guarantee.WRITES | Guarantee.NETWORK | Guarantee.PROCESSES | Guarantee.SECRETS
ALWAYS = WALLS | Guarantee.PIDS | Guarantee.KILL


async def test_the_walls_hold_here_and_the_attempts_bite(bubblewrap: BubblewrapBackend) -> None:
    report = await bubblewrap.probe_report()
    assert ALWAYS & report.guarantee == ALWAYS, [finding for finding in report.findings if not finding.held]
    assert await bubblewrap.probe() == report.guarantee
    assert await bubblewrap.probe_report() is report
    assert {finding.name for finding in report.findings} == TITLES.keys() - {"workspace"}
    bites = {finding.name for finding in report.findings if finding.bites}
    assert {"read_file", "write_file", "see_process", "environments", "host_loopback"} <= bites
    assert all(finding.title and finding.detail for finding in report.findings)
    for flag, name in ((Guarantee.MEMORY, "memory"), (Guarantee.CPU, "cpu")):
        if bubblewrap.hierarchy and name in bubblewrap.hierarchy.parents:
            assert flag in report.guarantee


def test_one_attempt_that_gets_through_takes_the_guarantee_away() -> None:
    names = {name for group in PROVES.values() for name in group}
    for lost in names:
        findings = tuple(Finding(name, name != lost, "") for name in names)
        assert conclude(findings) == ~Guarantee.NOTHING & ~_of(lost)


def _of(name: str) -> Guarantee:
    lost = Guarantee.NOTHING
    for flag, names in PROVES.items():
        if name in names:
            lost |= flag
    return lost


def test_what_was_not_tried_is_not_held() -> None:
    assert conclude(()) == Guarantee.NOTHING


def test_the_same_attempt_inside_and_outside_at_the_same_time_is_in_nobodys_way(tmp_path: Path) -> None:
    """Both write into one workspace: by one name, either took away what the other was about to."""
    at = str(tmp_path)
    where = attempts.Targets(canary="", outside="", port=0, process="", variables=[], workspace=at, home=at)
    with ThreadPoolExecutor(4) as pool:
        told = list(pool.map(attempts.workspace, [where] * 400))
    assert {got for got, _ in told} == {True}
    assert list(tmp_path.iterdir()) == []
