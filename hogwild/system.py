"""The resources that this process may use: cores, memory, shared memory, NUMA nodes. Reads only, changes nothing.

`root` arguments replace `/`, so that tests can give every layout of /proc and /sys.
"""

from __future__ import annotations

import contextlib
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
    """`usable`: the number of cores to plan with, the smallest of the affinity mask, the cgroup's set of cores and its
    quota (in cores, rounded up).
    """

    machine: int
    affinity: int
    quota: float | None
    cpuset: int | None = None

    @property
    def usable(self) -> int:
        limits = [self.affinity, self.cpuset, None if self.quota is None else math.ceil(self.quota)]
        return max(1, min(limit for limit in limits if limit is not None))

    @property
    def limited_by(self) -> str:
        if self.quota is not None and max(1, math.ceil(self.quota)) == self.usable < self.affinity:
            return f"cgroup quota of {self.quota:g}; machine has {self.machine}"
        if self.usable < self.affinity:
            return f"cgroup set of {self.cpuset}; machine has {self.machine}"
        return f"affinity mask; machine has {self.machine}" if self.affinity < self.machine else "all the machine has"


@dataclass(frozen=True)
class Memory:
    """Bytes. `available` already respects the cgroup limit; file pages that the kernel can drop count as available."""

    total_bytes: int
    available_bytes: int
    cgroup_limit_bytes: int | None

    @property
    def limit_bytes(self) -> int:
        """What all processes together may use: the limit of the cgroup, or all the machine has."""
        return self.total_bytes if self.cgroup_limit_bytes is None else self.cgroup_limit_bytes


@dataclass(frozen=True)
class Space:
    total_bytes: int
    free_bytes: int


def cores(root: Path = ROOT) -> Cores:
    return Cores(os.cpu_count() or 1, len(own_cores()), _cpu_quota(root), _cpuset(root))


def own_cores() -> list[int]:
    """The numbers of the cores on which the scheduler may run this process, ascending."""
    return sorted(os.sched_getaffinity(0))


def memory(root: Path = ROOT) -> Memory:
    machine = psutil.virtual_memory()
    available, limit = machine.available, None
    for directory in _cgroups("memory", root):
        for name in ("memory.max", "memory.high", "memory.limit_in_bytes"):
            ceiling = _number(directory, name)
            if ceiling is None or ceiling >= machine.total:
                continue
            limit = ceiling if limit is None else min(limit, ceiling)
            available = min(available, max(ceiling - _used(directory), 0))
    return Memory(machine.total, available, limit)


def oom_kills(root: Path = ROOT) -> int:
    """How many processes the kernel has killed so far for lack of memory: in this process's cgroup if that is known,
    else on the whole machine; 0 if the kernel does not count them. Only an increase says something.
    """
    for directory in _cgroups("memory", root):
        for name in ("memory.events", "memory.oom_control"):
            if (count := _entry(directory / name, "oom_kill")) is not None:
                return count
    return _entry(root / "proc/vmstat", "oom_kill") or 0


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
    """The cgroup directories that may limit this process, from its own up to the root, of version 2 and of version 1.

    A container may not see its own path; then the root of what it sees is its own.
    """
    try:
        lines = (root / "proc/self/cgroup").read_text().splitlines()
    except OSError:
        return
    for line in lines:
        _, names, path = line.split(":", 2)
        if names and controller not in names.split(","):
            continue
        places = [controller] if names else ["", "unified"]  # unified: version 2 beside version 1
        for top in (root / "sys/fs/cgroup" / place for place in places):
            inside = top.joinpath(*(part for part in path.split("/") if part not in ("", "..")))
            yield inside
            while inside != top:
                inside = inside.parent
                yield inside


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


def _cpuset(root: Path) -> int | None:
    """The number of cores in the smallest set of a cgroup; None if no set is known."""
    counts = []
    for directory in _cgroups("cpuset", root):
        for name in ("cpuset.cpus.effective", "cpuset.effective_cpus", "cpuset.cpus"):
            with contextlib.suppress(ValueError):  # an empty set: that of the cgroup above
                counts.append(len(parse_cores(_read(directory / name) or "")))
    return min(counts, default=None)


def _used(directory: Path) -> int:
    """Bytes that a cgroup uses, without the file pages that the kernel drops when it needs room."""
    used = _number(directory, "memory.current", "memory.usage_in_bytes") or 0
    stat = directory / "memory.stat"
    files = _entry(stat, "total_inactive_file")  # version 1, with the cgroups below
    return used - (files if files is not None else _entry(stat, "inactive_file") or 0)


def _number(directory: Path, *names: str) -> int | None:
    texts = (_read(directory / name) for name in names)
    return next((int(text) for text in texts if text is not None and text.isdigit()), None)


def _entry(path: Path, name: str) -> int | None:
    """The number after `name` in a file of lines `name number`."""
    lines = (line.split() for line in (_read(path) or "").splitlines())
    return next((int(line[1]) for line in lines if len(line) == 2 and line[0] == name and line[1].isdigit()), None)


def _read(path: Path) -> str | None:
    try:
        return path.read_text().strip()
    except OSError:
        return None
