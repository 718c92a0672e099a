from __future__ import annotations

import pytest

from handrail.errors import InvalidInput
from handrail.gateway import Provider, Wire
from handrail.gateway.environment import providers


def test_nothing_set_is_nothing_found() -> None:
    assert providers({}) == ()
    assert providers({"ANTHROPIC_API_KEY": " ", "OPENAI_BASE_URL": "http://x"}) == ()


def test_keys_and_base_urls() -> None:
    environ = {
        "ANTHROPIC_API_KEY": "a",
        "OPENAI_API_KEY": "b\n",
        "OPENAI_BASE_URL": "http://localhost:8000/v1/",
        "GOOGLE_API_KEY": "c",
    }
    assert providers(environ) == (
        Provider("anthropic", Wire.ANTHROPIC, "https://api.anthropic.com", "a"),
        Provider("openai", Wire.OPENAI, "http://localhost:8000/v1", "b"),
        Provider("gemini", Wire.GEMINI, "https://generativelanguage.googleapis.com", "c"),
    )
    assert providers({**environ, "GEMINI_API_KEY": "d"})[2].key == "d"


def test_what_cannot_be_used_is_said() -> None:
    with pytest.raises(InvalidInput, match="base_url"):
        providers({"OPENAI_API_KEY": "b", "OPENAI_BASE_URL": "localhost:8000"})
    with pytest.raises(InvalidInput) as caught:
        providers({"OPENAI_API_KEY": "secret\nvalue"})
    assert "secret" not in caught.value.message
