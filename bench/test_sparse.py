"""Sparse pushes into a table on one thread, against torch's optimizers on the same uncoalesced gradients, and against a
bare loop over the same rows, the bound of SGD: it reads and writes the same bytes in the same order, and does no more.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable
from dataclasses import dataclass

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture
from torch import Tensor

from bench.loops import Loops, NoCompilerError
from bench.scale import SCALE
from bench.targets import BARE
from bench.timing import interleave, seconds_per_call
from hogwild.kernels import SparsePush
from hogwild.tables import RowAdagrad, SparseAdagrad, SparseAdam, SparseSgd, TableRule, TableSegment, table_state

LR, EPS, BETAS = 1e-3, 1e-10, (0.9, 0.999)
BATCHES = 64
TOLERANCE = 1e-4
OURS: dict[str, TableRule] = {
    "SGD": SparseSgd(),
    "row Adagrad": RowAdagrad(),
    "Adagrad": SparseAdagrad(EPS),
    "Adam": SparseAdam(*BETAS),
}
TORCH: dict[str, type[torch.optim.Optimizer]] = {
    "torch SGD": torch.optim.SGD,
    "torch Adagrad": torch.optim.Adagrad,
    "torch SparseAdam": torch.optim.SparseAdam,
}


@dataclass
class Point:
    """One table with one v and one q, which all contestants use in turn, and uniform batches of k rows."""

    x: Tensor
    v: Tensor
    q: Tensor
    row_q: Tensor
    versions: Tensor
    batches: list[tuple[Tensor, Tensor]]

    @classmethod
    def of(cls, rows: int, dim: int, k: int) -> Point:
        generator = torch.Generator().manual_seed(0)
        batches = [
            (torch.randint(rows, (k,), generator=generator), torch.randn(k, dim, generator=generator))
            for _ in range(BATCHES)
        ]
        return cls(
            torch.randn(rows, dim, generator=generator),
            torch.zeros(rows, dim),
            torch.full((rows, dim), 1.0),
            torch.full((rows,), 1.0),
            torch.zeros(rows, dtype=torch.int32),
            batches,
        )

    def ours(self, rule: TableRule) -> Callable[[], object]:
        memory = {"v": self.v, "q": self.row_q if rule.row_wise else self.q}
        state = {name: memory[name] for name in table_state(rule, "none", *self.x.shape)}
        push = SparsePush([TableSegment(self.x, state, self.versions)], rule)
        batches, pushes = itertools.cycle(self.batches), itertools.count(1000)
        return lambda: push([next(batches)], lr=LR, pushes=next(pushes))

    def bare(self) -> dict[str, Callable[[], object]]:
        """The bare loop, if there is a compiler."""
        try:
            return {BARE: Loops.build().table_rows(self.x, self.versions, self.batches, LR)}
        except NoCompilerError:
            return {}

    def theirs(self, kind: type[torch.optim.Optimizer]) -> Callable[[], object]:
        parameter = torch.nn.Parameter(self.x)
        optimizer = kind([parameter], lr=LR)  # type: ignore[call-arg]
        if kind is torch.optim.Adagrad:
            optimizer.state[parameter] = {"step": torch.tensor(1000.0), "sum": self.q}
        if kind is torch.optim.SparseAdam:
            optimizer.state[parameter] = {"step": 1000, "exp_avg": self.v, "exp_avg_sq": self.q}
        grads = itertools.cycle(
            [
                torch.sparse_coo_tensor(rows[None], values, self.x.shape, check_invariants=False)
                for rows, values in self.batches
            ]
        )

        def step() -> None:
            parameter.grad = next(grads)
            optimizer.step()

        return step


def check(rule: TableRule, kind: type[torch.optim.Optimizer]) -> None:
    """Both make the same steps, on a small table."""
    points = [Point.of(100, 5, 70) for _ in range(2)]
    ours, theirs = points[0].ours(rule), points[1].theirs(kind)
    for _ in range(3):
        ours()
        theirs()
    torch.testing.assert_close(points[0].x, points[1].x, rtol=TOLERANCE, atol=TOLERANCE)


@pytest.mark.benchmark(group="sparse push")
@pytest.mark.parametrize("point", SCALE.sparse_points)
def test_against_torch(benchmark: BenchmarkFixture, point: str) -> None:
    for name, kind in TORCH.items():
        check(OURS[name.removeprefix("torch ").removeprefix("Sparse")], kind)
    rows, dim, k = SCALE.sparse_points[point]
    at = Point.of(rows, dim, k)
    calls = {name: at.ours(rule) for name, rule in OURS.items()} | {n: at.theirs(kind) for n, kind in TORCH.items()}
    calls |= at.bare()
    turns = {name: seconds_per_call(call, SCALE.sparse_pushes) for name, call in calls.items()}
    benchmark.extra_info["sparse"] = point
    benchmark.extra_info["rows"] = k
    benchmark.extra_info["seconds"] = interleave(benchmark, turns, SCALE.sparse_rounds)
