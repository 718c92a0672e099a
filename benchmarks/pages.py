"""What the pages cost: a long transcript and a stream of tokens in the browser, many open pages on the server."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import statistics
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import httpx2
from playwright.sync_api import Browser, CDPSession, Page, sync_playwright

from benchmarks import stage
from benchmarks.figures import Figure

EVENTS = 10_000
PAGES, SESSIONS = 50, 20
TOKENS, SECONDS = 200, 6
TRIES = 20
_TICKS = os.sysconf("SC_CLK_TCK")


def run(folder: Path) -> list[Figure]:
    """The browser's part where there is a Chromium, and the server's."""
    with stage.provider(folder) as provider, stage.server(folder / "pages", provider.url) as server:
        place = stage.repository(folder)
        figures = [*_read(server, place), *_open(server, place)]
        if shutil.which("chromium"):
            with _chromium() as browser:
                figures += [*_long(server, place, browser), *_streams(server, place, browser)]
        return figures


def _say(*steps: dict[str, object]) -> str:
    return f"Go. @@{json.dumps(steps)}@@"


def _read(server: stage.Server, place: Path) -> list[Figure]:
    """The pages as documents, one after another."""
    steps: list[dict[str, object]] = [
        {"repeat": 40, "step": {"shell": "true # {i}"}},
        {"text": "# Done\n\n- one\n- two"},
    ]
    session = server.session(place, prompt=_say(*steps))
    server.rest(session)
    bare = _took(server, "/health")
    lists = ("sessions", "inbox", "workflows", "runs", "spend", "agents", "admin", "patterns")
    beside = {f"session_{tab}": f"/sessions/{session}/{tab}" for tab in ("diff", "timeline", "details")}
    paths = {name: f"/{name}" for name in lists} | {"session": f"/sessions/{session}"} | beside
    return [Figure(f"page_{name}_html_p50", _took(server, path), "ms", bare, "< 30 ms") for name, path in paths.items()]


def _took(server: stage.Server, path: str) -> float:
    """The median of some answers, in milliseconds."""
    took = []
    for _ in range(TRIES):
        began = time.monotonic()
        answer = server.client.get(path, headers={"accept": "text/html"})
        took.append(1000 * (time.monotonic() - began))
        assert answer.status_code == httpx2.codes.OK, answer.text
    return statistics.median(took)


def _open(server: stage.Server, place: Path) -> list[Figure]:
    """Open pages on sessions that work: the processor time of the server beside the same without pages."""
    sessions = [server.session(place) for _ in range(SESSIONS)]
    turn = _say({"text": "warm"}), _say(*_slow(SECONDS))
    for session in sessions:
        server.post(f"/sessions/{session}/prompts", {"text": turn[0]})
    for session in sessions:
        server.rest(session)
    bare = _share(server, sessions, turn[1])
    with _watched(server, [sessions[at % SESSIONS] for at in range(PAGES)]):
        share = _share(server, sessions, turn[1])
    return [Figure(f"pages_{PAGES}_open_on_{SESSIONS}_live", share - bare, "% of a core", bare, "< 25 %")]


def _slow(seconds: float) -> list[dict[str, object]]:
    """A model that works as real ones do: a sentence in pieces, a tool, and again."""
    rounds = max(1, int(seconds / 2))
    step: dict[str, object] = {"text": "I look at the next file now. " * 3, "chunks": 10, "delay": 0.1}
    return [one for at in range(rounds) for one in (step | {"shell": f"sleep 1 # {at}"},)] + [{"text": "Done."}]


def _share(server: stage.Server, sessions: list[str], text: str) -> float:
    """Percent of a core that the server process takes while all sessions do one turn."""
    for session in sessions:
        server.post(f"/sessions/{session}/prompts", {"text": text})
    began, used = time.monotonic(), _cpu(server.pid)
    for session in sessions:
        server.rest(session)
    return 100 * (_cpu(server.pid) - used) / (time.monotonic() - began)


def _cpu(pid: int) -> float:
    fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


@contextlib.contextmanager
def _watched(server: stage.Server, sessions: list[str]) -> Iterator[None]:
    """Streams of pages, each read to its end by a thread."""
    ending = threading.Event()

    def watch(session: str) -> None:
        path = f"{server.client.base_url}/sessions/{session}/live"
        headers = dict(server.client.headers)
        with (
            httpx2.Client(trust_env=False, timeout=None) as client,
            client.stream("GET", path, headers=headers) as told,
        ):
            assert told.status_code == httpx2.codes.OK
            for _ in told.iter_raw():
                if ending.is_set():
                    return

    threads = [threading.Thread(target=watch, args=(session,), daemon=True) for session in sessions]
    for thread in threads:
        thread.start()
    time.sleep(2)  # until all are open and have had their window
    yield
    ending.set()


@contextlib.contextmanager
def _chromium() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        arguments = ["--no-sandbox"] if os.getuid() == 0 else []
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=arguments)
        yield browser
        browser.close()


def _page(server: stage.Server, browser: Browser) -> tuple[Page, CDPSession]:
    context = browser.new_context(base_url=str(server.client.base_url))
    page = context.new_page()
    page.goto(f"/open?token={server.client.headers['Authorization'].removeprefix('Bearer ')}")
    cdp = context.new_cdp_session(page)
    cdp.send("Performance.enable")
    return page, cdp


def _long(server: stage.Server, place: Path, browser: Browser) -> list[Figure]:
    """The first paint of a transcript of ten thousand events, beside that of an empty page."""
    session = server.session(place)
    while server.get(f"/sessions/{session}")["last_seq"] < EVENTS:
        server.post(f"/sessions/{session}/prompts", {"text": _say({"repeat": 490, "step": {"shell": "true # {i}"}})})
        server.rest(session)
    page, _ = _page(server, browser)
    paints: dict[str, list[float]] = {"/health": [], f"/sessions/{session}": []}
    for _ in range(7):
        for path, found in paints.items():
            page.goto(path, wait_until="load")
            found.append(page.evaluate(_PAINT))
    blocks = page.locator("#log > [id]").count()
    page.context.close()
    empty, long = (statistics.median(found) for found in paints.values())
    return [
        Figure(f"first_paint_{EVENTS}_events_beyond_empty", long - empty, "ms", empty, "< 300 ms"),
        Figure(f"events_in_dom_of_{EVENTS}", blocks, "events", None, "<= 300"),
    ]


_PAINT = """() => new Promise((told) => new PerformanceObserver((paints) => {
  const [first] = paints.getEntriesByName('first-contentful-paint');
  if (first) told(first.startTime);
}).observe({ type: 'paint', buffered: true }))"""
"""one script that waits by itself: one that is asked again and again is made from a string, which our pages refuse"""


def _streams(server: stage.Server, place: Path, browser: Browser) -> list[Figure]:
    """The main thread's share of a core while a model streams."""
    session = server.session(place, prompt=_say({"text": "ready"}))
    server.rest(session)
    page, cdp = _page(server, browser)
    page.goto(f"/sessions/{session}")
    page.locator("#link[data-state=live]").wait_for()
    words = "word " * (TOKENS * SECONDS)
    server.post(
        f"/sessions/{session}/prompts",
        {"text": _say({"text": words, "chunks": TOKENS * SECONDS, "delay": 1 / TOKENS})},
    )
    page.locator("#log .words").last.wait_for()
    began, used = time.monotonic(), _busy(cdp)
    time.sleep(SECONDS - 2)
    share = 100 * (_busy(cdp) - used) / (time.monotonic() - began)
    server.rest(session)
    page.context.close()
    return [Figure(f"streaming_{TOKENS}_tokens_a_second_in_browser", share, "% of a core", None, "< 20 %")]


def _busy(cdp: CDPSession) -> float:
    found = {one["name"]: one["value"] for one in cdp.send("Performance.getMetrics")["metrics"]}
    return float(found["TaskDuration"])
