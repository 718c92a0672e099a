from __future__ import annotations

import subprocess
import sys

LIGHT = """
import sys
from handrail.agents import _sdk, link
assert not any(name.partition(".")[0] == "acp" for name in sys.modules), "nobody sees a package half loaded"
import acp
assert acp.schema.InitializeRequest and acp.connection.Connection and acp.RequestError, "the whole package is there"
"""
WHOLE = """
import acp
from handrail.agents import _sdk
assert (_sdk.Connection, _sdk.RequestError) == (acp.connection.Connection, acp.RequestError)
"""


def test_two_classes_of_the_sdk_come_without_its_models_and_hide_it_from_nobody() -> None:
    subprocess.run([sys.executable, "-c", LIGHT], check=True, timeout=50)
    subprocess.run([sys.executable, "-c", WHOLE], check=True, timeout=50)
