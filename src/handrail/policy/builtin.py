"""The policies that Handrail brings: what holds for all that no rule of any layer names."""

from __future__ import annotations

from functools import cache

from handrail.policy.document import Document, read
from handrail.types import Permissions

TEXTS: dict[Permissions, str] = {
    Permissions.ASK: 'files:\n  allow: ["read *"]\nrest: ask\n',
    Permissions.ALLOW: "rest: allow\n",
    Permissions.DENY: 'files:\n  allow: ["read *"]\nrest: deny\n',
}


@cache
def document(permissions: Permissions) -> Document:
    """The policy under all others; read when it is first asked for, since reading YAML costs a start 15 ms."""
    return read(TEXTS[permissions], f"built-in {permissions}")
