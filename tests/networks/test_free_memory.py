"""Free memory under the limits of control groups, as Docker, Kubernetes and Slurm set them."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

from ammrg.networks.free_memory import free_memory

GIB = 2**30


@pytest.fixture(autouse=True)
def machine(monkeypatch: pytest.MonkeyPatch) -> None:
    memory = psutil.virtual_memory()._replace(available=100 * GIB)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: memory)


def group(folder: Path, limit: str | int, used: int, cached: int = 0, version: int = 2) -> None:
    names = ("memory.max", "memory.current", "inactive_file")
    if version == 1:
        names = ("memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / names[0]).write_text(f"{limit}\n")
    (folder / names[1]).write_text(f"{used}\n")
    (folder / "memory.stat").write_text(f"anon 5\n{names[2]} {cached}\n")


def member(root: Path, *lines: str) -> None:
    (root / "proc/self").mkdir(parents=True)
    (root / "proc/self/cgroup").write_text("".join(f"{line}\n" for line in lines))


def test_without_groups_the_machine_alone_counts(tmp_path: Path) -> None:
    assert free_memory(tmp_path) == 100 * GIB  # not Linux
    member(tmp_path, "0::/")
    assert free_memory(tmp_path) == 100 * GIB
    assert 0 < free_memory() <= 100 * GIB


def test_a_container_sees_its_limit_at_the_top(tmp_path: Path) -> None:
    member(tmp_path, "0::/")
    group(tmp_path / "sys/fs/cgroup", 4 * GIB, 3 * GIB, GIB)
    assert free_memory(tmp_path) == 2 * GIB  # what is only cached is given back


def test_the_tightest_group_on_the_way_counts(tmp_path: Path) -> None:
    member(tmp_path, "0::/slurm/job_7/step_0")
    top = tmp_path / "sys/fs/cgroup"
    group(top / "slurm", "max", 50 * GIB)
    group(top / "slurm/job_7", 16 * GIB, 10 * GIB)
    group(top / "slurm/job_7/step_0", "max", 9 * GIB)
    assert free_memory(tmp_path) == 6 * GIB


def test_version_1_beside_version_2(tmp_path: Path) -> None:
    member(tmp_path, "5:cpu,cpuacct:/a", "4:memory:/docker/b", "0::/")
    group(tmp_path / "sys/fs/cgroup/memory/docker/b", 8 * GIB, 9 * GIB, version=1)
    assert free_memory(tmp_path) == 0
    group(tmp_path / "sys/fs/cgroup/memory/docker/b", 2**63 - 4096, 9 * GIB, version=1)  # no limit
    assert free_memory(tmp_path) == 100 * GIB


def test_a_group_that_cannot_be_read_is_left_out(tmp_path: Path) -> None:
    member(tmp_path, "0::/x")
    group(tmp_path / "sys/fs/cgroup/x", "nonsense", 1)
    assert free_memory(tmp_path) == 100 * GIB
