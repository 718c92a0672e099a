from __future__ import annotations

import os
from pathlib import Path

import pytest

from handrail.errors import SandboxError
from handrail.sandbox import etc


def test_only_what_is_public_and_needed_is_there(tmp_path: Path) -> None:
    source = tmp_path / "etc"
    (source / "ssl").mkdir(parents=True)
    for name in ("shadow", "hosts", "protocols", "services"):
        (source / name).write_text(name)
    (source / "services").chmod(0o600)
    (source / "localtime").symlink_to("/usr/share/zoneinfo/UTC")
    made = tmp_path / "made"
    umask = os.umask(0o077)
    try:
        etc.build(made, source)
    finally:
        os.umask(umask)
    names = {path.name for path in made.iterdir()}
    assert names == {"passwd", "group", "hosts", "nsswitch.conf", "protocols", "localtime", "ssl"}
    assert (made / "hosts").read_text().startswith("127.0.0.1 localhost sandbox")
    assert (made / "localtime").is_symlink()
    assert str((made / "passwd").readlink()) == "../run/handrail/passwd"
    assert made.stat().st_mode & 0o777 == 0o755
    assert (made / "hosts").stat().st_mode & 0o777 == (made / "protocols").stat().st_mode & 0o777 == 0o644
    with pytest.raises(SandboxError, match="could not be made"):
        etc.build(made, source)
