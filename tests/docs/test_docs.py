"""The documentation is a contract: generated pages are in step, links lead somewhere, verbs and words exist."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.docs.generate import PAGES, REFERENCE, ROOT

PAGES_BY_HAND = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/**/*.md")])
LINK = re.compile(r"\]\(([^)#:]+)(?:#[^)]*)?\)")
VERB = re.compile(r"`?handrail ([a-z]+)(?: ([a-z]+))?")


@pytest.mark.parametrize("name", PAGES)
def test_generated_pages_are_in_step(name: str) -> None:
    assert (REFERENCE / name).read_text("utf-8") == PAGES[name](), "run python -m tests.docs.generate"


@pytest.mark.parametrize("page", PAGES_BY_HAND, ids=lambda page: str(page.relative_to(ROOT)))
def test_links_lead_somewhere(page: Path) -> None:
    broken = [link for link in LINK.findall(page.read_text("utf-8")) if not (page.parent / link).exists()]
    assert broken == []


@pytest.mark.parametrize("page", PAGES_BY_HAND, ids=lambda page: str(page.relative_to(ROOT)))
def test_every_verb_that_is_shown_exists(page: Path) -> None:
    reference = (REFERENCE / "cli.md").read_text("utf-8")
    known = set(re.findall(r"^### `handrail ([a-z]+)", reference, re.MULTILINE))
    shown = {
        verb
        for code in re.findall(r"`handrail [^`]*`|^\$ .*$", page.read_text("utf-8"), re.MULTILINE)
        for verb, _ in VERB.findall(code)
    }
    assert shown - known == set()


def test_every_dependency_is_explained() -> None:
    project = (ROOT / "pyproject.toml").read_text("utf-8").partition("dependencies = [")[2].partition("]")[0]
    told = (ROOT / "docs" / "dependencies.md").read_text("utf-8")
    names = re.findall(r'"([A-Za-z0-9_-]+)', project)
    assert names
    assert [name for name in names if f"| {name} |" not in told] == []
    bounds = re.findall(r'"[A-Za-z0-9_-]+(.*)"', project)
    assert all(">=" in bound and "<" in bound for bound in bounds)


def test_every_error_of_the_tree_is_drawn() -> None:
    text = (ROOT / "src" / "handrail" / "errors.py").read_text("utf-8")
    drawn = text.partition('"""')[2].partition('"""')[0]
    assert [name for name in re.findall(r"^class (\w+)\(", text, re.MULTILINE) if name not in drawn] == []
