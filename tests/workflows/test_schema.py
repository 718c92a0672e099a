"""The schema for editors: it takes what the reader takes. That page and schema are in step is shown in `tests/docs`."""

from __future__ import annotations

import json

import pytest
import yaml
from jsonschema import Draft202012Validator  # type: ignore[import-untyped]

from handrail.workflows import schema
from tests.workflows.samples import STEPS, WHOLE

VALIDATOR = Draft202012Validator(schema.schema())


@pytest.mark.parametrize("text", [WHOLE, STEPS])
def test_sound_files_pass(text: str) -> None:
    loaded = json.loads(json.dumps(yaml.safe_load(text.replace("\non:", '\n"on":'))))
    assert [error.message for error in VALIDATOR.iter_errors(loaded)] == []


@pytest.mark.parametrize("wrong", [{"nam": "x"}, {"name": "x", "goal": 3}, {"name": "x", "on": {"schedule": {}}}])
def test_what_is_wrong_is_marked(wrong: object) -> None:
    assert list(VALIDATOR.iter_errors(wrong))


def test_every_field_is_explained() -> None:
    rows = [line for line in schema.page().splitlines() if line.startswith("| `")]
    assert len(rows) > 80
    assert [row for row in rows if row.endswith("|  |")] == []
