"""Building fails in one line that says what to do."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("pybind11", reason="builds are tested where setuptools, pybind11 and ninja are installed")
pytest.importorskip("ninja", reason="builds are tested where setuptools, pybind11 and ninja are installed")
pytest.importorskip("setuptools", reason="builds are tested where setuptools, pybind11 and ninja are installed")

ROOT = Path(__file__).parents[1]
BUILD = [sys.executable, "setup.py", "-q", "build_ext"]


def refusal(command: list[str], **env: str) -> str:
    """The last line of a build that must fail without a traceback."""
    done = subprocess.run(command, cwd=ROOT, env={**os.environ, **env}, text=True, capture_output=True, timeout=60)
    assert done.returncode != 0
    assert "Traceback" not in done.stderr, done.stderr
    return done.stderr.strip().splitlines()[-1]


@pytest.fixture
def build(tmp_path: Path) -> list[str]:
    return [*BUILD, "--build-temp", str(tmp_path / "temp"), "--build-lib", str(tmp_path / "lib")]


def test_no_compiler(build: list[str]):
    line = refusal(build, CXX="no-such-compiler -O9")
    assert line == (
        "hogwild needs a C++17 compiler and found no 'no-such-compiler -O9': install g++ or clang++, or set CXX"
    )


def test_an_old_compiler_is_named_with_its_version(build: list[str], tmp_path: Path):
    old = tmp_path / "a compiler"
    old.write_text("#!/bin/sh\n[ \"$1\" = --version ] && echo 'g++ 4.8.5' && exit 0\nexit 1\n")
    old.chmod(0o755)
    line = refusal(build, CXX=f"'{old}'")
    assert line == f"hogwild needs a C++17 compiler, and '{old}' (g++ 4.8.5) is none: set CXX to g++ 9 or clang++ 10"


def test_a_folder_that_cannot_be_written(build: list[str], tmp_path: Path):
    (tmp_path / "temp").write_text("a file where the folder should be")
    line = refusal(build, HOGWILD_CUDA="0")
    assert line.startswith("hogwild cannot be built here (")
    assert line.endswith("): build in a folder that you may write, on a disk with room")


@pytest.mark.parametrize("platform", ["darwin", "win32"])
def test_another_system_is_told_at_once(platform: str):
    code = f"import runpy, sys; sys.platform = {platform!r}; runpy.run_path('setup.py', run_name='__main__')"
    line = refusal([sys.executable, "-c", f"import setuptools, ninja, pybind11; {code}"])
    assert line == (
        f"hogwild runs on Linux only (memfd, robust mutexes, futexes), and this is {platform}: "
        "use a Linux machine, a container or WSL 2"
    )


def test_headers_that_are_missing(build: list[str]):
    code = "import runpy, sys, sysconfig; old = sysconfig.get_path; sys.argv = sys.argv[1:];"
    code += "sysconfig.get_path = lambda name, *a, **k: '/nowhere' if name == 'include' else old(name, *a, **k);"
    code += "runpy.run_path('setup.py', run_name='__main__')"
    line = refusal([sys.executable, "-c", code, *build[1:]], HOGWILD_CUDA="0")
    assert line == "hogwild needs the headers of this Python, and /nowhere/Python.h is missing: install python3-dev"
