"""The control block and the kernels under sanitizers: `python tools/sanitize [PART ...] [--scale N] [--keep FOLDER]`.

    control   ThreadSanitizer: threads in place of processes on one control block (control_threads.cpp)
    kernels   ThreadSanitizer: the kernels on the same buffers at once (kernel_threads.cpp); what races by intention
              runs apart, with the suppressions of racing.supp
    address   AddressSanitizer and UndefinedBehaviorSanitizer: both programs, then the tests of kernels and control
              block, on a module built with both

Builds out of the tree, with the flags of setup.py (HOGWILD_DEBUG). Prints a line per part; exit status 1 with findings.
"""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

HERE = Path(__file__).parent.resolve()
ROOT = HERE.parents[1]
CXX = shlex.split(os.environ.get("CXX") or "c++")
LIMIT_S = 3600
TICKETS, CALLS, SEEDS = 20_000, 150, 3
RACING_CALLS = 30
CONTROL = ("csrc-control", "csrc-control_[!b]*")  # without the bindings
KERNELS = ("cpu-*", "kernels-*", "norm-*", "csrc-rule", "csrc-placed_memory", "cuda-absent", "csrc-driver")
TESTS = ("tests/kernels", "tests/nn/test_full_norm.py", "tests/shared/test_control*.py")


def build(folder: Path, sanitizer: str) -> Path:
    """Builds the module with that sanitizer; the folder of its object files."""
    command = [sys.executable, "setup.py", "build_ext", "--build-temp", folder / "temp", "--build-lib", folder / "lib"]
    run(command, {"HOGWILD_DEBUG": sanitizer, "HOGWILD_CUDA": "0"})
    return folder / "temp" / f"debug-{sanitizer}"


def run(command: Sequence[object], env: dict[str, str] | None = None, cwd: Path = ROOT, *, quiet: bool = True) -> str:
    """The output of a command. CalledProcessError, with the output printed, if it fails."""
    done = subprocess.run(
        [str(part) for part in command],
        cwd=cwd,
        env={**os.environ, **(env or {})},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=LIMIT_S,
    )
    if done.returncode != 0 or not quiet:
        print(done.stdout, flush=True)
    done.check_returncode()
    return done.stdout


def program(objects: Path, name: str, parts: Sequence[str], sanitize: str = "thread") -> Path:
    """Compiles tools/sanitize/NAME.cpp and links it with those object files of the module."""
    files = [path for part in parts for path in sorted(objects.glob(f"{part}.o"))]
    flags = ["-std=c++17", "-O1", "-g", f"-fsanitize={sanitize}", "-Wall", "-Wextra", f"-I{ROOT / 'csrc'}"]
    run([*CXX, *flags, HERE / f"{name}.cpp", *files, "-pthread", "-ldl", "-o", objects / name])
    return objects / name


def thread_options(**more: str) -> dict[str, str]:
    return {"TSAN_OPTIONS": ":".join(f"{name}={value}" for name, value in {"halt_on_error": "0", **more}.items())}


def control(folder: Path, scale: int) -> None:
    path = program(build(folder / "thread", "thread"), "control_threads", CONTROL)
    for seed in range(1, SEEDS + 1):
        run([path, TICKETS * scale, seed], thread_options(suppressions=str(HERE / "control.supp")), quiet=False)


def kernels(folder: Path, scale: int) -> None:
    path = program(build(folder / "thread", "thread"), "kernel_threads", KERNELS)
    run([path, "ordered", CALLS * scale], thread_options(), quiet=False)
    run([path, "racing", RACING_CALLS * scale], thread_options(suppressions=str(HERE / "racing.supp")), quiet=False)


def address(folder: Path, scale: int) -> None:
    objects, stops = build(folder / "address", "address"), {"UBSAN_OPTIONS": "print_stacktrace=1:halt_on_error=1"}
    path = program(objects, "control_threads", CONTROL, "address,undefined")
    for seed in range(1, SEEDS + 1):
        run([path, TICKETS * scale, seed], stops, quiet=False)
    path = program(objects, "kernel_threads", KERNELS, "address,undefined")
    run([path, "ordered", CALLS * scale], stops, quiet=False)
    run([path, "racing", RACING_CALLS * scale], stops, quiet=False)
    package = folder / "package"
    shutil.copytree(ROOT / "hogwild", package / "hogwild", ignore=shutil.ignore_patterns("*.so", "__pycache__"))
    for module in (folder / "address" / "lib").rglob("_C*.so"):
        shutil.copy(module, package / "hogwild")
    libraries = [run([*CXX, f"-print-file-name={name}.so"]).strip() for name in ("libasan", "libubsan", "libstdc++")]
    found = folder / "found"
    found.mkdir()
    env = {
        "LD_PRELOAD": " ".join(libraries),
        "ASAN_OPTIONS": f"detect_leaks=0:log_path={found}/address",
        "UBSAN_OPTIONS": f"print_stacktrace=1:halt_on_error=1:log_path={found}/undefined",
        "PYTHONPATH": str(package),
        "HOGWILD_OFFLINE": "1",
    }
    tests = [path for pattern in TESTS for path in sorted(ROOT.glob(pattern))]
    options = [
        "-q",
        "-n",
        "auto",
        "-p",
        "no:cacheprovider",
        "-c",
        ROOT / "pyproject.toml",
        "--rootdir",
        ROOT,
        "--durations=0",
    ]
    try:
        output = run([sys.executable, "-m", "pytest", *options, "-o", "timeout=600", *tests], env, cwd=package)
        print(output.splitlines()[-1], flush=True)
    finally:
        for path in found.iterdir():
            print(path.read_text()[:4000], flush=True)
    if any(found.iterdir()):
        raise SystemExit("the sanitizers have found something")


PARTS = {"control": control, "kernels": kernels, "address": address}


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", choices=[[], *PARTS], help="default: all")
    parser.add_argument("--scale", type=int, default=1, help="times the usual number of operations under threads")
    parser.add_argument("--keep", type=Path, help="a folder for what is built, to build less the next time")
    arguments = parser.parse_args()
    folder = arguments.keep or Path(tempfile.mkdtemp(prefix="sanitize-"))
    folder.mkdir(parents=True, exist_ok=True)
    failed = []
    try:
        for name in arguments.parts or PARTS:
            print(f"=== {name}", flush=True)
            try:
                PARTS[name](folder.resolve(), arguments.scale)
            except subprocess.CalledProcessError as error:
                print(f"{name}: exit status {error.returncode}", flush=True)
                failed.append(name)
    finally:
        if arguments.keep is None:
            shutil.rmtree(folder)
    print(f"findings in {', '.join(failed)}" if failed else "no findings")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
