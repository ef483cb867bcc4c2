"""A worker that the kernel kills for lack of memory: it is named so, and the run goes on without it."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

LIMIT_BYTES = 3 << 30
GREEDY = f"""
import os
import torch

class Greedy(torch.nn.Linear):
    '''The first worker that computes its tenth gradient wants more memory than all processes may have.'''
    calls = 0

    def __init__(self):
        super().__init__(64, 10)

    def forward(self, x):
        type(self).calls += self.training
        if self.training and self.calls == 10:
            try:
                os.close(os.open("taken", os.O_CREAT | os.O_EXCL))
            except FileExistsError:
                pass
            else:
                torch.ones({LIMIT_BYTES} // 4)
        return super().forward(x.flatten(1))
"""


@pytest.fixture
def group() -> Iterator[Path]:
    """A control group that may use LIMIT_BYTES."""
    first, second = Path("/sys/fs/cgroup/memory"), Path("/sys/fs/cgroup")
    place, name = (first, "memory.limit_in_bytes") if first.is_dir() else (second, "memory.max")
    folder = place / f"hogwild-test-{os.getpid()}"
    try:
        folder.mkdir()
        (folder / name).write_text(str(LIMIT_BYTES))
    except OSError as error:
        with contextlib.suppress(OSError):
            folder.rmdir()
        pytest.skip(f"no control group with a limit of memory can be made here: {error}")
    yield folder
    for _ in range(100):  # a process that has ended stays in its group for a moment
        with contextlib.suppress(OSError):
            folder.rmdir()
            return
        time.sleep(0.05)


@pytest.mark.slow
def test_the_kernel_takes_a_worker_and_the_run_goes_on(tmp_path: Path, group: Path):
    (tmp_path / "greedy.py").write_text(GREEDY)
    command = [sys.executable, "-m", "hogwild.train", "--model", "greedy:Greedy", "--workers", "2", "--epochs", "2"]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), os.environ.get("PYTHONPATH", "")])}
    done = subprocess.run(
        [*command, "--name", "run", "--respawn", "1"], cwd=tmp_path, env=environment, capture_output=True, text=True,
        timeout=100, preexec_fn=lambda: (group / "cgroup.procs").write_text("0") and None,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    (line,) = re.findall(r"worker \d \(pid \d+\) died: .*", done.stderr)
    assert re.search(r"SIGKILL, out of memory \((RSS was [\d.]+ GB, )?the limit of all processes is 3.22 GB\)", line)
    summary = json.loads((tmp_path / "runs/run/summary.json").read_text())
    assert summary["exit_reason"] == "done"
    assert summary["samples"] >= 2 * 1437
