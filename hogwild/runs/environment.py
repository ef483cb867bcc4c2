"""Where a run took place, for env.json: versions, host, cores, git commit, command line. Imports no torch."""

from __future__ import annotations

import functools
import os
import platform
import socket
import subprocess
import sys
from datetime import datetime, timezone
from importlib.metadata import PackageNotFoundError, version

from hogwild import system

PACKAGES = ("torch", "numpy", "tqdm", "pyyaml", "psutil")


def environment() -> dict[str, object]:
    cores = system.cores()
    memory = system.memory()
    return {
        "hogwild": package_version("hogwild") or "not installed",
        "extension": extension(),
        "python": platform.python_version(),
        "packages": {name: package_version(name) for name in PACKAGES},
        "platform": platform.platform(),
        "host": socket.gethostname(),
        "cores": {"machine": cores.machine, "affinity": cores.affinity, "quota": cores.quota, "usable": cores.usable},
        "memory_bytes": memory.total_bytes,
        "threads": system.thread_variables(),
        "mps": system.mps_running(),
        "started": datetime.now(timezone.utc).isoformat(timespec="seconds"),
        "command": sys.argv,
        "directory": os.getcwd(),
        "git": git_state(),
    }


@functools.cache  # reading the metadata takes 10 ms, and a program may start many runs
def package_version(name: str) -> str | None:
    try:
        return version(name)
    except PackageNotFoundError:
        return None


def git_state() -> dict[str, object] | None:
    """Commit of the current directory and whether tracked files differ from it; None outside a repository."""
    commit = _git("rev-parse", "HEAD")
    return None if commit is None else {"commit": commit, "changed": bool(_git("status", "-s", "-uno"))}


def _git(*arguments: str) -> str | None:
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return None
    return done.stdout.strip()


def extension() -> dict[str, object]:
    """What hogwild._C was built with, or why it cannot be used: {"error": ...}."""
    try:
        from hogwild.kernels import build_info
    except ImportError as error:
        return {"error": str(error)}
    return dict(build_info())
