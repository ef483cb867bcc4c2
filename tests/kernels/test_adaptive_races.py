"""Adaptive rules under concurrent pushes: the bounds of a step, and no lost square under atomic and striped access."""

from __future__ import annotations

import math
import multiprocessing

import pytest
import torch

from hogwild.kernels import Push
from hogwild.kernels.control import Control
from hogwild.rules import Access, Adagrad, Momentum, RMSprop

N, PUSHES, WORKERS = 40_009, 60, 2
SEGMENTS = [(0, N)]
WAIT_S = 60.0
BOUNDS: list[tuple[Momentum, float]] = [  # of |step| / lr, whatever others write to q
    (Adagrad(), 1.0),
    (RMSprop(beta2=0.9, eps=1e-12, eps_inside=False), 1 / math.sqrt(1 - 0.9)),
    (RMSprop(beta2=0.9, eps=1e-12), 1 / math.sqrt(1 - 0.9)),
]


def step_alone(rank: int, momentum: Momentum, q: torch.Tensor, largest: torch.Tensor, barrier: object) -> None:
    """Pushes onto an own x with the shared q, so that the movement of x is this worker's own step."""
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(rank)
    x = torch.zeros(N)
    push = Push(x=x, q=q, segments=SEGMENTS, momentum=momentum)
    barrier.wait(WAIT_S)  # type: ignore[attr-defined]
    for pushes in range(PUSHES):
        g = torch.randn(N, generator=generator) * 10.0 ** (rank - pushes % 3)
        x.zero_()
        push([g], lr=1.0, pushes=pushes, lr_max=1.0)
        largest[rank] = max(float(largest[rank]), float(x.abs().max()))


@pytest.mark.parametrize(("momentum", "bound"), BOUNDS)
def test_no_step_of_racing_processes_is_longer_than_its_bound(momentum, bound):
    context = multiprocessing.get_context("fork")
    q, largest = torch.zeros(N).share_memory_(), torch.zeros(WORKERS).share_memory_()
    barrier = context.Barrier(WORKERS)
    processes = [
        context.Process(target=step_alone, args=(rank, momentum, q, largest, barrier)) for rank in range(WORKERS)
    ]
    for process in processes:
        process.start()
    for process in processes:
        process.join(WAIT_S)
        assert process.exitcode == 0
    assert bool((largest > 0.5 * bound).all()), "the bound is nearly met by the first push"
    assert bool((largest <= bound * (1 + 1e-5)).all()), largest


def add_ones(push: Push, count: int, barrier: object) -> None:
    barrier.wait(WAIT_S)  # type: ignore[attr-defined]
    for pushes in range(count):
        push([torch.ones(N)], lr=0.0, pushes=pushes, lr_max=1.0)


@pytest.mark.parametrize("access", [Access.ATOMIC, Access.STRIPED])
def test_no_square_is_lost(access):
    """Sums of ones are exact: Adagrad's q counts the pushes of both processes."""
    context = multiprocessing.get_context("fork")
    stripes = -(-N // 4096)
    memory = torch.zeros(Control.bytes(1, stripes) + 128, dtype=torch.uint8).share_memory_()
    control = Control(-(-memory.data_ptr() // 128) * 128, 1, stripes, True)
    q, x, barrier = torch.zeros(N).share_memory_(), torch.zeros(N).share_memory_(), context.Barrier(WORKERS)
    locks = {"stripes": control.stripe_locks, "n_stripes": stripes} if access is Access.STRIPED else {}
    push = Push(x=x, q=q, segments=SEGMENTS, momentum=Adagrad(), access=access, **locks)
    processes = [context.Process(target=add_ones, args=(push, 200, barrier)) for _ in range(WORKERS)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(WAIT_S)
        assert process.exitcode == 0
    assert bool((q == 200 * WORKERS).all())
