"""The policies that Handrail brings: what holds for all that no rule of any layer names."""

from __future__ import annotations

from handrail.policy.document import Document, read
from handrail.types import Permissions

TEXTS: dict[Permissions, str] = {
    Permissions.ASK: 'files:\n  allow: ["read *"]\nrest: ask\n',
    Permissions.ALLOW: "rest: allow\n",
    Permissions.DENY: 'files:\n  allow: ["read *"]\nrest: deny\n',
}

DOCUMENTS: dict[Permissions, Document] = {
    permissions: read(text, f"built-in {permissions}") for permissions, text in TEXTS.items()
}
