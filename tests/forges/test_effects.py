from __future__ import annotations

import re
import time
import typing

import pytest

from handrail.automation import EffectKind
from handrail.errors import InvalidInput
from handrail.forges import effects as e

COMMIT = "a" * 40
SAMPLES: list[e.Effect] = [
    e.Push("a/b", "x", COMMIT, "b" * 40),
    e.PullRequest("a/b", "x", "main", "Title", "Body\n\twith lines", draft=True, commit=COMMIT),
    e.Comment("g/sub/p", 7, "Text", on_pull_request=True),
    e.Review("a/b", 7, COMMIT, "Text", "approve", (e.LineComment("src/x.py", 3, "Why?"),)),
    e.Label("a/b", 7, ("one",), ("two",)),
    e.Status("a/b", COMMIT, "ci", "success", "fine", "https://x"),
    e.Merge("a/b", 7, COMMIT, "squash"),
    e.Issue("a/b", "Title", "Body", ("bug",)),
    e.Message("team", "Title", "Text"),
    e.Webhook("deploys", "Title", "Text"),
    e.Report("Title", "Body"),
]


def test_every_kind_has_a_value() -> None:
    assert {sample.kind for sample in SAMPLES} == set(EffectKind) == set(e.KINDS)
    assert set(EffectKind) - e.AT_FORGE == {EffectKind.MESSAGE, EffectKind.WEBHOOK, EffectKind.REPORT}


@pytest.mark.parametrize("sample", SAMPLES, ids=lambda sample: sample.kind)
def test_written_and_read_it_is_the_same(sample: e.Effect) -> None:
    assert e.parse(sample.kind, e.as_json(sample)) == sample
    assert e.digest(e.parse(sample.kind, e.as_json(sample))) == e.digest(sample)


@pytest.mark.parametrize("kind", EffectKind)
def test_the_schema_names_what_the_value_has(kind: EffectKind) -> None:
    told = e.schema(kind, frozenset({"repository"}))
    properties = typing.cast("dict[str, object]", told["properties"])
    assert "repository" not in properties
    assert set(typing.cast("list[str]", told["required"])) <= set(properties)


@pytest.mark.parametrize(
    ("kind", "change", "names"),
    [
        ("push", {"branch": "-x"}, "branch: '-x' cannot be used: git takes no branch"),
        ("push", {"branch": "a..b"}, "branch"),
        ("push", {"branch": "refs/heads/\nx"}, "branch"),
        ("push", {"commit": "HEAD"}, "commit: 'HEAD' cannot be used: give the full id"),
        ("push", {"repository": "../x"}, "repository"),
        ("push", {"repository": "https://x/y"}, "repository"),
        ("push", {"more": 1}, "more: 1 cannot be used: known fields are"),
        ("comment", {"number": "7"}, "number: '7' cannot be used: give a number"),
        ("comment", {"number": True}, "number"),
        ("comment", {"body": "  "}, "body|say something"),
        ("comment", {"body": "x" * 60_001}, "at most 60000 characters"),
        ("comment", {"body": "a\x1b[31m"}, "leave control characters out"),
        ("comment", {"body": "\ud800"}, "body"),
        ("review", {"verdict": "maybe"}, "verdict: 'maybe' cannot be used: choose one of"),
        ("review", {"comments": [{"path": "x", "line": 0, "body": "y"}]}, r"comments\[0\]\.line"),
        ("review", {"comments": ["x"]}, r"comments\[0\]: 'x' cannot be used: give an object"),
        ("review", {"comments": [{"path": "x", "body": "y"}]}, r"comments\[0\]\.line: None cannot be used: give this"),
        ("pull_request", {"title": "two\nlines"}, "title: 'two.*give one line"),
        ("pull_request", {"draft": "yes"}, "draft: 'yes' cannot be used: give true or false"),
        ("label", {"add": [], "remove": []}, "add"),
        ("label", {"add": "bug"}, "add: 'bug' cannot be used: give a list"),
        ("merge", {"method": "force"}, "method"),
    ],
)
def test_what_cannot_be_used_is_named(kind: str, change: dict[str, object], names: str) -> None:
    good = next(e.as_json(sample) for sample in SAMPLES if sample.kind == kind)
    with pytest.raises(InvalidInput, match=names) as caught:
        e.parse(kind, {**good, **change})
    if "body" in change and "\ud800" not in str(change["body"]) and str(change["body"]).strip():
        assert "body" in caught.value.message


def test_a_kind_that_is_none_and_a_field_that_is_missing() -> None:
    with pytest.raises(InvalidInput, match="kind: 'deploy' cannot be used: choose one of push"):
        e.parse("deploy", {})
    with pytest.raises(InvalidInput, match="repository: None cannot be used: give this field"):
        e.parse("push", {"branch": "x"})


def test_a_body_brings_no_marker_of_its_own() -> None:
    assert e.marked("Hi <!-- handrail:other -->", "k") == "Hi\n\n<!-- handrail:k -->"
    assert e.marked("<!--HANDRAIL:x-->", "k") == "<!-- handrail:k -->"


@pytest.mark.parametrize("depth", [1, 2, 3000])
def test_a_marker_hidden_in_a_marker_is_none_either(depth: int) -> None:
    hidden = "<!-- handrail:x -->"
    for _ in range(depth):
        hidden = f"<!-- hand{hidden}rail:x -->"
    begun = time.monotonic()
    made = e.marked(hidden, "k")
    assert time.monotonic() - begun < 1  # a body of 60 KB holds up nobody
    assert [one.casefold() for one in re.findall(r"<!--\s*handrail:", made, re.IGNORECASE)] == [e.MARK]
    assert made.endswith(e.marker("k"))
    assert e.MARK not in e.unmarked(f"{hidden} <!--\n handrail:{hidden} <!-- HandRail:never closed")
