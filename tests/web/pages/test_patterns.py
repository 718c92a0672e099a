from __future__ import annotations

import re
import sys
from collections import Counter
from collections.abc import Iterator
from types import FrameType
from typing import Any

import httpx2
import pytest
from jinja2 import nodes

from handrail.types import Outcome, SessionState
from handrail.web.pages import patterns, render, specimens
from tests.web.pages.test_routes import page

TEMPLATES = render.WEB / "templates"
NAMES = sorted(path.name for path in TEMPLATES.iterdir())
ABSENT = {
    "base.html": "it stands round the gallery itself; what it shows of its own is in line.html and sheets.html",
    "live_session.html": "sends the parts of a session to its open page: each of them is there by itself",
    "patterns.html": "the gallery itself",
    "session.html": "its parts are there by themselves; its log takes the whole height of a window",
    "side_page.html": "a heading above side.html, which is there with every tab",
}
"""templates that no specimen is made of → why"""
_SAYS = re.compile(r"\s*(yield |t_\d+\()")
"""how a line of a template's code begins that puts something out"""
_BEGINS = re.compile(r"def block_main\(|    def macro\(")
Ran = frozenset[tuple[str, int]]
"""(template, line of its code)"""


@pytest.fixture(scope="module")
def ran() -> Ran:
    """All code of templates that runs when the gallery is made."""
    found: set[tuple[str, int]] = set()
    place = f"{TEMPLATES}/"

    def traced(frame: FrameType, _event: str, _given: Any) -> Any:
        if not frame.f_code.co_filename.startswith(place):  # asked at each call of anything: a Path takes too long
            return None
        found.add((frame.f_code.co_filename.removeprefix(place), frame.f_lineno))
        return traced

    for kept in (render.environment, specimens._bare):
        kept.cache_clear()  # what another test has made has run already
    before = sys.gettrace()
    sys.settrace(traced)
    try:
        assert list(patterns.groups())
    finally:
        sys.settrace(before)
    return frozenset(found)


def _is_page(name: str) -> bool:
    tree = render.environment().parse((TEMPLATES / name).read_text("utf-8"))
    return tree.find(nodes.Extends) is not None


def _code(name: str) -> Iterator[tuple[int, str]]:
    """The code that a template becomes, by lines."""
    text = (TEMPLATES / name).read_text("utf-8")
    made = str(render.environment().compile(text, name, str(TEMPLATES / name), raw=True))
    yield from enumerate(made.splitlines(), 1)


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ABSENT and not _is_page(name)])
def test_every_branch_of_every_part_is_in_the_gallery(ran: Ran, name: str) -> None:
    """A part, or a state of one, that is written and not shown fails here: give it a specimen in `specimens`."""
    template = render.environment().get_template(name)
    lines = {line for one, line in ran if one == name}
    unseen = [
        f"{name}:{template.get_corresponding_lineno(at)} {said.strip()}"
        for at, said in _code(name)
        if _SAYS.match(said) and at not in lines
    ]
    assert unseen == []


@pytest.mark.parametrize("name", [name for name in NAMES if name not in ABSENT and _is_page(name)])
def test_every_page_and_each_macro_of_it_is_in_the_gallery(ran: Ran, name: str) -> None:
    template = render.environment().get_template(name)
    lines = {line for one, line in ran if one == name}
    unseen = [
        f"{name}:{template.get_corresponding_lineno(at)} {said.strip()}"
        for at, said in _code(name)
        if _BEGINS.match(said) and not {at, at - 1} & lines  # a decorator may stand above it
    ]
    assert unseen == []


def test_what_is_absent_has_a_reason_and_is_there() -> None:
    assert set(ABSENT) <= set(NAMES)


async def test_the_gallery_has_every_state_and_nothing_in_it_acts(browser: httpx2.AsyncClient) -> None:
    found = await page(browser, "/patterns")
    for state in SessionState:
        assert f"state-{state}" in str(found.elements)
    for outcome in Outcome:
        assert f"outcome-{outcome}" in str(found.elements)
    answer = await browser.get("/patterns")
    ids = re.findall(r'\sid="([^"]+)"', answer.text)
    assert [one for one, times in Counter(ids).items() if times > 1] == []
    made = answer.text[answer.text.index('class="patterns"') : answer.text.rindex("</section>")]
    assert set(re.findall(r'\saction="([^"]+)"', made)) == {patterns.NOWHERE}
    assert re.findall(r"\s(?:hx-|data-key|data-command)[a-z:-]*=", made) == []
    assert (await browser.post(patterns.NOWHERE)).status_code in {404, 405}


async def test_it_is_for_those_who_may_read(stranger: httpx2.AsyncClient) -> None:
    assert (await stranger.get("/patterns")).status_code == 401
