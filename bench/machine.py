"""A description of the machine and its load. Every result needs it, because a figure alone means nothing."""

from __future__ import annotations

import os
import platform
import re
from datetime import datetime, timezone
from pathlib import Path
from typing import Any

import torch

from hogwild import system
from hogwild.kernels import build_info
from hogwild.runs.environment import package_version


def describe() -> dict[str, Any]:
    """Processor, cores, memory, versions, date, and the load average of the last minute: all at this moment."""
    cores, memory = system.cores(), system.memory()
    return {
        "cpu": _cpu_model(),
        "caches": _caches(),
        "cores": cores.usable,
        "memory_bytes": memory.total_bytes,
        "kernel": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "torch": torch.__version__,
        "hogwild": package_version("hogwild"),
        "build": build_info(),
        "huge_pages": _text("/sys/kernel/mm/transparent_hugepage/enabled"),
        "date": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "load": os.getloadavg()[0],
    }


def _cpu_model() -> str:
    found = re.search(r"^model name\s*:\s*(.+)$", _text("/proc/cpuinfo"), re.MULTILINE)
    family = re.search(r"^cpu family\s*:\s*(.+)$", _text("/proc/cpuinfo"), re.MULTILINE)
    name = found[1] if found else platform.processor() or "unknown"
    return f"{name} (family {family[1]})" if family else name


def _caches() -> str:
    """The caches of the first core: `L1d 48K, L2 1024K, L3 32768K`."""
    found = []
    for index in sorted(Path("/sys/devices/system/cpu/cpu0/cache").glob("index*")):
        level, kind, size = (_text(index / name) for name in ("level", "type", "size"))
        if kind != "Instruction":
            found.append(f"L{level}{'d' if kind == 'Data' and level == '1' else ''} {size}")
    return ", ".join(found) or "unknown"


def _text(path: str | Path) -> str:
    try:
        return Path(path).read_text().strip()
    except OSError:
        return ""
