"""`hogwild recommend`: the two methods to try first in a situation, from measured rows."""

from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path

from hogwild import delays
from hogwild.cli import shell
from hogwild.errors import UsageError
from hogwild.recommend import answer, rows
from hogwild.recommend.situation import EQUAL_SPEEDS, Asked
from hogwild.text import quoted

MOST_WORKERS = 65_536  # of any run
DESCRIPTION = "The two methods to try first in a situation, and the measured numbers that say so."


def main(argv: Sequence[str] | None = None) -> int:
    return shell.run(_recommend, argv)


def _recommend(argv: Sequence[str]) -> int:
    options = parser().parse(argv)
    if not 1 <= options.workers <= MOST_WORKERS:
        raise UsageError(f"--workers {quoted(options.workers)}: it must be at least 1, at most {MOST_WORKERS:,}")
    for name in ("latency", "bytes"):
        if not getattr(options, name) >= 0:
            raise UsageError(f"--{name} {getattr(options, name):g}: it must be a number >= 0")
    cv = EQUAL_SPEEDS if options.delay is None else variation(options.delay)
    asked = Asked(options.workers, options.data_split == "yes", options.latency, cv, options.bytes)
    print(answer.answer(rows.packaged(), asked))
    return 0


def variation(spec: str) -> float:
    """Standard deviation over mean of the delays of a law or of a run."""
    law = delays.parse(f"hist:{spec}" if Path(spec).is_dir() else spec)
    mean = delays.mean(law)
    square = sum(probability * (delay - mean) ** 2 for delay, probability in law.items())
    return math.sqrt(square) / mean if mean else 0.0


def parser() -> shell.Parser:
    parser = shell.Parser("hogwild recommend", DESCRIPTION)
    add = parser.add_argument
    add("--workers", type=int, required=True, metavar="N", help="workers")
    add(
        "--delay", metavar="SPEC|RUN",
        help=f"delays of plain asynchronous SGD: {delays.SPECS}, or the directory of a run (default: equal speeds)",
    )  # fmt: skip
    add("--data-split", choices=("yes", "no"), default="no", help="whether workers have different data (default: no)")
    add(
        "--latency", type=float, default=0.0, metavar="L", help="of a message, in mean times of a gradient (default: 0)"
    )
    add(
        "--bytes", type=float, default=math.inf, metavar="B",
        help="the most bytes that may be moved per parameter and gradient (default: no limit)",
    )  # fmt: skip
    return parser
