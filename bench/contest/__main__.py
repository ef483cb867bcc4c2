"""python -m bench.contest [--size small]: runs the contest, writes contest.md, contest.csv and plots."""

from __future__ import annotations

import argparse
import dataclasses
import os
from collections.abc import Sequence
from datetime import date
from pathlib import Path

from bench import machine
from bench.contest.plan import SIZES, contest
from bench.contest.tables import write
from bench.contest.tasks import TASKS
from hogwild.system import THREAD_VARIABLES

RESULTS = Path(__file__).parents[2] / "docs" / "results"


def main(argv: Sequence[str] | None = None) -> None:
    sizes = "; ".join(f"{name}: {', '.join(size.tasks)}, about {size.minutes} min" for name, size in SIZES.items())
    parser = argparse.ArgumentParser("python -m bench.contest", description="Time to accuracy, against plain PyTorch.")
    parser.add_argument("--size", choices=SIZES, default="small", help=sizes)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, metavar="NAME", help=f"of {', '.join(TASKS)}")
    parser.add_argument("--repeats", type=int, metavar="N", help="with all workers alike")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR", help="docs/results")
    options = parser.parse_args(argv)
    for variable in THREAD_VARIABLES:
        os.environ[variable] = "1"
    given = {"tasks": options.tasks, "repeats": options.repeats}
    size = dataclasses.replace(SIZES[options.size], **{key: value for key, value in given.items() if value})
    at_start = machine.describe()
    rows = contest(size, lambda line: print(line, flush=True))
    for path in write(rows, options.out, options.size, at_start, date.today().isoformat()):
        print(path)


if __name__ == "__main__":
    main()
