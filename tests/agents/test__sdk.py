from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import sys
import handrail.agents.link, handrail.agents.catalogue, handrail.agents.roster
assert "acp" not in sys.modules, "the SDK was imported too early"
from handrail.agents._sdk import sdk, warm
warm()
assert "acp.connection" in sys.modules
assert sdk().connection is sys.modules["acp.connection"].Connection
"""


def test_the_sdk_is_imported_only_when_it_is_asked_for() -> None:
    subprocess.run([sys.executable, "-c", SCRIPT], check=True, timeout=50)
