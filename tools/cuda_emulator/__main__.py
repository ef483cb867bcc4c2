"""Runs a command of Python on emulated GPUs: EMULATED_GPUS=2 python tools/cuda_emulator -m pytest tests -m gpu

EMULATED_GPUS is 1 if it is not set. The command builds under build/emulated: the runtime of the emulated device, a
driver, and hogwild._C with kernels compiled for the device. They are built again when a source has changed.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import sysconfig
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parents[1]
BUILD = ROOT / "build/emulated"


def library(name: str, sources: list[Path]) -> Path:
    """Build a shared library from C++ sources."""
    target = BUILD / name
    newest = max(path.stat().st_mtime for path in [*sources, *HERE.rglob("*.h")])
    if not target.exists() or target.stat().st_mtime < newest:
        target.parent.mkdir(parents=True, exist_ok=True)
        compiler = [*shlex.split(os.environ.get("CXX") or "c++"), "-std=c++17", "-O2", "-U_FORTIFY_SOURCE"]
        flags = ["-Wall", "-Wextra", "-shared", "-fPIC", f"-I{HERE / 'include'}", "-pthread", "-ldl"]
        subprocess.run([*compiler, *sources, "-o", target, *flags], check=True)
    return target


def extension() -> Path:
    """hogwild._C with the CUDA part compiled for the emulated device: bin/nvcc replaces the compiler."""
    folders = ["--build-lib", str(BUILD / "lib"), "--build-temp", str(BUILD / "temp")]
    settings = {**os.environ, "CUDA_HOME": str(HERE), "HOGWILD_CUDA": "1", "HOGWILD_ISAS": "baseline"}
    command = [sys.executable, "setup.py", "-q", "build_ext", *folders]
    subprocess.run(command, cwd=ROOT, env=settings, check=True, stdout=subprocess.DEVNULL)
    return BUILD / f"lib/hogwild/_C{sysconfig.get_config_var('EXT_SUFFIX')}"


def main(arguments: list[str]) -> None:
    if not arguments:
        sys.exit(__doc__)
    runtime = library("libcudart_emulated.so", sorted(HERE.glob("*.cpp")))
    driver = library("libcuda.so.1", [ROOT / "tests/shared/fake_driver.cpp"])
    settings = {
        "HOGWILD_EMULATED_EXTENSION": str(extension()),
        "HOGWILD_EMULATOR": str(runtime),
        "LD_PRELOAD": str(runtime),
        "FAKE_GPUS": os.environ.get("EMULATED_GPUS", "1"),
        "LD_LIBRARY_PATH": str(driver.parent),
        "PYTHONPATH": str(HERE / "site"),
    }
    for name in ("LD_LIBRARY_PATH", "PYTHONPATH"):
        settings[name] = os.pathsep.join(filter(None, [settings[name], os.environ.get(name)]))
    os.execve(sys.executable, [sys.executable, *arguments], {**os.environ, **settings})


if __name__ == "__main__":
    main(sys.argv[1:])
