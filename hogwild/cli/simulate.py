"""`hogwild simulate`: a training run in one process under a virtual clock, repeatable bit for bit."""

from __future__ import annotations

from collections.abc import Sequence

from hogwild.cli import flags
from hogwild.cli.shell import Parser
from hogwild.cli.train import start

DEFAULT_CLOCK = "gamma"


def parser() -> Parser:
    return flags.parser("hogwild simulate")


def main(argv: Sequence[str]) -> int:
    """As `hogwild train`, with --clock gamma if no clock is given."""
    return start(flags.parse(argv, prog="hogwild simulate", defaults={"clock": DEFAULT_CLOCK}))
