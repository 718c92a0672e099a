from __future__ import annotations

import sys

from handrail.web.lazy import Later


def test_a_module_is_loaded_when_it_is_needed() -> None:
    sys.modules.pop("this", None)
    sys.modules.pop("colorsys", None)
    later = Later("colorsys")
    assert "colorsys" not in sys.modules
    assert later.load() is sys.modules["colorsys"]
    assert later.load() is later.load()
