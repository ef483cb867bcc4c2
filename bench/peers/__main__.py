"""python -m bench.peers [NAME]: measures, prints the tables, and records NAME.md and NAME.json in bench/results."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from pathlib import Path

from bench import samples
from bench.peers.measure import measure
from bench.peers.tables import markdown
from hogwild.system import THREAD_VARIABLES

RESULTS = Path(__file__).parents[1] / "results"


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m bench.peers", description="One averaging step against other packages.")
    parser.add_argument("name", nargs="?", help="record NAME.md and NAME.json in --out; without it: print only")
    parser.add_argument("--processes", type=int, nargs="+", default=[2, 4], metavar="N")
    parser.add_argument("--hidden", type=int, default=512, metavar="N", help="units of the last hidden layer (512)")
    parser.add_argument("--rounds", type=int, default=15, metavar="N", help="turns of each contestant (15)")
    parser.add_argument("--turn-s", type=float, default=0.3, metavar="S", help="length of a turn, about (0.3)")
    parser.add_argument("--out", type=Path, default=RESULTS, metavar="DIR", help="bench/results")
    options = parser.parse_args(argv)
    for variable in THREAD_VARIABLES:
        os.environ[variable] = "1"
    found = samples.compact(measure(options.processes, options.hidden, options.rounds, options.turn_s))
    text = markdown(found)
    print(text)
    if options.name:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / f"{options.name}.json").write_text(samples.text(found) + "\n")
        (options.out / f"{options.name}.md").write_text(text)


if __name__ == "__main__":
    main()
