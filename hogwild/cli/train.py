"""`hogwild train` and `python -m hogwild.train`: train a model with asynchronous workers.

torch is imported only after the command line has been understood, and with one thread per process: workers x threads
beyond the cores make every worker several times slower.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence

from hogwild.cli import flags, shell
from hogwild.config import Config
from hogwild.system import THREAD_VARIABLES
from hogwild.text import printable


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command and return its exit code (hogwild/errors.py)."""
    return shell.run(_train, argv)


def parser() -> shell.Parser:
    return flags.parser("hogwild train")


def _train(argv: Sequence[str]) -> int:
    return start(flags.parse(argv))


def start(config: Config) -> int:
    """Run `config` with one thread per process: set before torch is imported."""
    for variable in THREAD_VARIABLES:
        os.environ[variable] = "1"
    if not config.quiet:  # torch takes seconds
        what = f"{config.data}, {config.model}, {config.algorithm}, {config.workers} workers"
        print(f"hogwild: starting {printable(what)}", file=sys.stderr if config.json else sys.stdout, flush=True)
    from hogwild.cli.run import train

    return train(config)
