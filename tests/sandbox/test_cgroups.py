from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from handrail.sandbox import Guarantee, ResourceLimits, cgroups
from handrail.sandbox.cgroups import Hierarchy

LIMITS = ResourceLimits(processes=10, memory_bytes=1 << 26, cpus=0.5)


def test_where_nothing_is_writable_there_is_no_hierarchy(tmp_path: Path) -> None:
    assert cgroups.find(tmp_path) is None


def test_the_files_of_version_2(tmp_path: Path) -> None:
    hierarchy = Hierarchy(2, dict.fromkeys(("cpu", "memory", "pids"), tmp_path / "handrail"))
    assert hierarchy.guarantee == Guarantee.MEMORY | Guarantee.PIDS | Guarantee.CPU
    directory = tmp_path / "handrail" / "box"
    directory.mkdir(parents=True)
    files = {"memory.max": "67108864", "memory.swap.max": "0", "pids.max": "74", "cpu.max": "50000 100000"}
    for name in (*files, "memory.events"):
        (directory / name).touch()
    group = cgroups.make(hierarchy, "box", LIMITS)
    assert {name: (directory / name).read_text() for name in files} == files
    assert group.procs == [str(directory / "cgroup.procs")]
    assert group.kills() == 0
    (directory / "memory.events").write_text("low 0\noom 2\noom_kill 3\n")
    assert group.kills() == 3


def test_the_files_of_version_1(tmp_path: Path) -> None:
    files = {
        "memory": {"memory.limit_in_bytes": "67108864", "memory.memsw.limit_in_bytes": "67108864"},
        "pids": {"pids.max": "74"},
        "cpu": {"cpu.cfs_period_us": "100000", "cpu.cfs_quota_us": "50000"},
    }
    for controller, names in files.items():
        box = tmp_path / controller / "handrail" / "box"
        box.mkdir(parents=True)
        (tmp_path / controller / "cgroup.procs").touch()
        for name in names:
            (box / name).touch()
    hierarchy = Hierarchy(1, {controller: tmp_path / controller / "handrail" for controller in files})
    if os.geteuid() == 0:
        assert cgroups.find(tmp_path) == hierarchy, "as root alone"
    group = cgroups.make(hierarchy, "box", LIMITS)
    for controller, names in files.items():
        box = tmp_path / controller / "handrail" / "box"
        assert {name: (box / name).read_text() for name in names} == names
        assert str(box / "cgroup.procs") in group.procs
    (tmp_path / "memory" / "handrail" / "box" / "memory.oom_control").write_text("under_oom 0\noom_kill 3\n")
    assert group.kills() == 3


@pytest.mark.parametrize("at", ["/user.slice/app.slice/run-r1.scope", "/"])
def test_groups_of_version_2_are_made_where_they_were_delegated(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    """A systemd scope holds the server itself, so that groups are made beside it."""
    own = tmp_path / at.lstrip("/")
    own.mkdir(parents=True, exist_ok=True)
    told = tmp_path / "told"
    told.write_text(f"0::{at}\n")
    monkeypatch.setattr(cgroups, "OWN", told)
    (tmp_path / "cgroup.controllers").touch()
    assert cgroups.find(tmp_path) is None
    beside = own if at == "/" else own.parent
    (own / "cgroup.subtree_control").touch()
    (beside / "cgroup.subtree_control").write_text("memory pids rdma\n")
    assert cgroups.find(tmp_path) == Hierarchy(2, dict.fromkeys(("memory", "pids"), beside / "handrail"))


def test_only_what_is_limited_gets_a_group(tmp_path: Path) -> None:
    hierarchy = Hierarchy(1, {name: tmp_path / name / "handrail" for name in ("cpu", "memory", "pids")})
    for parent in hierarchy.parents.values():
        parent.mkdir(parents=True)
    assert cgroups.make(hierarchy, "box", ResourceLimits()).procs == []
    group = cgroups.make(hierarchy, "box", ResourceLimits(cpus=1.0))
    assert sorted(group.directories) == ["cpu", "pids"]
    group.remove()
    assert not (tmp_path / "pids" / "handrail" / "box").exists()


def test_groups_of_killed_servers_are_swept(tmp_path: Path) -> None:
    hierarchy = Hierarchy(2, {"pids": tmp_path})
    ours = tmp_path / cgroups.box_name()
    ours.mkdir()
    (tmp_path / "box-4194305-dead").mkdir()
    cgroups.sweep(hierarchy)
    assert list(tmp_path.iterdir()) == [ours]


@pytest.mark.skipif(cgroups.find() is None, reason="no writable control group here")
def test_a_real_group_limits_and_is_removed() -> None:
    hierarchy = cgroups.find()
    assert hierarchy is not None
    group = cgroups.make(hierarchy, f"test-{os.getpid()}", LIMITS)
    try:
        script = "".join(f"echo 0 > {path}; " for path in group.procs) + "exec tail /dev/zero"
        done = subprocess.run(["sh", "-c", script], check=False, timeout=30)
        assert done.returncode == -9
        assert group.kills() == 1
    finally:
        directories = list(group.directories.values())
        group.remove()
    assert not any(directory.exists() for directory in directories)
