from __future__ import annotations

import pytest

from handrail.errors import InvalidInput, NotFound
from handrail.gateway import Provider, Wire
from handrail.gateway.providers import Providers

ONE = Provider("one", Wire.OPENAI, "https://one.example/v1", "k1")
TWO = Provider("two", Wire.OPENAI, "https://two.example/v1", "k2")
THREE = Provider("three", Wire.GEMINI, "https://three.example", "k3")


def test_who_serves_a_wire() -> None:
    known = Providers((ONE, TWO, THREE))
    assert known.resolve(Wire.OPENAI) is ONE
    assert known.resolve(Wire.OPENAI, "two") is TWO
    assert known.resolve(Wire.OPENAI, "three") is ONE
    assert known.resolve(Wire.ANTHROPIC) is None
    known.prefer("two")
    assert known.resolve(Wire.OPENAI) is TWO
    known.remove("two")
    known.remove("two")
    assert known.resolve(Wire.OPENAI) is ONE
    assert list(known) == [ONE, THREE]
    with pytest.raises(NotFound, match="known are: one, three"):
        known.get("two")


@pytest.mark.parametrize(
    ("name", "url", "key"),
    [
        ("", "https://x", "k"),
        ("a/b", "https://x", "k"),
        ("a", "ftp://x", "k"),
        ("a", "https://", "k"),
        ("a", "https://user:pw@x", "k"),
        ("a", "https://x?y=1", "k"),
        ("a", "https://x:notaport", "k"),
        ("a", "https://[::1", "k"),
        ("a", "https://x", ""),
        ("a", "https://x", "k\r\nx: y"),
        ("a", "https://x", "schlüssel"),
    ],
)
def test_what_is_no_provider(name: str, url: str, key: str) -> None:
    with pytest.raises(InvalidInput):
        Providers((Provider(name, Wire.OPENAI, url, key),))


def test_the_key_is_not_shown() -> None:
    assert "k1" not in repr(ONE) + repr(ONE.__rich_repr__())
