from __future__ import annotations

import httpx2
import pytest

from handrail.commands.actor import OWNER, person
from handrail.commands.desk import Desk
from handrail.errors import InvalidInput
from handrail.types import Role
from handrail.web.guard import Keys
from handrail.web.pages.forms import back, goal
from tests.commands.desks import begin


@pytest.mark.parametrize("given", ["/", "/inbox", "/sessions/s-1?after=3#transcript"])
def test_one_goes_back_within_the_server(given: str) -> None:
    assert back(given) == given


@pytest.mark.parametrize(
    "given", [None, "", "inbox", "//evil.example", "/\\evil.example", "http://evil.example/", "/a\nb", "/é"]
)
def test_and_nowhere_else(given: str | None) -> None:
    assert back(given) == "/"


def test_checks_stand_one_a_line() -> None:
    spec = goal({"text": "x", "checks": " pytest -q \n\n ruff check\n", "turns": "5", "budget_usd": " "})
    assert spec is not None
    assert spec.checks == (("pytest -q", None), ("ruff check", None))
    assert (spec.turns, spec.budget_usd) == (5, None)
    assert goal({"text": "x", "checks": "\n"}) is None
    with pytest.raises(InvalidInput, match="turns"):
        goal({"text": "x", "turns": "many"})


async def test_a_form_from_elsewhere_is_refused(desk: Desk, browser: httpx2.AsyncClient, keys: Keys) -> None:
    alice = await begin(desk)
    for csrf in (
        {"back": "/"},
        {"csrf": ""},
        {"csrf": keys.form_of(person("alice", Role.OWNER))},
        {"csrf": keys.form_of(OWNER) + "x"},
    ):
        answer = await browser.post(f"/sessions/{alice}/end", data=csrf)
        assert answer.status_code == 403
        assert "did not come from a page of this server" in answer.text
    ended = await browser.post(
        f"/sessions/{alice}/end", data={"csrf": keys.form_of(OWNER), "back": f"/sessions/{alice}"}
    )
    assert (ended.status_code, ended.headers["location"]) == (303, f"/sessions/{alice}")


@pytest.mark.parametrize(
    ("content", "media"),
    [
        (b'{"csrf": "x"}', "application/json"),
        (b"csrf=%ff%fe", "application/x-www-form-urlencoded"),
        (b"\xff", "application/x-www-form-urlencoded"),
        (b"&".join(b"a=1" for _ in range(100)), "application/x-www-form-urlencoded"),
    ],
)
async def test_what_is_no_form(browser: httpx2.AsyncClient, content: bytes, media: str) -> None:
    answer = await browser.post("/sessions", content=content, headers={"content-type": media})
    assert answer.status_code == 422
