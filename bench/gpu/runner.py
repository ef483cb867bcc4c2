"""Runs the parts, each in a process of its own with a time-out, and writes down how each ended."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path
from typing import Any

from bench.gpu import tied
from bench.gpu.journal import Journal
from bench.gpu.plan import Part

ROOT = Path(__file__).parents[2]
TAIL = 1500  # last characters of a part's output, which are stored with its result


def environment(capability: tuple[int, int] | None) -> dict[str, str]:
    """The environment of a part: one thread per process, this tree's package, and a build for this GPU only."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    found = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    if capability is not None:
        found |= {"HOGWILD_CUDA": "1", "HOGWILD_CUDA_ARCHS": architecture(capability)}
    return found


def architecture(capability: tuple[int, int]) -> str:
    major, minor = capability
    return f"{major}{minor}{'a' if major >= 9 else ''}"


def carry_out(part: Part, deadline: float, journal: Journal, log: Path, variables: dict[str, str]) -> dict[str, Any]:
    """Run one part, until `deadline` (time.monotonic()) at most. Returns and writes down its result."""
    left_s = deadline - time.monotonic()
    if part.left_out is not None or left_s < 1:
        result: dict[str, Any] = {"status": "left out", "reason": part.left_out or "no time left", "seconds": 0.0}
    else:
        result = _run(part, min(part.budget_s, left_s), journal, log, variables)
    journal.append(part=part.name, result=result)
    return result


def _run(part: Part, limit_s: float, journal: Journal, log: Path, variables: dict[str, str]) -> dict[str, Any]:
    began = time.monotonic()
    command = [str(journal.file.resolve()) if word == "JOURNAL" else word for word in part.command]
    with log.open("ab") as output:
        output.write(f"\n==== {part.name}\n".encode())
        output.flush()
        start = output.tell()
        process = subprocess.Popen(
            command, cwd=ROOT, env=variables, stdout=output, stderr=subprocess.STDOUT, start_new_session=True,
            preexec_fn=tied.to_parent,
        )  # fmt: skip
        try:
            code = process.wait(limit_s)
            status = "done" if code == 0 else f"failed with exit code {code}"
        except subprocess.TimeoutExpired:
            status = f"stopped after {time.monotonic() - began:.0f} s"
        finally:  # end the processes that the part has started, too
            end_session(process)
    said = log.read_bytes()[start:].decode(errors="replace")
    return {"status": status, "seconds": time.monotonic() - began, "tail": said[-TAIL:]}


def end_session(process: subprocess.Popen[bytes]) -> None:
    """End the process and all processes of its session."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        process.wait()
