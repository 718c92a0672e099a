from __future__ import annotations

import subprocess
import sys

from handrail.lazy import Later


def test_a_module_is_loaded_when_it_is_needed() -> None:
    sys.modules.pop("this", None)
    sys.modules.pop("colorsys", None)
    later = Later("colorsys")
    assert "colorsys" not in sys.modules
    assert later.load() is sys.modules["colorsys"]
    assert later.load() is later.load()


def test_a_server_starts_without_what_only_its_work_needs() -> None:
    heavy = {
        "acp",
        "alembic",
        "genai_prices",
        "httpx2",
        "jinja2",
        "markdown_it",
        "opentelemetry",
        "pydantic",
        "websockets",
    }
    code = "import sys, handrail.web.serve; print(*{name.partition('.')[0] for name in sys.modules})"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, timeout=50)
    assert not heavy & set(done.stdout.split())
