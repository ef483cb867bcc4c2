"""Hardware counters of single launches, by Nsight Compute where it is: why a kernel is as fast as it is.

python -m bench.gpu.counters cuda 67108864     the launches alone, for a profiler of one's own
"""

from __future__ import annotations

import csv
import io
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence

import torch

from bench.field import LR, MOMENTUM, PUSHES, Field
from bench.gpu import tied
from bench.gpu.scene import DRY_SIZE, Scene
from hogwild.kernels import Push, weighted_sum
from hogwild.rules import Access, Gap, Guard, HeavyBall, Momentum

N = 1 << 26
LIMIT_S = 32.0
SECTIONS = ("SpeedOfLight", "MemoryWorkloadAnalysis", "WarpStateStats")
WANTED = (  # of the metrics in these sections; all are in counters.csv
    "Duration", "SM Frequency", "DRAM Throughput", "Memory Throughput", "Compute (SM) Throughput", "L1/TEX Hit Rate",
    "L2 Hit Rate", "Mem Busy", "Max Bandwidth", "Warp Cycles Per Issued Instruction", "Avg. Active Threads Per Warp",
)  # fmt: skip
FILE = "counters.csv"


def run(scene: Scene) -> None:
    n = DRY_SIZE if scene.is_dry else N
    ncu = shutil.which("ncu")
    if scene.is_dry or not scene.on_gpu or ncu is None:
        launches = [name for name, _ in profiled(scene.device, n)]
        reason = "a dry run" if scene.is_dry else "no ncu here"
        scene.record("counters", "left out", reason=reason, launches=len(launches))
        return
    sections = [word for section in SECTIONS for word in ("--section", section)]
    command = [ncu, "--clock-control", "none", "--profile-from-start", "off", "--csv", "--page", "details", *sections]
    launched = [sys.executable, "-m", "bench.gpu.counters", "cuda", str(n)]
    try:
        done = subprocess.run(
            [*command, *launched], capture_output=True, text=True, timeout=LIMIT_S, preexec_fn=tied.to_parent
        )
    except subprocess.TimeoutExpired as stopped:
        said = stopped.stdout.decode(errors="replace") if isinstance(stopped.stdout, bytes) else stopped.stdout or ""
        done = subprocess.CompletedProcess(command, -1, said, f"not done after {LIMIT_S:.0f} s")
    (scene.journal.file.parent / FILE).write_text(done.stdout)
    kernels = 0
    for number, kernel, metrics in parse(done.stdout):
        scene.record("counters", f"{number}: {kernel}", **metrics)
        kernels += 1
    if done.returncode != 0 or not kernels:
        scene.record("counters", "ended early", reason=f"{done.stdout[-300:]} {done.stderr[-300:]}".strip())


def parse(text: str) -> Iterator[tuple[int, str, dict[str, str]]]:
    """(number of the launch, kernel, wanted metrics with units) from the CSV of ncu, which other lines precede."""
    start = text.find('"ID"')
    if start < 0:
        return
    found: dict[int, tuple[str, dict[str, str]]] = {}
    for row in csv.DictReader(io.StringIO(text[start:])):
        metric, value = row.get("Metric Name"), row.get("Metric Value")
        if row.get("ID") and metric in WANTED and value:
            _, metrics = found.setdefault(int(row["ID"]), (shorter(row["Kernel Name"]), {}))
            unit = row.get("Metric Unit") or ""
            metrics[metric if metric not in metrics else f"{metric}, {unit}"] = f"{value} {unit}".strip()
    for number, (kernel, metrics) in found.items():
        yield number, kernel, metrics


def shorter(kernel: str) -> str:
    """The name without namespaces and arguments."""
    return kernel.split("(const")[0].replace("hogwild::", "").replace("cuda::", "")[:160]


def profiled(device: torch.device, n: int) -> Iterator[tuple[str, None]]:
    """Makes each launch once with the profiler off, so that its module is loaded, and then all of them in a row."""
    calls = launches(device, n)
    for call in calls.values():
        call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.profiler.start()
    for name, call in calls.items():
        yield name, call()
    if device.type == "cuda":
        torch.cuda.synchronize(device)
        torch.cuda.profiler.stop()


def launches(device: torch.device, n: int) -> dict[str, Callable[[], None]]:
    """Eight launches: pushes of every weight, the same under atomic access, the scan of a guard, and an average."""
    field = Field(n, device)
    x, snapshot, v, s, g = field.buffers

    def push(
        gap: Gap | None = None,
        momentum: Momentum | None = None,
        access: Access = Access.RACING,
        has_snapshot: bool = False,
        own_v: bool = False,
    ) -> Callable[[], None]:
        made = Push(
            x=x, snapshot=snapshot if gap or has_snapshot else None, v=v if momentum else None,
            s=s if gap and gap.rows is None else None, gap_state=field.gap_state if gap and gap.rows else None,
            segments=[(0, n)], penalty=gap, momentum=momentum, access=access, guard=Guard.ELEMENT, own_v=own_v,
        )  # fmt: skip
        return lambda: made.enqueue([g], lr=LR, pushes=PUSHES, lr_max=LR)

    ball = HeavyBall(MOMENTUM)
    return {
        "gap": push(Gap(), ball),
        "gap over one C": push(Gap(size="global"), ball),
        "heavy ball with snapshot": push(None, ball, has_snapshot=True),
        "heavy ball": push(None, ball),
        "plain": push(),
        "gap, atomic": push(Gap(), ball, Access.ATOMIC),
        "heavy ball of its own v, atomic": push(None, ball, Access.ATOMIC, has_snapshot=True, own_v=True),
        "weighted sum of 2": lambda: weighted_sum(x, [x, g], [1.0, 1e-12]),
    }


def main(arguments: Sequence[str]) -> None:
    device, n = arguments
    for name, _ in profiled(torch.device("cuda:0" if device == "cuda" else device), int(n)):
        print(name, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
