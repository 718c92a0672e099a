from __future__ import annotations

import ssl
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from handrail.egress.proxy import Egress
from tests.egress.lab import Lab, certificate, guard

NAMES = ("api.example.com", "other.example.com", "deep.sub.example.com", "denied.example.org")


@pytest.fixture
async def lab(tmp_path: Path) -> AsyncIterator[Lab]:
    names = {name: ["127.0.0.1"] for name in NAMES}
    asked: list[str] = []

    async def resolve(host: str, port: int) -> list[str]:
        asked.append(f"{host}:{port}")
        if host not in names:
            raise OSError("no such name")
        return names[host]

    cert, _ = certificate(tmp_path / "tls", *NAMES)
    egress = Egress(guard(), resolve, ssl.create_default_context(cafile=str(cert)))
    lab = Lab(egress, names, asked, tmp_path)
    async with lab.closing:
        yield lab
    await egress.close()
