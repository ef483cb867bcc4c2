"""The parts of the script in order, with the command and the time limit of each, and two selections of them."""

from __future__ import annotations

import shutil
import sys
from dataclasses import dataclass

PYTEST = (sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "default", "--no-header", "--tb=short")
GPU_TESTS = ("tests/kernels", "tests/nn", "tests/drivers/test_cuda_worker.py")
SANITIZED = (
    "tests/kernels/test_cuda.py",
    "tests/kernels/test_cuda_graph.py",
    "-k",
    "misaligned or more_segments or only_the_range or clipping or one_cooperative",
)
RESERVE_S = 10.0  # of a plan's seconds: for the start of the script and for the report
DRY_FACTOR = 3  # a dry run may share few cores with others, so that its parts wait long for their imports


@dataclass(frozen=True)
class Part:
    """A command with a time-out. `left_out`: the reason for which it is not run here."""

    name: str
    budget_s: float
    command: tuple[str, ...]
    left_out: str | None = None


@dataclass(frozen=True)
class Plan:
    """A selection of parts, in order, that ends after `seconds` at the latest."""

    seconds: float
    names: tuple[str, ...]


FIRST = ("build", "smoke", "facts", "push", "calls", "counters", "access", "tests")
PLANS = {
    "first": Plan(300, FIRST),
    # Parts of the first plan that are done are not repeated. MPS is last: a hang there ends the plan.
    "second": Plan(240, (*FIRST, "gaps", "mixes", "places", "trainer", "memcheck", "MPS")),
}


def parts(device: str, is_dry: bool, is_built: bool = False) -> list[Part]:
    """Every part. The most important parts come first, because the total time is limited."""

    def measured(name: str, budget_s: float) -> Part:
        dry = ("dry",) if is_dry else ()
        return Part(
            name,
            budget_s * (DRY_FACTOR if is_dry else 1),
            (sys.executable, "-m", "bench.gpu.part", name, "JOURNAL", device, *dry),
        )

    def sanitized(tool: str, *flags: str) -> Part:
        return Part(tool, 40, (*sanitizer(tool, *flags), *PYTEST, *SANITIZED), no_sanitizer(is_dry))

    how = ["--collect-only"] if is_dry else ["--maxfail=20"]
    tests = ("-m", "gpu", *GPU_TESTS, *how)
    processes = ("-m", "gpu", "-k", "not learns", "tests/shared", "tests/drivers/test_table_cuda.py", *how)
    runs = ("-m", "gpu", "-k", "learns", "tests/shared", *how)
    build = (sys.executable, "setup.py", "-q", "build_ext", "--inplace")
    no_build = "a dry run" if is_dry else "the module has code for this GPU" if is_built else None
    return [
        Part("build", 150, build, no_build),
        measured("smoke", 60),
        measured("facts", 15),
        measured("push", 65),
        measured("calls", 25),
        measured("counters", 35),
        measured("access", 45),
        Part("tests", 45, (*PYTEST, *tests)),
        measured("gaps", 30),
        measured("mixes", 30),
        measured("places", 20),
        measured("trainer", 50),
        sanitized("memcheck"),
        sanitized("racecheck"),
        Part("tests of processes", 100, (*PYTEST, *processes)),
        Part("tests of runs", 100, (*PYTEST, *runs)),
        measured("compiled step", 60),
        measured("MPS", 60),
    ]


def diagnosis(device: str, is_dry: bool) -> Part:
    """What replaces all further parts if the racing push, the first check of all, has failed."""
    check = (sys.executable, "-m", "bench.gpu.smoke", "racing", device)
    return Part("memcheck of the racing push", 60, (*sanitizer("memcheck"), *check), no_sanitizer(is_dry))


def sanitizer(tool: str, *flags: str) -> tuple[str, ...]:
    found = shutil.which("compute-sanitizer") or "compute-sanitizer"
    return (found, "--tool", tool, "--error-exitcode", "9", *flags)


def no_sanitizer(is_dry: bool) -> str | None:
    return "a dry run" if is_dry else None if shutil.which("compute-sanitizer") else "no compute-sanitizer here"
