"""Random numbers that depend on a seed and on the place in a run where they are drawn, and on nothing else.

The global generators of torch, NumPy and Python belong to the caller: what seeds them does so inside `own_generators`,
or in a worker process.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.random  # here, in the fork server: every worker would load it by itself
import torch
from torch import Tensor

_MIX = 0x9E3779B97F4A7C15  # odd: multiplying by it permutes the 64-bit seeds
MASK = (1 << 63) - 1


def mixed(seed: int, number: int) -> int:
    """A different seed for each `number`, 0 <= result < 2^63."""
    return ((seed + 1) * _MIX + number * 0xD1B54A32D192ED03) & MASK


def seed_batch(seed: int, ticket: int) -> None:
    """Sets torch's default generators, CPU and GPU, to the state that belongs to a batch (augmentation, dropout)."""
    torch.default_generator.manual_seed(mixed(seed, ticket))
    if torch.cuda.is_initialized():  # type: ignore[no-untyped-call]
        torch.cuda.manual_seed_all(mixed(seed, ticket))


def seed_others(part: int = 0) -> None:
    """Sets the generators of Python and NumPy to a state that torch's generator and `part` determine, so that the batch
    determines the random numbers of all three.
    """
    seed = mixed(torch.initial_seed(), part) if part else torch.initial_seed()
    random.seed(seed)
    np.random.seed(seed % (1 << 32))


def seed_all(seed: int) -> None:
    """Sets the global generators of torch (GPUs included), NumPy and Python to the state that belongs to `seed`."""
    torch.manual_seed(seed)
    np.random.seed(seed % (1 << 32))
    random.seed(seed)


@contextlib.contextmanager
def own_generators(seed: int | None = None) -> Iterator[None]:
    """While the context lasts, the global generators of torch (GPUs included), NumPy and Python may be seeded and drawn
    from at will; at its end they are as they were at its beginning. They begin at `seed`; None: where they are.
    """
    states = States.now()
    had_gpus = torch.cuda.is_initialized()  # type: ignore[no-untyped-call]
    gpu_states = torch.cuda.get_rng_state_all() if had_gpus else []
    try:
        if seed is not None:
            seed_all(seed)
        yield
    finally:
        states.set()
        if had_gpus:
            torch.cuda.set_rng_state_all(gpu_states)
        elif torch.version.cuda is not None:  # GPUs have got no seed but the last one of torch.manual_seed
            torch.cuda.manual_seed_all(torch.initial_seed())


class Generators:
    """Random numbers of their own for code that draws from the global generators of torch, NumPy and Python: they begin
    at `seed` and go on where they were at each entry of this context.
    """

    def __init__(self, seed: int) -> None:
        self._seed: int | None = seed
        self._states = States.now()

    def __enter__(self) -> None:
        self._before = States.now()
        if self._seed is not None:
            seed_all(self._seed)
            self._seed = None
        else:
            self._states.set()

    def __exit__(self, *_: object) -> None:
        self._states = States.now()
        self._before.set()


@dataclass(frozen=True)
class States:
    """The global generators of torch (on the CPU), NumPy and Python at one moment."""

    torch: Tensor
    numpy: Any
    python: Any

    @classmethod
    def now(cls) -> States:
        return cls(torch.get_rng_state(), np.random.get_state(), random.getstate())

    def set(self) -> None:
        """The generators go on from here."""
        torch.set_rng_state(self.torch)
        np.random.set_state(self.numpy)
        random.setstate(self.python)

    def equals(self, other: States) -> bool:
        alike = all(np.array_equal(a, b) for a, b in zip(self.numpy, other.numpy, strict=True))
        return alike and self.python == other.python and torch.equal(self.torch, other.torch)


def draw(seed: int, rank: int, step: int, count: int) -> int:
    """A worker's random choice from range(count), a function of seed, rank and step of the worker."""
    number = mixed(mixed(seed, rank), step)
    number = (number ^ number >> 30) * 0xBF58476D1CE4E5B9 & MASK
    return ((number ^ number >> 27) * 0x94D049BB133111EB & MASK) % count
