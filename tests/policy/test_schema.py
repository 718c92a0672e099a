from __future__ import annotations

from pathlib import Path

from handrail.policy import schema

FILE = Path(__file__).resolve().parents[2] / "docs" / "reference" / "policy.schema.json"


def test_the_file_is_in_step() -> None:
    assert FILE.read_text("utf-8") == schema.text(), (
        "run: python -m handrail.policy.schema > docs/reference/policy.schema.json"
    )
