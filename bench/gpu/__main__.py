"""python -m bench.gpu [--plan first|second] [--parts push,calls] [--out FOLDER] [--dry-run]: test, measure on one GPU.

Every part runs in its own process with a time-out. FOLDER has results.jsonl, which takes every row when it is found,
report.md, roofline.png, counters.csv and log.txt. A part that FOLDER already holds is not repeated, and one that was
cut off continues with the sizes it lacks; --again repeats parts. `first` takes at most 300 s, `second` at most 240 s. A
dry run runs every part with tiny sizes, on the CPU if there is no GPU; it measures nothing. --prepare builds, on a
machine without a GPU, what has to be carried to one with a GPU, and dry-runs both plans.
Exit code 0: every part finished; 1: a part did not; 2: there is no GPU, or an option is wrong.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from bench.gpu import plan, prepare, report
from bench.gpu.journal import NAME, Journal
from bench.gpu.runner import architecture, carry_out, environment

ALL_S = 470.0  # limit of all parts together, without a plan


def main(arguments: Sequence[str] | None = None) -> int:
    began = time.monotonic()
    options = parser().parse_args(arguments)
    if options.prepare:
        return prepare.prepare(options.python)
    capability = find_gpu()
    if isinstance(capability, str) and not options.dry_run:
        print(f"bench.gpu: {capability}", file=sys.stderr)
        return 2
    device = "cpu" if isinstance(capability, str) else "cuda"
    known = plan.parts(device, options.dry_run, not isinstance(capability, str) and is_built(capability))
    try:
        chosen = choose(known, options)
        journal = Journal(options.out / NAME)
        journal.begin(options.dry_run)
    except ValueError as error:
        print(f"bench.gpu: {error}", file=sys.stderr)
        return 2
    limit_s = plan.PLANS[options.plan].seconds if options.plan else ALL_S
    deadline = began + (60 * options.minutes if options.minutes else limit_s) - plan.RESERVE_S
    variables = environment(None if options.dry_run or isinstance(capability, str) else capability)
    again = words(options.again)
    while chosen:
        part = chosen.pop(0)
        if part.name in again or "all" in again:
            journal.append(part=part.name, again=True)
        elif journal.of(part.name).result.get("status") == "done":
            print(f"{part.name:18} done before", flush=True)
            continue
        result = carry_out(part, deadline, journal, options.out / "log.txt", variables)
        print(f"{part.name:18} {result['status']}, {result['seconds']:.1f} s", flush=True)
        if part.name == "smoke" and racing_failed(journal):
            print("the racing push has failed: nothing else is worth the time", flush=True)
            chosen = [plan.diagnosis(device, options.dry_run)]
    results = journal.results()
    report.write(results, options.out, options.dry_run)
    return int(any(result["status"] not in ("done", "left out") for result in results.values()))


def parser() -> argparse.ArgumentParser:
    found = argparse.ArgumentParser(prog="python -m bench.gpu", description=(__doc__ or "").partition("\n")[0])
    found.add_argument("--plan", choices=plan.PLANS, help="a selection of parts with a time limit")
    found.add_argument("--dry-run", action="store_true", help="play every part with tiny sizes")
    found.add_argument("--out", type=Path, default=Path("gpu-results"), help="folder of the results")
    found.add_argument("--minutes", type=float, help="time limit of all parts together, in place of the plan's")
    found.add_argument("--parts", help="some of them, separated by commas")
    found.add_argument("--again", help="parts to repeat although they are done, separated by commas, or all")
    found.add_argument("--prepare", action="store_true", help="build what is carried to a GPU, and dry-run both plans")
    found.add_argument("--python", default=sys.executable, help="with --prepare: the Python to build for")
    return found


def words(text: str | None) -> list[str]:
    return text.split(",") if text else []


def choose(known: list[plan.Part], options: argparse.Namespace) -> list[plan.Part]:
    """The parts that are to be run, in their order. Raises: ValueError for a name that is none of theirs."""
    names = [part.name for part in known]
    wanted = words(options.parts) or list(plan.PLANS[options.plan].names if options.plan else names)
    if strange := {*wanted, *words(options.again)} - {*names, "all"}:
        raise ValueError(f"no part {', '.join(sorted(strange))}; there are {', '.join(names)}")
    return [part for part in known if part.name in wanted]


def racing_failed(journal: Journal) -> bool:
    row = journal.of("smoke").rows.get(("smoke", "racing", None))
    return row is not None and row["verdict"] == "FAIL"


def find_gpu() -> tuple[int, int] | str:
    """The compute capability of the first GPU, or the reason for which no GPU can be used."""
    import torch

    if torch.version.cuda is None:
        return f"no GPU to measure: this torch ({torch.__version__}) was built without CUDA; --dry-run plays on the CPU"
    if not torch.cuda.is_available():
        return "no GPU to measure: torch sees none; --dry-run plays on the CPU"
    return torch.cuda.get_device_capability(0)


def is_built(capability: tuple[int, int]) -> bool:
    """Whether hogwild._C loads and has code for a GPU of that capability."""
    try:
        from hogwild.kernels import build_info
    except ImportError:
        return False
    return f"sm_{architecture(capability)}" in str(build_info()["cuda_archs"]).split()


if __name__ == "__main__":
    sys.exit(main())
