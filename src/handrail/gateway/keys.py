"""Keys at rest: AES-256-GCM, bound to the row that holds them.

A sealed key is `1 (version) | 4 bytes of the master key's id | 12 bytes nonce | ciphertext and tag`; what it is bound
to is the associated data, so a ciphertext that is moved to another row cannot be opened
(https://cryptography.io/en/latest/hazmat/primitives/aead/). A model provider's key and a forge's are bound to their
address too: who can write the database but has no master key cannot have them sent elsewhere.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import os
import secrets
from collections.abc import Mapping
from pathlib import Path

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from handrail.errors import InvalidInput

VARIABLE = "HANDRAIL_MASTER_KEY"
_VERSION = b"\x01"
_SIZE = 32


def load_master(data: Path, environ: Mapping[str, str]) -> bytes:
    """The master key: from `HANDRAIL_MASTER_KEY` (base64 of 32 bytes), else from `master.key` in the data directory.

    The file is made on first use, readable by its owner alone.

    Raises:
        InvalidInput: the variable or file holds no such key, or others may read the file. The key is never shown.
    """
    if given := environ.get(VARIABLE, "").strip():
        return _decode(given, VARIABLE)
    file = data / "master.key"
    if not file.exists():
        _create(file)
    if file.stat().st_mode & 0o077:
        raise InvalidInput(str(file), oct(file.stat().st_mode & 0o777), f"run chmod 600 {file}")
    return _decode(file.read_text("ascii", errors="replace").strip(), str(file))


def _create(file: Path) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    draft = file.with_name(f".{file.name}.{secrets.token_hex(8)}")
    handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(handle, "wb") as stream:
            stream.write(base64.b64encode(secrets.token_bytes(_SIZE)) + b"\n")
            stream.flush()
            os.fsync(stream.fileno())
        # A link, not a rename: the first of two servers that start at once wins, the other reads its key.
        os.link(draft, file)
    except FileExistsError:
        pass
    finally:
        draft.unlink()


def _decode(text: str, source: str) -> bytes:
    try:
        key = base64.b64decode(text.replace("-", "+").replace("_", "/"), validate=True)
    except binascii.Error:
        key = b""
    if len(key) != _SIZE:
        raise InvalidInput(source, "…", "give 32 random bytes in base64, as `openssl rand -base64 32` prints them")
    return key


def _id(master: bytes) -> bytes:
    return hashlib.sha256(b"handrail master key id" + master).digest()[:4]


def seal(master: bytes, name: str, key: str, *, to: str = "") -> bytes:
    """Encrypt `key` for the row `name`, and for `to`: what else of the row it may not be used without."""
    nonce = secrets.token_bytes(12)
    return _VERSION + _id(master) + nonce + AESGCM(master).encrypt(nonce, key.encode(), _bound(name, to))


def unseal(master: bytes, name: str, sealed: bytes, *, to: str = "") -> str:
    """Decrypt the key of the row `name` that was sealed for the same `to`.

    Raises:
        InvalidInput: sealed with another master key, for another row or another `to`, or damaged.
    """
    if sealed[:1] != _VERSION or len(sealed) < 1 + 4 + 12 + 16:
        raise InvalidInput(f"key of {name}", "…", "set it again: what is stored is no sealed key")
    if sealed[1:5] != _id(master):
        raise InvalidInput(
            f"key of {name}", "…", f"bring back the master key it was sealed with ({VARIABLE} or the file)"
        )
    try:
        return AESGCM(master).decrypt(sealed[5:17], sealed[17:], _bound(name, to)).decode()
    except InvalidTag as error:
        known = f"another name, or goes with something else than {to}" if to else "another name"
        raise InvalidInput(f"key of {name}", "…", f"set it again: it was damaged or belongs to {known}") from error


def _bound(name: str, to: str) -> bytes:
    return f"{name}\n{to}".encode() if to else name.encode()
