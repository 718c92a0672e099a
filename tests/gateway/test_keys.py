from __future__ import annotations

import base64
from pathlib import Path

import pytest

from handrail.errors import InvalidInput
from handrail.gateway.keys import load_master, seal, unseal


def test_the_master_key_is_made_once_and_private(tmp_path: Path) -> None:
    data = tmp_path / "data"
    master = load_master(data, {})
    assert len(master) == 32
    assert load_master(data, {}) == master
    assert (data / "master.key").stat().st_mode & 0o777 == 0o600
    assert [path.name for path in data.iterdir()] == ["master.key"]


def test_the_environment_wins_and_leaves_no_file(tmp_path: Path) -> None:
    master = bytes(range(32))
    for given in (base64.b64encode(master), base64.urlsafe_b64encode(master)):
        assert load_master(tmp_path, {"HANDRAIL_MASTER_KEY": given.decode()}) == master
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("bad", ["short", base64.b64encode(b"x" * 31).decode(), "!" * 44])
def test_what_is_no_master_key(tmp_path: Path, bad: str) -> None:
    with pytest.raises(InvalidInput) as caught:
        load_master(tmp_path, {"HANDRAIL_MASTER_KEY": bad})
    assert bad not in caught.value.message
    (tmp_path / "master.key").write_text(bad)
    (tmp_path / "master.key").chmod(0o600)
    with pytest.raises(InvalidInput):
        load_master(tmp_path, {})


def test_a_file_that_others_read_is_refused(tmp_path: Path) -> None:
    load_master(tmp_path, {})
    (tmp_path / "master.key").chmod(0o640)
    with pytest.raises(InvalidInput, match="chmod 600"):
        load_master(tmp_path, {})


def test_sealed_keys_open_only_in_their_row_with_their_master() -> None:
    master, other = bytes(32), bytes([1] * 32)
    sealed = seal(master, "openai", "sk-secret")
    assert b"sk-secret" not in sealed
    assert seal(master, "openai", "sk-secret") != sealed
    assert unseal(master, "openai", sealed) == "sk-secret"
    damaged = sealed[:-1] + bytes([sealed[-1] ^ 1])
    for key, name, value in (
        (master, "anthropic", sealed),
        (other, "openai", sealed),
        (master, "openai", damaged),
        (master, "openai", b""),
    ):
        with pytest.raises(InvalidInput) as caught:
            unseal(key, name, value)
        assert "sk-secret" not in caught.value.message
