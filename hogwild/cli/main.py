"""`hogwild COMMAND`: each command is one module with `main(argv) -> exit code`, imported at its first use."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Sequence

from hogwild.cli import shell
from hogwild.options import unknown
from hogwild.runs.environment import package_version

COMMANDS = {
    "train": ("hogwild.cli.train", "train a model with asynchronous workers (same as python -m hogwild.train)"),
    "simulate": ("hogwild.cli.simulate", "the same in one process, under a virtual clock (--clock, default gamma)"),
    "stability": (
        "hogwild.cli.stability",
        "theory of stability: largest learning rates under a delay, averaging, mixing",
    ),
    "recommend": ("hogwild.cli.recommend", "the two methods to try first in a situation, from measured rows"),
    "compare": ("hogwild.cli.compare", "algorithms x workers x clocks x seeds in the simulator: table, CSV, plot"),
    "reproduce": ("hogwild.cli.reproduce", "recompute figures of papers and compare them with the papers' claims"),
    "eval": ("hogwild.cli.evaluate", "evaluate a checkpoint of a run"),
    "report": ("hogwild.cli.report", "a page with the curves, delays, workers and faults of runs, as one HTML file"),
    "plot": ("hogwild.cli.plot", "curves of runs as PNG, SVG or PDF, or their numbers as CSV"),
    "trace": ("hogwild.cli.trace", "what each worker did when, for ui.perfetto.dev, or as CSV"),
    "watch": ("hogwild.cli.watch", "what a running run does now, from another terminal"),
    "export": ("hogwild.cli.export", "write the trained weights as a plain state_dict"),
    "data": ("hogwild.cli.data", "list, check or get the data sets"),
    "list": ("hogwild.cli.listing", "algorithms with their options, models, data sets, schedules, access policies"),
    "doctor": ("hogwild.cli.doctor", "report the build and the abilities of this machine, and what suits it"),
    "completion": ("hogwild.cli.completion", "the script with which a shell completes commands, flags and names"),
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (hogwild/errors.py)."""
    return shell.run(_dispatch, argv)


def _dispatch(argv: Sequence[str]) -> int:
    if not argv or argv[0] in ("-h", "--help"):
        print(_usage())
        return 0
    if argv[0] == "--version":
        print(f"hogwild {package_version('hogwild') or '(not installed)'}")
        return 0
    if argv[0] not in COMMANDS:
        raise unknown("command", argv[0], COMMANDS)
    module = importlib.import_module(COMMANDS[argv[0]][0])
    return int(module.main(argv[1:]))


def _usage() -> str:
    lines = [f"  {name:10} {help}" for name, (_, help) in COMMANDS.items()]
    return "\n".join(["usage: hogwild COMMAND [options]      (hogwild COMMAND --help)", "", *lines])


if __name__ == "__main__":
    sys.exit(main())
