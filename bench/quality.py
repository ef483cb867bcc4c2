"""The quality that the examples reach, beside their plain alternatives, over several seeds; and the CPU time of both.

    HOGWILD_DATA=... python -m bench.quality                          all of TASKS, 3 seeds: about half an hour
    HOGWILD_DATA=... python -m bench.quality --tasks char_gpt --seeds 1

Both programs of a task are run as a user runs them, in turn, with the same arguments. The quality is what a program
prints last under the name of the measure. CPU time is that of all of its processes; `updates a CPU second` leaves out
what a run of a few updates takes, which is mostly the start of the processes. Every run is a line of examples.csv in
--out, where it replaces that of an earlier run; examples.md is made from all lines.
"""

from __future__ import annotations

import argparse
import csv
import ctypes
import os
import re
import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import mean, stdev

from hogwild import system

ROOT = Path(__file__).parents[1]
RESULTS = ROOT / "docs/results"
COLUMNS = ("task", "program", "workers", "seed", "quality", "updates", "cpu_s", "start_s")
KEY = COLUMNS[:4]
PROGRAMS = ("hogwild", "plain")
TIMEOUT_S = 900.0
PR_SET_CHILD_SUBREAPER = 36
Row = dict[str, str]


@dataclass(frozen=True)
class Task:
    """`measure`: its name in what the programs print. `few`: what makes a run of a few updates, if there is such a
    thing. `least`: what the quality must reach, beside that of the plain program.
    """

    example: str
    given: str
    measure: str
    larger_is_better: bool
    few: str = ""
    least: float | None = None


TASKS: dict[str, Task] = {
    "a3c_cartpole": Task("a3c_cartpole", "", "mean length", True, "--updates 20", 195.0),
    "a3c_adam": Task("a3c_cartpole", "--algorithm adamw --lr 0.001", "mean length", True, "--updates 20", 195.0),
    "char_gpt": Task("char_gpt", "--updates 600 --write 1", "test loss", False, "--updates 4"),
    "matrix_factorisation": Task("matrix_factorisation", "", "rmse", False),
    "cifar_resnet": Task("cifar_resnet", "--coloured 2000 --width 4 --batch-size 32 --epochs 5", "top-1", True),
}
HEAD = """# Quality of the examples

What each [example](../examples.md) and its plain alternative reach, and what they cost, on two cores, where ratios say
more than seconds.

```sh
python -m bench.quality
```

| example | workers | measure | hogwild | plain | worse than plain by | spread of the seeds | |
|---|---|---|---|---|---|---|---|
"""
COSTS = """
*Worse by* is negative where hogwild's mean is the better one. *Spread*: the larger of the two standard deviations. The
last column is *no* where hogwild is worse by more than the spread{least}.

| example | workers | CPU s of hogwild, plain | updates a CPU second beyond the start | ratio |
|---|---|---|---|---|
"""


def command(task: Task, program: str, workers: int, seed: int, more: str = "") -> list[str]:
    own = [str(ROOT / "examples" / f"{task.example}.py")]
    what = own if program == "hogwild" else ["-m", f"bench.plain.{task.example}"]
    return [sys.executable, *what, *f"{task.given} {more} --workers {workers} --seed {seed}".split()]


def run(argv: Sequence[str]) -> tuple[str, float]:
    """What a program prints, and the CPU time of its processes. RuntimeError if it fails.

    This process adopts those that outlive their parent (a fork server), so that their time is counted.
    """
    environment = {**os.environ, "PYTHONPATH": str(ROOT), **dict.fromkeys(system.THREAD_VARIABLES, "1")}
    before = _cpu_s()
    with tempfile.TemporaryDirectory() as folder:
        done = subprocess.run(
            argv, cwd=folder, env=environment, capture_output=True, text=True, timeout=TIMEOUT_S, check=False
        )
        while True:
            try:
                os.wait()
            except ChildProcessError:
                break
    if done.returncode:
        raise RuntimeError(f"{' '.join(argv)} failed:\n{done.stderr[-2000:]}")
    return done.stdout, _cpu_s() - before


def _cpu_s() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def printed(text: str, name: str) -> float | None:
    """The last number behind that name."""
    found = re.findall(rf"(?<!\w){re.escape(name)} (-?[\d.]*\d)", text)
    return float(found[-1]) if found else None


def measure(name: str, workers: int, seeds: int) -> list[Row]:
    """Runs both programs of a task with every seed, in turn."""
    task, rows = TASKS[name], []
    starts = {p: run(command(task, p, workers, 0, task.few))[1] if task.few else 0.0 for p in PROGRAMS}
    for seed in range(seeds):
        for program in PROGRAMS:
            text, cpu_s = run(command(task, program, workers, seed))
            quality = printed(text, task.measure)
            if quality is None:
                raise RuntimeError(f"{program} of {name} printed no {task.measure!r}:\n{text[-2000:]}")
            updates = printed(task.given, "--updates") or printed(text, "updates") or 0
            figures = (name, program, workers, seed, quality, int(updates), f"{cpu_s:.1f}")
            rows.append(dict(zip(COLUMNS, map(str, (*figures, f"{starts[program]:.1f}")), strict=True)))
            print(*rows[-1].values(), flush=True)
    return rows


def _of(rows: Sequence[Row], program: str, column: str) -> list[float]:
    return [float(row[column]) for row in rows if row["program"] == program]


def quality_line(name: str, workers: str, rows: Sequence[Row]) -> str:
    """`rows`: of that task with that many workers."""
    task = TASKS[name]
    ours, plain = (_of(rows, program, "quality") for program in PROGRAMS)
    spread = max(stdev(values) if len(values) > 1 else 0.0 for values in (ours, plain))
    worse = (mean(plain) - mean(ours)) * (1 if task.larger_is_better else -1)
    holds = worse <= spread and (task.least is None or min(ours) >= task.least)
    texts = [f"{mean(values):.4g} ({', '.join(f'{value:.4g}' for value in values)})" for values in (ours, plain)]
    called = f"{name} `{task.given}`" if task.given else name
    cells = [called, workers, task.measure, *texts, f"{worse:.2g}", f"{spread:.2g}", "yes" if holds else "no"]
    return f"| {' | '.join(cells)} |\n"


def cost_line(name: str, workers: str, rows: Sequence[Row]) -> str:
    """`rows`: of that task with that many workers."""
    cpu = {program: _of(rows, program, "cpu_s") for program in PROGRAMS}
    texts = f"{mean(cpu['hogwild']):.0f}, {mean(cpu['plain']):.0f}"
    if not TASKS[name].few:
        return f"| {name} | {workers} | {texts} | | |\n"
    rates = []
    for program in PROGRAMS:
        beyond = sum(cpu[program]) - sum(_of(rows, program, "start_s"))
        rates.append(sum(_of(rows, program, "updates")) / max(beyond, 1e-9))
    return f"| {name} | {workers} | {texts} | {rates[0]:.0f}, {rates[1]:.0f} | {rates[0] / rates[1]:.2f} |\n"


def page(rows: Sequence[Row]) -> str:
    """The Markdown of all rows."""
    counts = sorted({row["workers"] for row in rows}, key=int)
    of = {(n, k): [row for row in rows if (row["task"], row["workers"]) == (n, k)] for n in TASKS for k in counts}
    of = {key: found for key, found in of.items() if found}
    bounds = [
        f"{TASKS[name].least:g} in {name}" for name in dict.fromkeys(n for n, _ in of) if TASKS[name].least is not None
    ]
    least = f", or a seed is below {' or '.join(bounds)}" if bounds else ""
    quality, costs = ("".join(line(*key, found) for key, found in of.items()) for line in (quality_line, cost_line))
    return HEAD + quality + COSTS.format(least=least) + costs


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m bench.quality", description="Quality of the examples, by seeds.")
    parser.add_argument("--tasks", nargs="+", default=list(TASKS), choices=TASKS)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR")
    given = parser.parse_args(argv)
    ctypes.CDLL(None).prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0)
    path = given.out / "examples.csv"
    for name in given.tasks:
        found = measure(name, given.workers, given.seeds)
        kept = list(csv.DictReader(path.read_text().splitlines())) if path.exists() else []
        made = [[row[column] for column in KEY] for row in found]
        rows = [row for row in kept if [row[column] for column in KEY] not in made] + found
        with path.open("w", newline="") as file:
            writer = csv.DictWriter(file, COLUMNS)
            writer.writeheader()
            writer.writerows(rows)
        (given.out / "examples.md").write_text(page(rows))
    print(page(rows))


if __name__ == "__main__":
    main()
