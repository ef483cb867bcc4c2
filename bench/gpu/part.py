"""python -m bench.gpu.part NAME FILE DEVICE [dry]: one part of the script in its own process; rows go to FILE."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from pathlib import Path

import torch

from bench.gpu import access, calls, compiled, facts, gaps, mixes, places, push, trainer
from bench.gpu.scene import Scene

PARTS: dict[str, Callable[[Scene], None]] = {
    "facts": facts.run,
    "push": push.run,
    "calls": calls.run,
    "access": access.run,
    "gaps": gaps.run,
    "mixes": mixes.run,
    "places": places.run,
    "trainer": trainer.run,
    "trainer under MPS": trainer.run_mps,
    "compiled step": compiled.run,
}


def main(arguments: Sequence[str]) -> None:
    name, file, device, *dry = arguments
    torch.set_num_threads(1)
    PARTS[name](Scene(torch.device("cuda:0" if device == "cuda" else device), Path(file), bool(dry)))


if __name__ == "__main__":
    main(sys.argv[1:])
