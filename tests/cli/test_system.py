from __future__ import annotations

import os
from pathlib import Path

import psutil
import pytest

from hogwild import system
from hogwild.config import Config
from hogwild.system import Cores, oversubscription, parse_cores


def write(root: Path, files: dict[str, str]) -> Path:
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_text(text)
    return root


def test_cores_of_this_process():
    cores = system.cores()
    assert 1 <= cores.usable <= cores.affinity == len(os.sched_getaffinity(0)) <= cores.machine


def test_cgroup_v2_takes_the_tightest_ancestor(tmp_path):
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "0::/a/b\n",
            "sys/fs/cgroup/a/b/cpu.max": "max 100000\n",
            "sys/fs/cgroup/a/cpu.max": "150000 100000\n",
            "sys/fs/cgroup/cpu.max": "400000 100000\n",
            "sys/fs/cgroup/a/memory.max": "1000000\n",
            "sys/fs/cgroup/a/memory.current": "400000\n",
        },
    )
    assert system.cores(root).quota == 1.5
    memory = system.memory(root)
    assert (memory.cgroup_limit_bytes, memory.available_bytes) == (1_000_000, 600_000)


def test_cgroup_v1_and_a_path_that_the_container_does_not_see(tmp_path):
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "4:cpu,cpuacct:/docker/x\n5:memory:/docker/x\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": "250000\n",
            "sys/fs/cgroup/cpu/cpu.cfs_period_us": "100000\n",
            "sys/fs/cgroup/memory/memory.limit_in_bytes": "2000000\n",
            "sys/fs/cgroup/memory/memory.usage_in_bytes": "500000\n",
        },
    )
    assert system.cores(root).quota == 2.5
    assert system.memory(root).available_bytes == 1_500_000


def test_file_pages_that_can_be_dropped_are_available(tmp_path):
    """A container that has read a large data set has its limit full of them."""
    version_2 = {
        "proc/self/cgroup": "0::/a\n",
        "sys/fs/cgroup/a/memory.max": "max\n",
        "sys/fs/cgroup/a/memory.high": "1000000\n",
        "sys/fs/cgroup/a/memory.current": "990000\n",
        "sys/fs/cgroup/a/memory.stat": "anon 90000\ninactive_file 700000\n",
    }
    version_1 = {
        "proc/self/cgroup": "5:memory:/a\n",
        "sys/fs/cgroup/memory/a/memory.limit_in_bytes": "1000000\n",
        "sys/fs/cgroup/memory/a/memory.usage_in_bytes": "990000\n",
        "sys/fs/cgroup/memory/a/memory.stat": "inactive_file 5\ntotal_inactive_file 700000\n",
    }
    for number, files in enumerate((version_2, version_1)):
        memory = system.memory(write(tmp_path / str(number), files))
        assert (memory.limit_bytes, memory.available_bytes) == (1_000_000, 710_000)


def test_sets_of_cores(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "sched_getaffinity", lambda _: set(range(16)))
    monkeypatch.setattr(os, "cpu_count", lambda: 64)
    version_2 = {
        "proc/self/cgroup": "0::/a/b\n",
        "sys/fs/cgroup/a/b/cpuset.cpus.effective": "\n",
        "sys/fs/cgroup/a/cpuset.cpus.effective": "0-2,9\n",
        "sys/fs/cgroup/cpuset.cpus.effective": "0-63\n",
    }
    version_1 = {
        "proc/self/cgroup": "3:cpuset:/docker/x\n",
        "sys/fs/cgroup/cpuset/cpuset.cpus": "4-7\n",
    }
    for number, files in enumerate((version_2, version_1)):
        cores = system.cores(write(tmp_path / str(number), files))
        assert (cores.usable, cores.limited_by) == (4, "cgroup set of 4; machine has 64")
    assert system.cores(tmp_path / "none").usable == 16


def test_version_2_beside_version_1_and_a_path_outside_of_what_is_seen(tmp_path):
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "1:name=systemd:/\n0::/../../x\n",
            "sys/fs/cgroup/unified/cpu.max": "300000 100000\n",
            "sys/fs/cgroup/unified/x/memory.max": "700000\n",
            "sys/x/cpu.max": "100000 100000\n",
            "x/cpu.max": "100000 100000\n",
        },
    )
    assert system.cores(root).quota == 3.0
    assert system.memory(root).limit_bytes == 700_000


@pytest.mark.parametrize(
    ("cgroup", "file", "count"),
    [
        ("0::/a/b\n", "sys/fs/cgroup/a/b/memory.events", 3),
        ("4:memory:/a\n", "sys/fs/cgroup/memory/memory.oom_control", 4),
        ("", "proc/vmstat", 5),
    ],
)
def test_processes_killed_for_lack_of_memory_are_counted(tmp_path, cgroup, file, count):
    files = {"proc/vmstat": "oom_kill 9\n", "sys/fs/cgroup/a/memory.events": "oom_kill 8\n"}
    files |= {"proc/self/cgroup": cgroup, file: f"oom 7\nunder_oom 0\noom_kill {count}\noom_group_kill 6\n"}
    assert system.oom_kills(write(tmp_path, files)) == count
    assert system.oom_kills(tmp_path / "empty") == 0


@pytest.mark.parametrize("quota", ["-1", "max"])
def test_no_limit_is_none(tmp_path, quota):
    root = write(
        tmp_path,
        {
            "proc/self/cgroup": "4:cpu:/\n5:memory:/\n",
            "sys/fs/cgroup/cpu/cpu.cfs_quota_us": quota,
            "sys/fs/cgroup/memory/memory.limit_in_bytes": str(2**63 - 4096),
        },
    )
    assert system.cores(root).quota is None
    assert system.memory(root).cgroup_limit_bytes is None


def test_without_cgroups(tmp_path):
    assert system.cores(tmp_path).quota is None
    assert system.memory(tmp_path).total_bytes == psutil.virtual_memory().total


def test_usable_cores_and_their_limit():
    assert (Cores(64, 2, None).usable, Cores(64, 2, None).limited_by) == (2, "affinity mask; machine has 64")
    assert (Cores(64, 64, 1.5).usable, Cores(64, 64, 1.5).limited_by) == (2, "cgroup quota of 1.5; machine has 64")
    assert (Cores(4, 4, 8.0).usable, Cores(4, 4, None).limited_by) == (4, "all the machine has")
    assert Cores(4, 4, 0.2).usable == 1


def test_oversubscription_names_the_numbers_and_a_remedy():
    message = oversubscription(8, Cores(64, 2, None), threads=2)
    assert message == (
        "8 workers x 2 threads on 2 usable cores (affinity mask; machine has 64): "
        "expect slow steps and high delay. Suggested: --workers 1."
    )
    assert "8 workers x 1 thread on" in (oversubscription(8, Cores(64, 2, None)) or "")
    assert oversubscription(2, Cores(2, 2, None)) is None


def test_numa_nodes(tmp_path):
    lists = {"node1": "2-3\n", "node0": "0-1\n", "node2": "\n"}
    root = write(tmp_path, {f"sys/devices/system/node/{node}/cpulist": text for node, text in lists.items()})
    assert system.numa_nodes(root) == {0: [0, 1], 1: [2, 3], 2: []}
    assert system.numa_nodes(tmp_path / "empty") == {}


def test_shared_memory(tmp_path):
    space = system.shared_memory(tmp_path)
    assert space is not None
    assert 0 < space.free_bytes <= space.total_bytes
    assert system.shared_memory(tmp_path / "missing") is None


def test_thread_variables(monkeypatch):
    monkeypatch.setenv("OMP_NUM_THREADS", "3")
    monkeypatch.delenv("MKL_NUM_THREADS", raising=False)
    assert system.thread_variables()["OMP_NUM_THREADS"] == "3"
    assert "MKL_NUM_THREADS" not in system.thread_variables()


def test_lists_of_cores():
    assert parse_cores("0,2-4, 7") == [0, 2, 3, 4, 7]
    for text in ("", "a", "1-", "-1", "4-2", "1,,2"):
        with pytest.raises(ValueError, match="is no list of cores"):
            parse_cores(text)


def test_the_default_number_of_workers_and_of_jobs_are_the_cores_that_may_be_used(monkeypatch):
    from hogwild.cli import compare, reproduce

    for usable in (1, 7):
        limited = Cores(64, 64, usable - 0.5)
        monkeypatch.setattr(system, "cores", lambda found=limited: found)
        assert Config().workers == min(usable, 2)
        assert (Config(algorithm="d-psgd").workers, Config(clock="gamma").workers, Config(algorithm="sgd").workers) == (
            2, 2, 1,
        )  # fmt: skip
        assert compare.parser().parse([]).jobs == reproduce.parser().parse(["all"]).jobs == usable
