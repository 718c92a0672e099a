from __future__ import annotations

from pathlib import Path

import pytest

from handrail.config import Config, data_directory, load
from handrail.errors import InvalidInput


def test_defaults_need_nothing(tmp_path: Path) -> None:
    assert load(tmp_path, {}) == Config(data=tmp_path)
    assert load(tmp_path, {}).database == tmp_path / "handrail.db"


def test_the_environment_wins_over_the_file(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_text('port = 8000\nturn_idle = 5\nhost = "127.0.0.2"\n')
    config = load(tmp_path, {"HANDRAIL_PORT": "9000"})
    assert (config.port, config.turn_idle, config.host) == (9000, 5.0, "127.0.0.2")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("prot = 1", "prot"),
        ('port = "many"', "port"),
        ("port = -1", "port"),
        ("port = true", "port"),
        ("turn_idle = 0", "turn_idle"),
        ("turn_idle = nan", "turn_idle"),
        ("host = 5", "host"),
        ("port =", "config.toml"),
    ],
)
def test_a_wrong_value_is_named(tmp_path: Path, text: str, named: str) -> None:
    (tmp_path / "config.toml").write_text(text)
    with pytest.raises(InvalidInput) as caught:
        load(tmp_path, {})
    assert named in caught.value.field


def test_where_the_data_directory_is(tmp_path: Path) -> None:
    assert data_directory({"HANDRAIL_DATA": "/a"}, Path("/b")) == Path("/b")
    assert data_directory({"HANDRAIL_DATA": "/a"}) == Path("/a")
    assert data_directory({"XDG_DATA_HOME": str(tmp_path)}) == tmp_path / "handrail"
    assert data_directory({}) == Path.home() / ".local" / "share" / "handrail"
