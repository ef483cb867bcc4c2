"""python -m bench.gpu [--dry-run] [--out FOLDER] [--minutes 8] [--parts push,calls]: build, test, measure on one GPU.

Every part runs in its own process with a time-out; the results of earlier parts are on disk before it starts. FOLDER
has results.json, report.md, roofline.png, log.txt. A dry run runs every part with tiny sizes, on the CPU if there is no
GPU; it measures nothing.
Exit code 0: every part finished; 1: a part did not; 2: there is no GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.gpu.plan import Part, plan
from bench.gpu.report import write

ROOT = Path(__file__).parents[2]
FILES = ("results.json", "report.md", "roofline.png", "log.txt")
RESERVE_S = 5.0  # time kept for the report
TAIL = 1500  # last characters of a part's output, which are stored with its result


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(prog="python -m bench.gpu", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--dry-run", action="store_true", help="play every part with tiny sizes")
    parser.add_argument("--out", type=Path, default=Path("gpu-results"), help="folder of the results")
    parser.add_argument("--minutes", type=float, default=7.8, help="time limit of all parts together")
    parser.add_argument("--parts", help="some of them, separated by commas")
    options = parser.parse_args(arguments)
    capability = find_gpu()
    parts = plan("cpu" if isinstance(capability, str) else "cuda", options.dry_run)
    if options.parts:
        wanted = options.parts.split(",")
        if strange := set(wanted) - {part.name for part in parts}:
            parser.error(f"no part {', '.join(sorted(strange))}; there are {', '.join(part.name for part in parts)}")
        parts = [part for part in parts if part.name in wanted]
    if isinstance(capability, str) and not options.dry_run:
        print(f"bench.gpu: {capability}", file=sys.stderr)
        return 2
    options.out.mkdir(parents=True, exist_ok=True)
    for name in FILES:
        (options.out / name).unlink(missing_ok=True)
    deadline = time.monotonic() + 60 * options.minutes - RESERVE_S
    results: dict[str, Any] = {}
    for part in parts:
        results[part.name] = carry_out(
            part, deadline, options.out / "log.txt", environment(None if options.dry_run else capability)
        )
        print(f"{part.name:18} {results[part.name]['status']}, {results[part.name]['seconds']:.1f} s", flush=True)
        (options.out / "results.json").write_text(json.dumps(results, indent=1))
    write(results, options.out, options.dry_run)
    return int(any(result["status"] not in ("done", "left out") for result in results.values()))


def find_gpu() -> tuple[int, int] | str:
    """The compute capability of the first GPU, or the reason for which no GPU can be used."""
    import torch

    if torch.version.cuda is None:
        return f"no GPU to measure: this torch ({torch.__version__}) was built without CUDA; --dry-run plays on the CPU"
    if not torch.cuda.is_available():
        return "no GPU to measure: torch sees none; --dry-run plays on the CPU"
    return torch.cuda.get_device_capability(0)


def environment(capability: tuple[int, int] | None) -> dict[str, str]:
    """The environment of a part: one thread per process, this tree's package, and a build for this GPU only."""
    paths = [str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])]
    found = {**os.environ, "PYTHONPATH": os.pathsep.join(paths), "OMP_NUM_THREADS": "1"}
    if capability is not None:
        major, minor = capability
        found |= {"HOGWILD_CUDA": "1", "HOGWILD_CUDA_ARCHS": f"{major}{minor}{'a' if major >= 9 else ''}"}
    return found


def carry_out(part: Part, deadline: float, log: Path, variables: dict[str, str]) -> dict[str, Any]:
    """Run one part. Returns its status, its rows, and the end of its output."""
    left_s = deadline - time.monotonic()
    if part.left_out is not None or left_s < 1:
        return {"status": "left out", "reason": part.left_out or "no time left", "seconds": 0.0, "rows": []}
    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="part") as folder, log.open("ab") as output:
        rows = Path(folder) / "rows.json"
        command = [str(rows) if word == "ROWS" else word for word in part.command]
        output.write(f"\n==== {part.name}\n".encode())
        output.flush()
        start = output.tell()
        process = subprocess.Popen(
            command, cwd=ROOT, env=variables, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        try:
            code = process.wait(min(part.budget_s, left_s))
            status = "done" if code == 0 else f"failed with exit code {code}"
        except subprocess.TimeoutExpired:
            status = f"stopped after {time.monotonic() - began:.0f} s"
        finally:  # end the processes that the part has started, too
            end_session(process)
        found = json.loads(rows.read_text()) if rows.exists() else []
    said = log.read_bytes()[start:].decode(errors="replace")
    return {"status": status, "seconds": time.monotonic() - began, "rows": found, "tail": said[-TAIL:]}


def end_session(process: subprocess.Popen[bytes]) -> None:
    """End the process and all processes of its session."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        return
    finally:
        process.wait()


if __name__ == "__main__":
    sys.exit(main())
