"""Which model `make demo` takes: that of a key in the environment, at the address that stands there."""

from __future__ import annotations

import pytest
from demo.__main__ import choose_model

from tests.fake_provider import prompt
from tests.whole.conftest import Build
from tests.whole.house import Model

STEPS = [{"shell": "sed -i s/Hallo/Hello/ greet.py"}, {"text": "done"}]


@pytest.mark.timeout(150)
@pytest.mark.parametrize(
    ("key", "url"), [("ANTHROPIC_API_KEY", "ANTHROPIC_BASE_URL"), ("GOOGLE_API_KEY", "GOOGLE_GEMINI_BASE_URL")]
)
def test_a_model_key_is_used_instead_of_the_script(build: Build, model: Model, key: str, url: str) -> None:
    house = build(env={"ANTHROPIC_API_KEY": "", key: "good", url: model.fake.url})
    with choose_model([], house.environment) as (said, options):
        assert key in said
        house.run("do", prompt(STEPS), "--check", "sh check.sh", *options)
    assert len(model.fake.model_calls) == len(STEPS)
    assert all("good" in call.headers.values() for call in model.fake.model_calls)
