"""The environment of a run: closed streams, small limits, odd names. The run continues, or ends with one clear line."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path
from subprocess import PIPE

import pytest
import warm
from attacks import ENVIRONMENT, TIMEOUT_S, arguments, run

SHORT = ("--epochs", 1)


def shell(out: Path, prefix: str, *flags: object, suffix: str = "") -> tuple[int, str]:
    """The command inside a shell line."""
    command = " ".join(map(str, (prefix, *arguments(out, *SHORT, *flags), suffix)))
    done = subprocess.run(
        ["bash", "-c", command], cwd=out, env=ENVIRONMENT, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    return done.returncode, done.stderr


def is_done(out: Path) -> bool:
    return json.loads((out / "run" / "summary.json").read_text())["exit_reason"] == "done"


@pytest.mark.parametrize(
    "streams",
    [
        pytest.param("<&- >&- 2>&-", marks=pytest.mark.slow),
        pytest.param(">/dev/full 2>/dev/full", marks=pytest.mark.slow),
        pytest.param("> >(true)", marks=pytest.mark.slow),
    ],
)
def test_a_run_continues_with_closed_streams(tmp_path: Path, streams: str):
    code, _ = shell(tmp_path, "", "--json", suffix=streams)
    assert code == 0
    assert is_done(tmp_path)


def test_list_ends_quietly_when_its_pipe_is_closed():
    reader, writer = os.pipe()
    os.close(reader)
    command = [sys.executable, "-m", "hogwild.cli.main", "list"]
    done = subprocess.run(command, env=ENVIRONMENT, stdout=writer, stderr=PIPE, text=True, timeout=TIMEOUT_S)
    os.close(writer)
    assert done.returncode == 128 + signal.SIGPIPE
    assert done.stderr == ""


@pytest.mark.slow
def test_too_few_file_descriptors(tmp_path: Path):
    code, err = shell(tmp_path, "ulimit -n 40;", "--workers", 30, "--batch-size", 8)
    assert code == 4
    assert "cannot start worker" in err
    assert "Too many open files" in err.splitlines()[-1]


@pytest.mark.slow
def test_dev_shm_does_not_matter(tmp_path: Path):
    """Row 1 of the error table: the shared memory is in no file system, so the size of /dev/shm does not limit it."""
    small = ["unshare", "-m", "bash", "-c", 'mount -t tmpfs -o size=4k tmpfs /dev/shm && exec "$@"', "-"]
    if shutil.which("unshare") is None or subprocess.run([*small, "true"], capture_output=True).returncode:
        pytest.skip("needs the right to mount")
    done = subprocess.run([*small, *arguments(tmp_path, *SHORT)], cwd=tmp_path, env=ENVIRONMENT, timeout=TIMEOUT_S)
    assert done.returncode == 0
    assert is_done(tmp_path)


@pytest.mark.slow
def test_a_name_that_is_not_utf8(tmp_path: Path):
    code, err = shell(tmp_path, "export PYTHONIOENCODING=ascii PYTHONUTF8=0;", suffix=r"--name $'z\xff\xc3\xbc'")
    assert (code, err) == (0, "")
    code, _ = run(tmp_path, "--resume", b"z\xff\xc3\xbc".decode(errors="surrogateescape"), "--epochs", 2)
    assert code == 0


@pytest.mark.slow
def test_a_program_without_a_main_guard_gets_an_explanation(tmp_path: Path):
    program = tmp_path / "program.py"
    program.write_text("import hogwild, own_code\nhogwild.fit(own_code.net, own_code.data(), epochs=1, batch_size=4)\n")
    done = warm.run(
        [sys.executable, str(program)], cwd=tmp_path, env=ENVIRONMENT, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert done.returncode == 1
    assert "call hogwild.fit under if __name__ == '__main__'" in done.stderr.splitlines()[-1]
