from __future__ import annotations

import gzip
import hashlib
import tomllib
from pathlib import Path

import httpx2
import pytest

from handrail.web import static

VENDORS = [static.FOLDER / "vendor", Path(__file__).parent / "journeys" / "vendor"]
OWN = sorted(static.FOLDER.glob("*.js"))
FIRST_LOAD = 40 * 1024


@pytest.mark.parametrize("folder", VENDORS, ids=["pages", "tests"])
def test_what_others_wrote_is_as_they_published_it(folder: Path) -> None:
    files = tomllib.loads((folder / "vendor.toml").read_text("utf-8"))["file"]
    assert {file["name"] for file in files} == {path.name for path in folder.iterdir()} - {"vendor.toml"}
    for file in files:
        assert hashlib.sha256((folder / file["name"]).read_bytes()).hexdigest() == file["sha256"], file["name"]
        assert file["source"].startswith("https://registry.npmjs.org/")
        assert file["licence"]


def test_our_scripts_keep_their_budget() -> None:
    lines = {path.name: path.read_text("utf-8").count("\n") for path in OWN}
    assert max(lines.values()) <= 250
    assert sum(lines.values()) <= 1500
    for path in OWN:
        text = path.read_text("utf-8")
        assert text.startswith("// @ts-check\n")
        for word in ("innerHTML", "outerHTML =", "insertAdjacentHTML", "eval(", "new Function", "document.write"):
            assert word not in text, f"{path.name}: {word}"


def test_a_first_load_is_small() -> None:
    names = [*static.SCRIPTS, static.STYLE, "handrail.svg"]
    assert sum(len(gzip.compress((static.FOLDER / name).read_bytes(), 9)) for name in names) <= FIRST_LOAD


def test_the_stylesheet_is_one_file_in_layers_that_fetches_nothing() -> None:
    css = (static.FOLDER / static.STYLE).read_text("utf-8")
    assert "@layer tokens, base, layout, parts;" in css
    for word in ("url(", "@import"):
        assert word not in css
    for word in ("light-dark(", "prefers-reduced-motion", "forced-colors"):
        assert word in css


async def test_files_come_packed_and_are_kept(stranger: httpx2.AsyncClient) -> None:
    for name in (*static.SCRIPTS, static.STYLE):
        answer = await stranger.get(static.address(name))
        assert answer.status_code == 200
        assert answer.content == (static.FOLDER / name).read_bytes()
        assert answer.headers["content-encoding"] == "gzip"
        assert "immutable" in answer.headers["cache-control"]
    plain = await stranger.get(static.address(static.STYLE), headers={"accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers


@pytest.mark.parametrize("name", ["vendor/vendor.toml", "../app.py", "%2e%2e/app.py", "nothing.js", "vendor/", ""])
async def test_nothing_else_is_served(stranger: httpx2.AsyncClient, name: str) -> None:
    assert (await stranger.get(f"/static/{name}")).status_code in {401, 404}
