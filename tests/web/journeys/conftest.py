"""Headless Chromium on a whole Handrail: command line, keeper, server, walls, agent; only the model is played."""

from __future__ import annotations

import os
import shutil
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import httpx2
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, Request, expect, sync_playwright

from tests.fake_provider import prompt
from tests.whole.conftest import make_repository
from tests.whole.house import MODEL, House, Model, until

CHROMIUM = shutil.which("chromium") or ""
AXE = (Path(__file__).parent / "vendor" / "axe-4.14.1.js").read_text("utf-8")
PICTURES = Path(__file__).resolve().parents[3] / "artifacts" / "screenshots"
THEMES: tuple[Literal["light", "dark"], ...] = ("light", "dark")
LONG_WAIT = 20_000
"""milliseconds for anything to show on a busy machine"""


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """One Handrail for all journeys of a module; its port stays when its server is started again."""
    top = tmp_path_factory.mktemp("canvas")
    with Model() as model:
        house = House(top / "data", make_repository(top / "project"), model, {"HANDRAIL_PORT": str(free_port())})
        house.run("up")
        house.ready()
        yield house
        house.close()


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    if not CHROMIUM:
        pytest.skip("chromium is not installed: run scripts/setup --tests")
    expect.set_options(timeout=LONG_WAIT)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=CHROMIUM,
            args=["--no-sandbox"] if os.getuid() == 0 else [],
            env={key: os.environ[key] for key in ("PATH", "HOME", "TMPDIR") if key in os.environ},
        )
        yield browser
        browser.close()


Open = Callable[..., Page]
"""opens the start page in a browser of its own; what it is given are options of the context"""


@pytest.fixture
def visit(house: House, chromium: Browser) -> Iterator[Open]:
    """Lets browsers in by the link; a violation of the content security policy, an error of a script, and a page
    with more than one connection fail.
    """
    contexts: list[BrowserContext] = []
    wrong: list[str] = []
    lines: list[tuple[Page, list[str]]] = []

    def noted(message: ConsoleMessage) -> None:
        if "Content Security Policy" in message.text:
            wrong.append(message.text)

    def opened(path: str = "/", **options: Any) -> Page:
        told = house.address()
        context = chromium.new_context(base_url=told["url"], **options)
        contexts.append(context)
        context.set_default_timeout(LONG_WAIT)
        page = context.new_page()
        page.on("console", noted)
        page.on("pageerror", lambda error: wrong.append(str(error)))
        lines.append((page, _held(page)))
        page.goto(f"/open?token={told['token']}")
        if path != "/":
            page.goto(path)
        return page

    yield opened
    for page, held in lines:
        _alone(page, held)
    for context in contexts:
        context.close()
    assert wrong == []


def streams(request: Request) -> bool:
    """Whether a page asks for its stream of events."""
    return urlsplit(request.url).path.endswith("/live")


def _held(page: Page) -> list[str]:
    """The connections of a page, kept up to date."""
    held: list[str] = []

    def gone(request: Request) -> None:
        if streams(request) and request.url in held:
            held.remove(request.url)

    page.on("request", lambda request: held.append(request.url) if streams(request) else None)
    page.on("response", lambda told: None if told.ok else gone(told.request))  # whose words nobody reads
    page.on("requestfinished", gone)
    page.on("requestfailed", gone)
    return held


def _alone(page: Page, held: list[str]) -> None:
    """A page has one connection; one that it gave up for another may take a moment to be told of as gone."""
    for _ in range(100):
        if len(held) <= 1:
            return
        page.wait_for_timeout(50)
    raise AssertionError(f"connections of one page: {held}")


class Api:
    """The same server as programs use it.

    Args:
        house: where.
    """

    def __init__(self, house: House) -> None:
        self.house = house

    def call(self, method: str, path: str, **body: Any) -> dict[str, Any]:
        told = self.house.address()
        headers = {"authorization": f"Bearer {told['token']}"}
        url = f"{told['url']}/api/v1{path}"
        answer = httpx2.request(
            method, url, json=body or None, headers=headers, timeout=30, trust_env=False, verify=False
        )
        assert answer.is_success, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def begin(self, steps: list[dict[str, object]], text: str = "Do it.", **fields: Any) -> str:
        """A session whose model does `steps`; its id."""
        given = {"repository": str(self.house.repository), "model": MODEL[1], "title": text, "permissions": "allow"}
        return str(self.call("POST", "/sessions", **(given | fields), prompt=prompt(steps, text))["id"])

    def rest(self, session: str, state: str = "idle") -> None:
        """Wait until a session is in this state and has taken up all that it was asked."""

        def rests() -> bool:
            told = self.call("GET", f"/sessions/{session}")
            return bool(told["state"] == state and not told["queued"])

        until(rests, why=f"{session} was {state}")


@pytest.fixture
def api(house: House) -> Api:
    return Api(house)


FOCUS = """() => {
    const at = document.activeElement, box = at.getBoundingClientRect(), style = getComputedStyle(at);
    const mid = (from, to, most) => (Math.max(from, 0) + Math.min(to, most)) / 2;
    const hit = document.elementFromPoint(mid(box.left, box.right, innerWidth), mid(box.top, box.bottom, innerHeight));
    const label = at.labels?.length ? [...at.labels[0].childNodes].filter((one) => one !== at) : [at];
    const words = at.getAttribute('aria-label') ?? label.map((one) => one.textContent).join('');
    const outlined = style.outlineStyle !== 'none' && parseFloat(style.outlineWidth) >= 2;
    return {
        words: words.replace(/\\s+/g, ' ').trim(), tag: at.tagName, marked: at.matches(':focus-visible') && outlined,
        free: hit !== null && (at.contains(hit) || hit.contains(at)),
    };
}"""


def focus(page: Page, passed: object = "") -> str:
    """The words of what has the focus, which a person must see: marked, in view, and with nothing over it."""
    told = page.evaluate(FOCUS)
    assert told["tag"] != "BODY", f"nothing has the focus; {passed}"
    assert told["marked"], f"the focus does not show on {told}"
    assert told["free"], f"the focus is hidden on {told}"
    return str(told["words"])


def reach(page: Page, words: str, most: int = 60) -> None:
    """Press Tab until what has these words has the focus, by way of the page's end; on the way, each stop is seen."""
    passed: list[str] = []
    for _ in range(most):
        page.keyboard.press("Tab")
        if "" not in passed and page.evaluate("document.activeElement === document.body"):
            page.keyboard.press("Tab")  # the end of the page: in a window the browser's own parts would follow
            passed.append("")
        passed.append(focus(page, passed))
        if words in passed[-1]:
            return
    raise AssertionError(f"Tab does not lead to {words!r}, only to {passed}")


def press(page: Page, keys: str) -> None:
    """Press keys, one after the other."""
    for key in keys.split():
        page.keyboard.press(key)


def picture(page: Page, name: str) -> None:
    """Keep what a person would see, in both themes."""
    PICTURES.mkdir(parents=True, exist_ok=True)
    for theme in THEMES:
        page.emulate_media(color_scheme=theme)
        page.screenshot(path=PICTURES / f"{name}-{theme}.png", full_page=name.startswith("patterns"))
    page.emulate_media(color_scheme="light")


def examine(page: Page) -> None:
    """axe finds nothing against WCAG 2.2 AA; in the dark theme the gallery is looked at, which has every part in it."""
    told = violations(page, THEMES[:1])
    assert told == [], "\n".join(told)


def violations(page: Page, themes: tuple[Literal["light", "dark"], ...] = THEMES, without: str = "") -> list[str]:
    """What axe finds, in these themes; what `without` selects is left out."""
    told = []
    page.evaluate(AXE)
    tags = ["wcag2a", "wcag2aa", "wcag21a", "wcag21aa", "wcag22aa", "best-practice"]
    looks = {"light": {"type": "tag", "values": tags}, "dark": {"type": "rule", "values": ["color-contrast"]}}
    for theme in themes:  # what the theme cannot change is looked at once
        page.emulate_media(color_scheme=theme)
        where = [{"exclude": [without] if without else []}, {"runOnly": looks[theme], "resultTypes": ["violations"]}]
        found = page.evaluate("where => axe.run(...where)", where)
        told += [
            f"{page.url} in {theme}: {one['id']}: {node['target']} {node['failureSummary']}"
            for one in found["violations"]
            for node in one["nodes"][:2]
        ]
    return told
