"""The real command in its own process group, as a terminal starts it, with a time-out."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import warm

TIMEOUT_S = 60.0
PATHS = [str(Path(__file__).parent), os.environ.get("PYTHONPATH", "")]
ENVIRONMENT = {**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, PATHS))}
LONG = ("--epochs", "100000", "--eval-every", "0", "--ckpt-every", "0")


def arguments(out: Path, *flags: object) -> list[str]:
    command = [sys.executable, "-W", "error", "-m", "hogwild.train", "--out", out, "--quiet", *flags]
    if "--resume" not in flags:
        command += ["--name", "run"]
    return [str(part) for part in command]


def hear_ctrl_c() -> None:
    """Restore Ctrl-C: tests in the background of a shell inherit an ignored one, a terminal's command does not."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)


@contextlib.contextmanager
def command(out: Path, *flags: object, cold: bool = False, **options: Any) -> Iterator[subprocess.Popen[str]]:
    """Run the command in `out`, where it can import own_code. No process of its group outlives the context. `cold`: in
    a new interpreter, which imports torch first.
    """
    options = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, **options}
    if cold:
        options.setdefault("preexec_fn", hear_ctrl_c)
    process = (subprocess.Popen if cold else warm.Popen)(
        arguments(out, *flags), cwd=out, **{"env": ENVIRONMENT, "start_new_session": True, "text": True, **options}
    )
    try:
        yield process
    finally:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.communicate()


def run(out: Path, *flags: object) -> tuple[int, str]:
    """(exit code, stderr)."""
    with command(out, *flags) as process:
        _, err = process.communicate(timeout=TIMEOUT_S)
        return process.returncode, err


def wait_until(true: Callable[[], Any]) -> Any:
    deadline = time.monotonic() + TIMEOUT_S
    while not (found := true()):
        assert time.monotonic() < deadline, "the condition never became true"
        time.sleep(0.005)
    return found


def fork_server(parent: int) -> psutil.Process | None:
    for child in psutil.Process(parent).children():
        with contextlib.suppress(psutil.Error):
            if child.name() == "forkserver" or "multiprocessing.forkserver" in " ".join(child.cmdline()):
                return child
    return None


def lines(run_path: Path, kind: str) -> list[dict[str, Any]]:
    """The whole lines of one kind in metrics.jsonl, without those on the end of a fault."""
    try:
        text = (run_path / "metrics.jsonl").read_text()
    except OSError:
        return []
    found = [json.loads(line) for line in text.splitlines(keepends=True) if line.endswith("\n")]
    return [line for line in found if line["kind"] == kind and not line.get("ended")]


def workers(run_path: Path) -> list[int]:
    return [line["pid"] for line in lines(run_path, "worker") if line["event"] in ("started", "replaced")]
