"""Sparse pushes of two processes into one table: nothing is lost under atomic and striped access, racing works."""

from __future__ import annotations

import multiprocessing

import pytest
import torch
from row_cases import segment

from hogwild.kernels import SparsePush
from hogwild.kernels.control import Control
from hogwild.rules import Access, Guard
from hogwild.tables import RowAdagrad, SparseAdagrad, SparseAdam, SparseMomentum, SparseSgd, TableRule, TableSegment

ROWS, DIM, PUSHES, WORKERS = 37, 65, 400, 2
WAIT_S = 60.0


def add_values(push: SparsePush, lr: float, value: float, rank: int, barrier: object) -> None:
    torch.set_num_threads(1)
    generator = torch.Generator().manual_seed(rank)
    barrier.wait(WAIT_S)  # type: ignore[attr-defined]
    for pushes in range(PUSHES):
        rows = torch.randperm(ROWS, generator=generator)
        push([(rows, torch.full((ROWS, DIM), value))], lr=lr, pushes=pushes)


def run_two(push: SparsePush, lr: float, value: float = 1.0) -> None:
    context = multiprocessing.get_context("fork")
    barrier = context.Barrier(WORKERS)
    processes = [context.Process(target=add_values, args=(push, lr, value, rank, barrier)) for rank in range(WORKERS)]
    for process in processes:
        process.start()
    for process in processes:
        process.join(WAIT_S)
        assert process.exitcode == 0


def shared_table(rule: TableRule) -> TableSegment:
    table = segment(torch.zeros(ROWS, DIM).share_memory_(), rule)
    for tensor in (*table.state.values(), table.row_version):
        assert tensor is not None
        tensor.share_memory_()
    return table


def locks(stripes: int) -> tuple[dict[str, int], torch.Tensor]:
    """The arguments, and the memory of the locks."""
    memory = torch.zeros(Control.bytes(1, stripes) + 128, dtype=torch.uint8).share_memory_()
    control = Control(-(-memory.data_ptr() // 128) * 128, 1, stripes, True)
    return {"stripes": control.stripe_locks, "n_stripes": stripes}, memory


@pytest.mark.parametrize("access", [Access.ATOMIC, Access.STRIPED])
def test_no_step_and_no_version_is_lost(access):
    """Sums of ones are exact: x and the row versions count the pushes of both processes."""
    place, memory = locks(3) if access is Access.STRIPED else ({}, None)
    table = shared_table(SparseSgd())
    run_two(SparsePush([table], SparseSgd(), access=access, **place), lr=1.0)
    assert bool((table.x == -PUSHES * WORKERS).all())
    assert table.row_version is not None
    assert bool((table.row_version == PUSHES * WORKERS).all())
    del memory


@pytest.mark.parametrize("access", [Access.ATOMIC, Access.STRIPED])
@pytest.mark.parametrize("rule", [RowAdagrad(), SparseAdagrad()], ids=str)
def test_no_square_is_lost(rule, access):
    place, memory = locks(3) if access is Access.STRIPED else ({}, None)
    table = shared_table(rule)
    run_two(SparsePush([table], rule, access=access, **place), lr=0.1)
    assert bool((table.state["q"] == PUSHES * WORKERS).all())
    del memory


@pytest.mark.parametrize("rule", [SparseSgd(), SparseMomentum(0.5), RowAdagrad(), SparseAdam()], ids=str)
def test_racing_processes_do_not_fail(rule):
    """Losses are allowed, values from nowhere are not: x is between no step and all steps."""
    table = shared_table(rule)
    run_two(SparsePush([table], rule, guard=Guard.ELEMENT), lr=1.0)
    assert bool(table.x.isfinite().all() and (table.x < 0).all())
    if isinstance(rule, SparseSgd):
        assert bool((table.x >= -PUSHES * WORKERS).all())


def test_a_backlog_is_taken_once():
    """x decays once for each push of both processes, whichever of them takes the backlog of a row."""
    rule = SparseSgd()
    table = segment(torch.ones(ROWS, DIM).share_memory_(), rule, "catch-up")
    for tensor in table.state.values():
        tensor.share_memory_()
    push = SparsePush([table], rule, access=Access.ATOMIC, decay="catch-up", weight_decay=1e-3)
    run_two(push, lr=1.0, value=1e-30)
    push.catch_up(lr=1.0, pushes=PUSHES * WORKERS)
    assert torch.allclose(table.x, torch.tensor((1 - 1e-3) ** (PUSHES * WORKERS)), rtol=1e-4)
