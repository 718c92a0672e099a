from __future__ import annotations

import pytest

from handrail.sandbox.backends import open_backend
from handrail.types import SandboxKind


@pytest.mark.parametrize("kind", SandboxKind)
async def test_every_kind_has_a_backend(kind: SandboxKind) -> None:
    backend = open_backend(kind)
    assert backend.kind is kind
    await backend.close()
