"""Scripts as users have them, run in processes of their own."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import warm

ROOT = Path(__file__).parents[2]
TIMEOUT_S = 120

MINE = """
import sys

import torch
from torch import nn

import hogwild


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.norm, self.last = nn.Linear(6, 8), nn.BatchNorm1d(8), nn.Linear(8, 2)

    def forward(self, x):
        return self.last(self.norm(self.first(x)).relu())


def samples(count):
    x = torch.randn(count, 6, generator=torch.Generator().manual_seed(count))
    return x, (x.sum(1) > 0).long()


def data():
    return samples(99), samples(50)


def fewer():
    return samples(77), samples(50)


def smoothed(output, target):
    return nn.functional.cross_entropy(output, target, label_smoothing=0.1)


def share(output, target):
    return (output.argmax(1) == target).sum().item(), len(target)


OPTIONS = {"workers": 1, "batch_size": 11, "lr": 0.05, "momentum": 0.9, "schedule": "cosine", "warmup": 0.1}
"""


def write(path: Path, call: str) -> Path:
    """The script MINE, with that call under the guard."""
    body = "\n".join(f"    {line}" for line in call.strip().splitlines())
    path.write_text(f'{MINE}\n\nif __name__ == "__main__":\n{body}\n')
    return path


def run(
    *command: object, cwd: Path | None = None, code: int | None = 0, cold: bool = False
) -> subprocess.CompletedProcess[str]:
    """Runs Python with these arguments. `cold`: in a new interpreter."""
    start = subprocess.run if cold else warm.run
    done: subprocess.CompletedProcess[str] = start(
        [sys.executable, *map(str, command)], cwd=cwd, capture_output=True, text=True, timeout=TIMEOUT_S
    )
    assert code is None or done.returncode == code, done.stderr
    return done
