"""The main story from its other beginnings: a schedule, an alert of a real Alertmanager, a poll."""

from __future__ import annotations

import asyncio
import re
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx2
import pytest

from tests.fake_github import FakeGitHub
from tests.whole.house import House, until
from tests.whole.story import SECRET, WORKFLOW, enable, merge, run_of, set_up, source, waiting

pytestmark = pytest.mark.timeout(200)
ALERTMANAGER = shutil.which("prometheus-alertmanager") or ""
CONFIGURATION = """\
route: {{receiver: handrail, group_by: [alertname], group_wait: 0s, group_interval: 1s, repeat_interval: 1s}}
receivers:
  - name: handrail
    webhook_configs:
      - url: {url}
        http_config: {{authorization: {{credentials: {secret}}}}}
"""


async def to_the_merge(house: House, github: FakeGitHub, trigger: str) -> None:
    """A person says yes to the pull request that waits, and merges it."""
    effect = await asyncio.to_thread(waiting, house)
    await asyncio.to_thread(house.call, "POST", "/workflows/mend/disable")  # one is enough
    await asyncio.to_thread(house.run, "effects", "approve", effect["id"])
    run = await asyncio.to_thread(run_of, house)
    assert (run["outcome"], run["trigger"]) == ("done", trigger)
    assert run["cost_nano"] > 0
    (pull,) = github.repositories["acme/shop"].pulls
    await merge(github, pull.number)
    (carried,) = house.get(f"/effects?run={run['id']}")["effects"]
    assert carried["receipt"]["url"].endswith(f"/pull/{pull.number}")


async def test_a_schedule_starts_it(house: House, github: FakeGitHub) -> None:
    await set_up(house, github)
    text = WORKFLOW + 'on: {schedule: {cron: "*/2 * * * * *", zone: Europe/Berlin, overlap: skip}}\n'
    await asyncio.to_thread(enable, house, text, "mend")
    await to_the_merge(house, github, "schedule")
    assert len(house.get("/runs")["runs"]) == 1, "ticks while it went on are skipped"


@contextmanager
def alertmanager(folder: Path, hook: str) -> Iterator[str]:
    """Alertmanager as Debian ships it, which tells `hook` of alerts; gives the URL of its API."""
    file, log = folder / "alertmanager.yml", folder / "alertmanager.log"
    file.write_text(CONFIGURATION.format(url=hook, secret=SECRET))
    words = (f"--config.file={file}", f"--storage.path={folder / 'alerts'}", "--cluster.listen-address=")
    with (
        log.open("wb") as out,
        subprocess.Popen(
            [ALERTMANAGER, *words, "--web.listen-address=127.0.0.1:0"], stdout=out, stderr=subprocess.STDOUT
        ) as process,
    ):

        def listening() -> str | None:
            assert process.poll() is None, log.read_text()
            told = re.search(r"Listening on.*?address=(127\.0\.0\.1:\d+)", log.read_text())
            return None if told is None else f"http://{told[1]}/api/v2/alerts"

        try:
            yield str(until(listening, 30, "Alertmanager listens"))
        finally:
            process.kill()


def fire(api: str, name: str, severity: str) -> None:
    labels = {"alertname": name, "severity": severity, "service": "shop"}
    alert = {"labels": labels, "annotations": {"summary": "it greets in German"}}
    assert httpx2.post(api, json=[alert], timeout=10).status_code == httpx2.codes.OK


def told(house: House) -> Callable[[], bool]:
    """Whether the alerts came, one of them again and again."""

    def came() -> bool:
        reasons = [str(item["reason"]) for item in house.get("/events")["events"]]
        return all(
            any(what in reason for reason in reasons)
            for what in ("started", "the filter gives false", "it tells of the same thing as")
        )

    return came


@pytest.mark.skipif(not ALERTMANAGER, reason="prometheus-alertmanager is not installed: run scripts/setup --tests")
async def test_an_alert_of_a_real_alertmanager_starts_it(house: House, github: FakeGitHub, tmp_path: Path) -> None:
    await set_up(house, github)
    hook = await asyncio.to_thread(source, house, "alerts", "alertmanager")
    text = (
        WORKFLOW + """on: {alert: {source: alerts, when: "status == 'firing' && commonLabels.severity == 'page'"}}\n"""
    )
    await asyncio.to_thread(enable, house, text, "mend")
    with alertmanager(tmp_path, hook) as api:
        fire(api, "SlowPages", "ticket")
        fire(api, "WrongLanguage", "page")
        await asyncio.to_thread(until, told(house), 30, "Alertmanager told of both, and of them again")
    await to_the_merge(house, github, "event")
    assert len(house.get("/runs")["runs"]) == 1, "an alert that is repeated is one"


async def test_a_poll_starts_it_through_a_kill_where_no_webhook_comes(house: House, github: FakeGitHub) -> None:
    shop = await set_up(house, github)
    await asyncio.to_thread(enable, house, WORKFLOW + "on: {forge: {events: issues, actions: opened}}\n", "mend")
    assert "acme/never" in await asyncio.to_thread(house.refused, "sources", "poll", "hub", "acme/never")
    await asyncio.to_thread(house.run, "sources", "poll", "hub", "acme/shop", "--every", "10s")

    def looked() -> bool:
        return bool(house.get("/sources")["polls"][0]["looked"])

    await asyncio.to_thread(until, looked, 30, "it was looked at")
    before = house.server()
    await asyncio.to_thread(house.kill, before)
    shop.add("It greets in German", "please", "alice")
    await asyncio.to_thread(house.ready, but=before)
    await to_the_merge(house, github, "event")
    assert "acme/shop" in (await asyncio.to_thread(house.run, "sources")).stdout
    assert len(house.get("/runs")["runs"]) == 1
