from __future__ import annotations

from pathlib import Path

import pytest

from handrail.config import Config, data_directory, keep_setting, load
from handrail.errors import InvalidInput


def test_defaults_need_nothing(tmp_path: Path) -> None:
    assert load(tmp_path, {}) == Config(data=tmp_path)
    assert load(tmp_path, {}).place == tmp_path / "handrail.db"


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


def test_a_setting_is_kept_for_every_later_start_and_never_changed_behind_a_persons_back(tmp_path: Path) -> None:
    url = 'postgresql://me:se"cret@db/handrail'
    (tmp_path / "config.toml").write_text("port = 0\n", "utf-8")
    for _ in range(2):
        keep_setting(tmp_path, "database", url)
    assert (load(tmp_path, {}).place, load(tmp_path, {}).port) == (url, 0)
    assert (tmp_path / "config.toml").stat().st_mode & 0o777 == 0o600
    assert "cret" not in repr(load(tmp_path, {}))
    with pytest.raises(InvalidInput, match=r"says another one: change it there"):
        keep_setting(tmp_path, "database", "postgresql://elsewhere/handrail")
