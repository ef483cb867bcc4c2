"""The emulated device detects faults: programs with one fault each, and the same programs without it."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif("HOGWILD_EMULATOR" not in os.environ, reason="python tools/cuda_emulator runs it"),
]
HERE = Path(__file__).parent
FAULTS = {
    "barriers": "wait for each other at different barriers",
    "lanes": "a warp that has fewer",
    "grid": "a block has ended while others wait for the whole grid",
    "alone": "was not launched cooperatively",
    "too large": "too many blocks in cooperative launch",
    "threads": "invalid configuration argument",
    "shared": "read without a barrier",
    "outside": "written outside of an allocation",
    "alignment": "misaligned address",
    "waiting": "read before it was written",
    "uninitialised": "never written",
    "late copy": "used before it arrived",
    "two streams": "read on a stream that does not wait",
    "subnormal": "flushed to zero",
}


@pytest.fixture(scope="module")
def program(tmp_path_factory: pytest.TempPathFactory) -> Path:
    compiler = os.environ.get("CXX") or "c++"
    if shutil.which(shlex.split(compiler)[0]) is None:
        pytest.skip("no C++ compiler")
    folder = tmp_path_factory.mktemp("faults")
    nvcc = [sys.executable, str(HERE / "bin/nvcc"), "-ccbin", compiler]
    objects = []
    for source in [*HERE.glob("*.cpp"), HERE / "faults.cu"]:
        objects.append(folder / f"{source.stem}.o")
        subprocess.run([*nvcc, "-c", source, "-o", objects[-1]], check=True, timeout=100)
    subprocess.run([*nvcc, *objects, "-o", folder / "faults", "-pthread", "-ldl"], check=True, timeout=100)
    return folder / "faults"


def run(program: Path, *words: str) -> str:
    done = subprocess.run([program, *words], capture_output=True, text=True, timeout=60, check=False)
    return f"{done.stdout}{done.stderr} rc {done.returncode}"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_noticed(program: Path, fault: str) -> None:
    assert FAULTS[fault] in run(program, fault, "faulty")
    assert run(program, fault, "sound") == " rc 0"
