"""python -m bench.loading: samples per second of an mlp on a data set in Python, with and without loaders.

Two kinds of reading: `python`, a sample is converted and normalised in Python, which takes a core; `waiting`, it waits
as for a disk or a network. The runs take turns; the figure is the best of its turns.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.utils.data import Dataset

from hogwild.library import fit

SIZE, BATCH_SIZE, WAIT_S = 4096, 64, 0.0001
PLANS = [(1, 0), (1, 1), (2, 0), (2, 1), (2, 2), (2, 4)]  # workers, loaders
KINDS = ("python", "waiting")


class Items(Dataset[tuple[Tensor, int]]):
    """Images of 28 x 28 bytes."""

    def __init__(self, kind: str) -> None:
        self.kind = kind
        self.images = np.random.default_rng(0).integers(0, 256, (SIZE, 28, 28), dtype=np.uint8)

    def __len__(self) -> int:
        return SIZE

    def __getitem__(self, i: int) -> tuple[Tensor, int]:
        if self.kind == "waiting":
            time.sleep(WAIT_S)
            return torch.from_numpy(self.images[i]).float(), i % 10
        return torch.from_numpy(self.images[i]).float().div(255).sub(0.286).div(0.353), i % 10


def mlp() -> nn.Module:
    """203,530 parameters."""
    return nn.Sequential(nn.Flatten(), nn.Linear(784, 256), nn.ReLU(), nn.Linear(256, 10))


def rate(kind: str, workers: int, loaders: int, updates: int, out: str) -> float:
    result = fit(
        mlp, Items(kind), workers=workers, loaders=loaders, updates=updates, batch_size=BATCH_SIZE, lr=0.001,
        algorithm="shifted", eval_every=0, ckpt_every=0, out=out, name="run", overwrite=True, quiet=True,
    )  # fmt: skip
    return float(result.summary["samples_per_s"])


def main(argv: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser("python -m bench.loading", description=__doc__)
    parser.add_argument("--updates", type=int, default=2000, metavar="N", help="of each run (2000)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="turns of each run (3)")
    options = parser.parse_args(argv)
    best: dict[tuple[Any, ...], float] = {}
    with tempfile.TemporaryDirectory() as out:
        for _ in range(options.rounds):
            for plan in ((kind, *plan) for kind in KINDS for plan in PLANS):
                best[plan] = max(best.get(plan, 0.0), rate(*plan, options.updates, out))
    print("| reading | workers | loaders | samples/s | over no loaders | over 2 workers without |")
    print("| --- | --- | --- | --- | --- | --- |")
    for (kind, workers, loaders), found in best.items():
        own, two = best[kind, workers, 0], best[kind, 2, 0]
        print(f"| {kind} | {workers} | {loaders} | {found:,.0f} | {found / own:.2f} | {found / two:.2f} |")


if __name__ == "__main__":
    main()
