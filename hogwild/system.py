"""The resources that this process may use: cores, memory, shared memory, NUMA nodes. Reads only, changes nothing.

`root` arguments replace `/`, so that tests can give every layout of /proc and /sys.
"""

from __future__ import annotations

import math
import os
import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil

from hogwild.text import quoted

ROOT = Path("/")
CORES_LIMIT = 65_536
THREAD_VARIABLES = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NUMEXPR_NUM_THREADS")


@dataclass(frozen=True)
class Cores:
    """`usable`: the number of cores to plan with, the smaller of the affinity mask and the cgroup quota (in cores)."""

    machine: int
    affinity: int
    quota: float | None

    @property
    def usable(self) -> int:
        return max(1, min(self.affinity, math.ceil(self.quota) if self.quota is not None else self.affinity))

    @property
    def limited_by(self) -> str:
        if self.usable < self.affinity:
            return f"cgroup quota of {self.quota:g}; machine has {self.machine}"
        return f"affinity mask; machine has {self.machine}" if self.affinity < self.machine else "all the machine has"


@dataclass(frozen=True)
class Memory:
    """Bytes. `available` already respects the cgroup limit."""

    total_bytes: int
    available_bytes: int
    cgroup_limit_bytes: int | None


@dataclass(frozen=True)
class Space:
    total_bytes: int
    free_bytes: int


def cores(root: Path = ROOT) -> Cores:
    return Cores(os.cpu_count() or 1, len(os.sched_getaffinity(0)), _cpu_quota(root))


def memory(root: Path = ROOT) -> Memory:
    machine = psutil.virtual_memory()
    available, limit = machine.available, None
    for directory in _cgroups("memory", root):
        if (ceiling := _number(directory, "memory.max", "memory.limit_in_bytes")) is None:
            continue
        if ceiling < machine.total:
            limit = ceiling if limit is None else min(limit, ceiling)
            used = _number(directory, "memory.current", "memory.usage_in_bytes") or 0
            available = min(available, max(ceiling - used, 0))
    return Memory(machine.total, available, limit)


def shared_memory(path: Path = Path("/dev/shm")) -> Space | None:
    """Size and free space of the shared memory file system; None if there is none."""
    if not path.is_dir():
        return None
    usage = shutil.disk_usage(path)
    return Space(usage.total, usage.free)


def numa_nodes(root: Path = ROOT) -> dict[int, list[int]]:
    """Cores of each NUMA node; {} if the kernel does not list them."""
    nodes = {}
    for directory in (root / "sys/devices/system/node").glob("node[0-9]*"):
        text = (directory / "cpulist").read_text().strip()
        nodes[int(directory.name.removeprefix("node"))] = parse_cores(text) if text else []
    return dict(sorted(nodes.items()))


def thread_variables() -> dict[str, str]:
    return {name: os.environ[name] for name in THREAD_VARIABLES if name in os.environ}


def parse_cores(text: str) -> list[int]:
    """[0, 2, 3, 4] for "0,2-4". Raises ValueError for text of another form."""
    found: list[int] = []
    for part in text.split(","):
        match = re.fullmatch(r"\s*(\d{1,6})(?:-(\d{1,6}))?\s*", part, re.ASCII)
        some = range(int(match[1]), int(match[2] or match[1]) + 1) if match else range(0)
        if not some or len(found) + len(some) > CORES_LIMIT:
            raise ValueError(f"{quoted(text)} is no list of cores such as 0,2-4")
        found += some
    return found


def mps_running() -> bool:
    """Whether the MPS daemon runs (it lets kernels of several processes overlap on one GPU), at the path CUDA uses."""
    return (Path(os.environ.get("CUDA_MPS_PIPE_DIRECTORY", "/tmp/nvidia-mps")) / "control").exists()


def oversubscription(workers: int, have: Cores, threads: int = 1) -> str | None:
    """A warning if the workers need more cores than they may use, else None."""
    if workers * threads <= have.usable:
        return None
    threads_each = f"{threads} thread" + ("s" if threads > 1 else "")
    return (
        f"{workers} workers x {threads_each} on {have.usable} usable cores ({have.limited_by}): "
        f"expect slow steps and high delay. Suggested: --workers {max(1, have.usable // threads)}."
    )


def _cgroups(controller: str, root: Path) -> Iterator[Path]:
    """The cgroup directories that may limit this process, from its own up to the root; version 2, then version 1."""
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, names, path = line.split(":", 2)
        if names and controller not in names.split(","):
            continue
        top = root / "sys/fs/cgroup" / (controller if names else "")
        inside = top / path.strip("/")
        while True:
            yield inside
            if inside == top or top not in inside.parents:
                break
            inside = inside.parent


def _cpu_quota(root: Path) -> float | None:
    quotas = []
    for directory in _cgroups("cpu", root):
        if (text := _read(directory / "cpu.max")) is not None:
            quota, _, period = text.partition(" ")
        else:
            quota = _read(directory / "cpu.cfs_quota_us") or "max"
            period = _read(directory / "cpu.cfs_period_us") or "100000"
        if quota.isdigit():  # "max" in version 2 and -1 in version 1 mean: no limit
            quotas.append(int(quota) / int(period or 100000))
    return min(quotas, default=None)


def _number(directory: Path, *names: str) -> int | None:
    texts = (_read(directory / name) for name in names)
    return next((int(text) for text in texts if text is not None and text.isdigit()), None)


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
