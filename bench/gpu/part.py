"""python -m bench.gpu.part NAME FILE DEVICE [dry]: one part of the script in its own process; FILE is the journal."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from bench.gpu import access, calls, compiled, counters, facts, gaps, mixes, mps, places, push, smoke, trainer
from bench.gpu.journal import Journal
from bench.gpu.scene import Scene

PARTS: dict[str, Callable[[Scene], None]] = {
    "smoke": smoke.run,
    "facts": facts.run,
    "push": push.run,
    "calls": calls.run,
    "counters": counters.run,
    "access": access.run,
    "gaps": gaps.run,
    "mixes": mixes.run,
    "places": places.run,
    "trainer": trainer.run,
    "MPS": mps.run,
    "compiled step": compiled.run,
}


def main(arguments: Sequence[str]) -> None:
    name, file, device, *dry = arguments
    torch.set_num_threads(1)
    PARTS[name](Scene(torch.device("cuda:0" if device == "cuda" else device), Journal(Path(file)), name, bool(dry)))


if __name__ == "__main__":
    main(sys.argv[1:])
