"""How many cores there are, and work spread over them."""

import math
import os

import pytest

from mien import workers
from mien.workers import available_cores, cpu_quota, spread


def process(tmp_path, cgroup: str, mountinfo: str):
    """Return a folder as /proc/self is, of which `{mount}` is a folder of the test's own."""
    folder = tmp_path / "proc"
    folder.mkdir()
    (folder / "cgroup").write_text(cgroup)
    (folder / "mountinfo").write_text(mountinfo.format(mount=tmp_path / "mount"))
    return folder


def quotas(tmp_path, **files: str):
    """Write a control group's files; `a__cpu_max` is a/cpu.max."""
    for name, text in files.items():
        path = tmp_path / "mount" / name.replace("__", "/").replace("cpu_", "cpu.")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


V2 = "30 25 0:26 / {mount} rw,nosuid shared:9 - cgroup2 cgroup2 rw,nsdelegate\n"
V1 = "40 25 0:36 / {mount} rw,nosuid shared:9 - cgroup cgroup rw,cpu,cpuacct\n"


def test_quota_of_version_2_is_the_smallest_up_to_the_root(tmp_path):
    """Of a group without a limit of its own the quota of the group above holds."""
    quotas(tmp_path, pod__cpu_max="250000 100000\n", pod__job__cpu_max="max 100000\n")
    assert cpu_quota(process(tmp_path, "0::/pod/job\n", V2)) == 2.5


def test_quota_of_version_1(tmp_path):
    """The two files of version 1 are read where the controller cpu is mounted."""
    quotas(tmp_path, a__cpu_cfs_quota_us="50000\n", a__cpu_cfs_period_us="100000\n")
    assert cpu_quota(process(tmp_path, "4:memory:/b\n3:cpu,cpuacct:/a\n0::/\n", V1)) == 0.5


def test_quota_inside_a_container_that_sees_its_hosts_name(tmp_path):
    """Where the mounted root is the container's own group, its quota is found under any name of the group."""
    quotas(tmp_path, cpu_max="100000 100000\n")
    assert cpu_quota(process(tmp_path, "0::/docker/abc\n", V2.replace(" / ", " /docker/abc "))) == 1
    (tmp_path / "proc" / "cgroup").write_text("0::/elsewhere\n")
    assert cpu_quota(tmp_path / "proc") == 1


@pytest.mark.parametrize("text", ["max 100000", "-1 100000", "", "words", "1 0"])
def test_no_quota(tmp_path, text):
    """No limit, and a file that says nothing, are no quota."""
    quotas(tmp_path, cpu_max=text)
    assert cpu_quota(process(tmp_path, "0::/\n", V2)) == math.inf
    assert cpu_quota(tmp_path / "nothing there") == math.inf


@pytest.mark.parametrize(("quota", "cores"), [(0.1, 1), (1.5, 2), (math.inf, 64)])
def test_available_cores_are_the_affinitys_within_the_quota(monkeypatch, quota, cores):
    """A part of a core counts as one; there is always one, and never more than the affinity has."""
    monkeypatch.setattr(workers, "cpu_quota", lambda: quota)
    monkeypatch.setattr(os, "sched_getaffinity", lambda pid: set(range(64)), raising=False)
    assert available_cores() == cores


def test_spread_keeps_the_order_with_any_number_of_workers():
    """Results come in the order of the things."""
    for number in (None, 1, 3):
        assert list(spread(lambda n: n * n, range(100), workers=number)) == [n * n for n in range(100)]
