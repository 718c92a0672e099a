"""One call of the API, for verbs that make no more than one: the server is found or started, asked, and let go of."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from handrail.cli import options
from handrail.cli.client import Client, Obj

PATIENCE = 60.0
"""seconds for an answer; `client.LONG` for what may take minutes"""


def get(data: Path | None, path: str, **asked: str | float | None) -> Obj:
    """GET a path below `/api/v1`; what is None is not asked for."""

    async def call(client: Client) -> Obj:
        async with client:
            return await client.get(path, **asked)

    return options.run(call(options.client(data)))


def post(data: Path | None, path: str, body: Mapping[str, Any] | None = None, *, timeout: float = PATIENCE) -> Obj:
    """POST a body; `timeout` is seconds."""

    async def call(client: Client) -> Obj:
        async with client:
            return await client.post(path, body, timeout=timeout)

    return options.run(call(options.client(data)))


def put(data: Path | None, path: str, body: Mapping[str, Any]) -> Obj:
    """PUT a body."""

    async def call(client: Client) -> Obj:
        async with client:
            return await client.put(path, body)

    return options.run(call(options.client(data)))


def delete(data: Path | None, path: str) -> Obj:
    """DELETE a path."""

    async def call(client: Client) -> Obj:
        async with client:
            return await client.delete(path)

    return options.run(call(options.client(data)))
