"""python -m bench.contest [--size small]: runs the contest, writes contest.md, contest.csv and plots."""

from __future__ import annotations

import argparse
import dataclasses
import os
import shlex
from collections.abc import Iterable, Mapping, Sequence
from datetime import date
from pathlib import Path
from typing import Any

from bench import machine
from bench.contest.methods import methods
from bench.contest.plan import SIZES, contest
from bench.contest.tables import write
from bench.contest.tasks import TASKS
from hogwild.system import THREAD_VARIABLES
from hogwild.text import quoted

RESULTS = Path(__file__).parents[2] / "docs" / "results"


def main(argv: Sequence[str] | None = None) -> None:
    sizes = "; ".join(f"{name}: {', '.join(size.tasks)}, {size.takes}" for name, size in SIZES.items())
    parser = argparse.ArgumentParser("python -m bench.contest", description="Time to accuracy, against plain PyTorch.")
    parser.add_argument("--size", choices=SIZES, default="small", help=sizes)
    parser.add_argument("--tasks", nargs="+", choices=TASKS, metavar="NAME", help=f"of {', '.join(TASKS)}")
    parser.add_argument("--methods", nargs="+", metavar="NAME", help=f"of {_listing(TASKS)}")
    parser.add_argument("--repeats", type=int, metavar="N", help="with all workers alike")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR", help="docs/results")
    options = parser.parse_args(argv)
    for variable in THREAD_VARIABLES:
        os.environ[variable] = "1"
    given = {name: value for name in ("tasks", "methods", "repeats") if (value := getattr(options, name))}
    size = dataclasses.replace(SIZES[options.size], **given)
    known = _known(size.tasks)
    if strange := [name for name in size.methods if name not in known]:
        parser.exit(2, f"bench.contest: no method {quoted(strange[0])}; there are {_listing(size.tasks)}\n")
    at_start = machine.describe()
    rows = contest(size, lambda line: print(line, flush=True))
    for path in write(rows, options.out, command(options.size, given), at_start, date.today().isoformat()):
        print(path)


def _known(tasks: Iterable[str]) -> list[str]:
    """The names of all methods of those tasks."""
    return list(dict.fromkeys(name for task in tasks for name in methods(TASKS[task].rule)))


def _listing(tasks: Iterable[str]) -> str:
    """As they are typed: some names have blanks."""
    return ", ".join(map(shlex.quote, _known(tasks)))


def command(size: str, given: Mapping[str, Any]) -> str:
    """What makes the same rows again."""
    words = ["python", "-m", "bench.contest", "--size", size]
    for name, value in given.items():
        words += [f"--{name}", *map(str, value if isinstance(value, list) else [value])]
    return shlex.join(words)


if __name__ == "__main__":
    main()
