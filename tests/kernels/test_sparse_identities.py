"""Sparse pushes where others compute the same: torch's optimizers, and the dense push of the densified gradient."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from row_cases import RULES, copied, memory, segment
from torch import Tensor

from hogwild.kernels import Push, SparsePush
from hogwild.rules import Adagrad, HeavyBall, Momentum
from hogwild.tables import SparseAdagrad, SparseAdam, SparseMomentum, SparseSgd, TableRule

ROWS, DIM, PUSHES = 53, 9, 12


def batches(seed: int = 0, dtype: torch.dtype = torch.float64) -> list[tuple[Tensor, Tensor]]:
    """Rows with duplicates, and rows that are hot."""
    generator = torch.Generator().manual_seed(seed)
    made = []
    for t in range(PUSHES):
        rows = torch.randint(ROWS, (20 + t,), generator=generator) // (1 + t % 4)
        made.append((rows, torch.randn(len(rows), DIM, generator=generator, dtype=dtype)))
    return made


def start(dtype: torch.dtype = torch.float64) -> Tensor:
    return torch.randn(ROWS, DIM, generator=torch.Generator().manual_seed(99), dtype=dtype)


def dense(rows: Tensor, values: Tensor) -> Tensor:
    return torch.zeros(ROWS, DIM, dtype=values.dtype).index_add_(0, rows, values)


@pytest.mark.filterwarnings("ignore:Sparse invariant checks are implicitly disabled")  # by torch.optim.Adagrad itself
@pytest.mark.parametrize(
    ("rule", "optimizer", "options", "tolerance"),
    [
        (SparseSgd(), torch.optim.SGD, {}, 1e-13),
        (SparseAdagrad(1e-3), torch.optim.Adagrad, {"eps": 1e-3}, 1e-13),
        (SparseAdagrad(1e-3, 0.2), torch.optim.Adagrad, {"eps": 1e-3, "initial_accumulator_value": 0.2}, 1e-13),
        (SparseAdam(0.8, 0.9, 1e-12), torch.optim.SparseAdam, {"betas": (0.8, 0.9), "eps": 1e-12}, 1e-9),
    ],
    ids=str,
)
def test_one_worker_equals_torch(
    rule: TableRule, optimizer: type[torch.optim.Optimizer], options: dict[str, Any], tolerance: float
):
    table = segment(start(), rule)
    parameter = torch.nn.Parameter(start())
    theirs = optimizer([parameter], lr=0.05, **options)  # type: ignore[call-arg]
    ours = SparsePush([table], rule)
    for pushes, (rows, values) in enumerate(batches()):
        ours([(rows, values)], lr=0.05, pushes=pushes)
        parameter.grad = torch.sparse_coo_tensor(rows[None], values, (ROWS, DIM), check_invariants=False)
        theirs.step()
    assert torch.allclose(table.x, parameter.detach(), rtol=tolerance, atol=tolerance)


@pytest.mark.parametrize(
    ("rule", "momentum"),
    [
        (SparseSgd(), None),
        (SparseAdagrad(1e-10), Adagrad()),
        (SparseMomentum(0.9, catch_up=True), HeavyBall(0.9)),
    ],
    ids=str,
)
def test_equals_the_dense_push(rule: TableRule, momentum: Momentum | None):
    """With all rows caught up; SGD also under weight decay of kind catch-up, and a schedule of lr."""
    decays = [("none", 0.0)] + ([("catch-up", 0.4)] if momentum is None else [])
    for decay, weight_decay in decays:
        lrs = [0.05 / (1 + pushes % 3 if decay == "catch-up" else 1) for pushes in range(PUSHES)]
        table = segment(start(), rule, decay)
        ours = SparsePush([table], rule, decay=decay, weight_decay=weight_decay)
        buffers = {
            name: torch.zeros(ROWS * DIM, dtype=torch.float64) for name in (momentum.buffers if momentum else ())
        }
        x = start().flatten()
        push = Push(x=x, segments=[(0, x.numel())], momentum=momentum, **buffers)
        for pushes, ((rows, values), lr) in enumerate(zip(batches(1), lrs, strict=True)):
            ours([(rows, values)], lr=lr, pushes=pushes)
            grads = [dense(rows, values).flatten()]
            push(grads, lr=lr, pushes=pushes, lr_max=0.05, weight_decay=weight_decay, first_step=pushes == 0)
        ours.catch_up(lr=0.05, pushes=PUSHES)
        assert torch.allclose(table.x.flatten(), x, rtol=1e-12, atol=1e-13)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_order_of_different_rows_does_not_matter(rule: TableRule, dtype: torch.dtype):
    table = segment(start(dtype), rule)
    twin = copied(table)
    generator = torch.Generator().manual_seed(5)
    for pushes in range(3):
        rows = torch.randperm(ROWS, generator=generator)[:31]
        values = torch.randn(31, DIM, generator=generator, dtype=dtype)
        order = torch.randperm(31, generator=generator)
        SparsePush([table], rule)([(rows, values)], lr=0.1, pushes=pushes)
        SparsePush([twin], rule)([(rows[order], values[order])], lr=0.1, pushes=pushes)
    for name, tensor in memory(table).items():
        assert torch.equal(tensor, memory(twin)[name]), name


def test_duplicates_are_added_in_order_of_occurrence():
    """In float32 the order decides: (1e8 + -1e8) + 1 is 1, and 1e8 + (-1e8 + 1) is 0."""
    for values, sum_of_row in (([1e8, -1e8, 1.0], 1.0), ([1e8, 1.0, -1e8], 0.0)):
        table = segment(torch.zeros(2, 1), SparseSgd())
        SparsePush([table], SparseSgd())(
            [(torch.ones(3, dtype=torch.int64), torch.tensor(values)[:, None])], lr=1.0, pushes=0
        )
        assert table.x.tolist() == [[0.0], [-sum_of_row]]


def test_gradients_of_autograd():
    """A bag with weights, means and padding, used twice: uncoalesced gradients as autograd makes them."""
    generator = torch.Generator().manual_seed(8)
    bag = torch.nn.EmbeddingBag(ROWS, DIM, sparse=True, mode="mean", padding_idx=3).double()
    one = torch.nn.Embedding.from_pretrained(bag.weight.detach(), freeze=False, sparse=True)
    one.weight = bag.weight
    table = segment(bag.weight.detach().clone(), SparseSgd())
    loss = torch.zeros((), dtype=torch.float64)
    for _ in range(2):
        words = torch.randint(ROWS, (6, 5), generator=generator)
        loss = loss + bag(words).square().sum() + one(words).pow(3).sum()
    loss.backward()
    grad = bag.weight.grad
    assert grad is not None
    assert grad.is_sparse
    assert not grad.is_coalesced()
    SparsePush([table], SparseSgd())([(grad._indices()[0], grad._values())], lr=0.1, pushes=0)
    assert torch.allclose(table.x, bag.weight.detach() - 0.1 * grad.to_dense(), rtol=1e-13)
