"""The parts of the script in order, with the command and the time limit of each."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass

PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "--no-header", "--tb=short")
GPU_TESTS = ("tests/kernels", "tests/nn", "tests/drivers/test_cuda_worker.py")
SANITIZED = (
    "tests/kernels/test_cuda.py",
    "tests/kernels/test_cuda_graph.py",
    "-k",
    "misaligned or more_segments or only_the_range or clipping or one_cooperative",
)


@dataclass(frozen=True)
class Part:
    """A command with a time-out. `left_out`: the reason for which it is not run here."""

    name: str
    budget_s: float
    command: tuple[str, ...]
    left_out: str | None = None


def plan(device: str, is_dry: bool) -> list[Part]:
    """Every part. The most important parts come first, because the total time is limited."""

    def measured(name: str, budget_s: float) -> Part:
        dry = ("dry",) if is_dry else ()
        return Part(name, budget_s, (sys.executable, "-m", "bench.gpu.part", name, "ROWS", device, *dry))

    def sanitized(tool: str, *flags: str) -> Part:
        found = shutil.which("compute-sanitizer")
        command = (found or "compute-sanitizer", "--tool", tool, "--error-exitcode", "9", *flags, *PYTEST, *SANITIZED)
        return Part(tool, 60, command, "a dry run" if is_dry else None if found else "no compute-sanitizer here")

    how = ["--collect-only"] if is_dry else ["--maxfail=20"]
    tests = ("-m", "gpu", *GPU_TESTS, *how)
    processes = ("-m", "gpu", "-k", "not learns", "tests/shared", *how)
    runs = ("-m", "gpu", "-k", "learns", "tests/shared", *how)
    return [
        Part(
            "build", 150, (sys.executable, "setup.py", "-q", "build_ext", "--inplace"), "a dry run" if is_dry else None
        ),
        measured("facts", 30),
        Part("tests", 100, (*PYTEST, *tests)),
        measured("push", 90),
        measured("calls", 40),
        measured("access", 60),
        measured("trainer", 150),
        Part("tests of processes", 100, (*PYTEST, *processes)),
        measured("gaps", 40),
        measured("mixes", 40),
        measured("places", 30),
        measured("trainer under MPS", 90),
        Part("tests of runs", 100, (*PYTEST, *runs)),
        sanitized("memcheck"),
        sanitized("racecheck"),
        measured("compiled step", 60),
    ]
