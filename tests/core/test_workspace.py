"""How many cores a process may use."""

import os
from pathlib import Path

import pytest

from longwriter.core.workspace import cores

BOUND = len(os.sched_getaffinity(0))


@pytest.fixture(autouse=True)
def _no_threads_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)


def system(root: Path, cgroup: str, files: dict[str, str]) -> Path:
    """A folder with proc/self/cgroup and the cgroups' files."""
    for name, text in {"proc/self/cgroup": cgroup, **files}.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


@pytest.mark.parametrize(
    ("quota", "expected"),
    [("150000 100000", 2), ("50000 100000", 1), ("100000 100000", 1), ("max 100000", BOUND)],
)
def test_a_quota_of_cgroup_v2(quota: str, expected: int, tmp_path: Path) -> None:
    found = cores(system(tmp_path, "0::/\n", {"sys/fs/cgroup/cpu.max": f"{quota}\n"}))
    assert found == min(expected, BOUND)


def test_the_quota_of_a_cgroup_above_counts(tmp_path: Path) -> None:
    files = {
        "sys/fs/cgroup/a/cpu.max": "100000 100000\n",
        "sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
    }
    assert cores(system(tmp_path, "0::/a/b\n", files)) == 1


def test_a_quota_of_cgroup_v1(tmp_path: Path) -> None:
    files = {
        "sys/fs/cgroup/cpu/docker/1/cpu.cfs_quota_us": "80000\n",
        "sys/fs/cgroup/cpu/docker/1/cpu.cfs_period_us": "100000\n",
    }
    cgroup = "5:cpu,cpuacct:/docker/1\n3:memory:/docker/1\n"
    assert cores(system(tmp_path, cgroup, files)) == 1
    (tmp_path / "sys/fs/cgroup/cpu/docker/1/cpu.cfs_quota_us").write_text("-1\n")  # none
    assert cores(tmp_path) == BOUND


def test_omp_num_threads(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", "1")
    assert cores(tmp_path) == 1
    monkeypatch.setenv("OMP_NUM_THREADS", "512")
    assert cores(tmp_path) == BOUND
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert cores(tmp_path) == BOUND
