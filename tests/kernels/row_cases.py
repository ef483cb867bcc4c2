"""Sparse pushes on random tables, run by the kernel and by the oracle; shared by the tests beside it."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from hogwild.kernels import SparsePush
from hogwild.reference import ReferenceSparsePush
from hogwild.tables import (
    Gradients,
    RowAdagrad,
    SparseAdagrad,
    SparseAdam,
    SparseMomentum,
    SparseSgd,
    SparseStats,
    TableRule,
    TableSegment,
    table_state,
)

SHAPES = ((1, 1), (7, 3), (40, 33), (23, 64), (301, 17))
RULES: list[TableRule] = [
    SparseSgd(),
    SparseMomentum(0.9),
    SparseMomentum(0.7, catch_up=True),
    RowAdagrad(1e-3),
    SparseAdagrad(1e-3),
    SparseAdagrad(1e-3, initial=0.1),
    SparseAdam(0.8, 0.95, 1e-3),
]


def segment(x: Tensor, rule: TableRule, decay: str = "none", **factors: float) -> TableSegment:
    """A table with fresh state and row versions."""
    state = {
        name: torch.full(s.shape, s.starts, dtype=getattr(torch, s.dtype) if s.dtype else x.dtype, device=x.device)
        for name, s in table_state(rule, decay, *x.shape).items()
    }
    return TableSegment(x, state, torch.zeros(len(x), dtype=torch.int32, device=x.device), **factors)


def copied(table: TableSegment, device: str = "cpu", dtype: torch.dtype | None = None) -> TableSegment:
    """A copy of a table with all its state; those of its type as `dtype`."""

    def copy(tensor: Tensor) -> Tensor:
        return tensor.to(device, dtype if dtype and tensor.dtype is table.x.dtype else tensor.dtype, copy=True)

    assert table.row_version is not None
    state = {name: copy(tensor) for name, tensor in table.state.items()}
    return TableSegment(copy(table.x), state, copy(table.row_version), table.lr_factor, table.decay_factor)


def memory(table: TableSegment) -> dict[str, Tensor]:
    """All buffers of a table by name."""
    assert table.row_version is not None
    return {"x": table.x, **table.state, "row_version": table.row_version}


@dataclass
class RowCase:
    """Random tables of SHAPES and gradients with duplicates; a push of the kernel beside one of the oracle."""

    rule: TableRule
    dtype: torch.dtype = torch.float64
    values: torch.dtype | None = None
    decay: str = "none"
    device: str = "cpu"
    seed: int = 0
    options: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.generator = torch.Generator().manual_seed(self.seed)
        self.tables = [
            segment(self.random(*shape).to(self.device, self.dtype), self.rule, self.decay, **factors)
            for shape, factors in zip(SHAPES, [{}, {"lr_factor": 0.5, "decay_factor": 3.0}, {}, {}, {}], strict=True)
        ]
        self.expected = [copied(table, dtype=torch.float64) for table in self.tables]
        self.kernel = SparsePush(self.tables, self.rule, decay=self.decay, **self.options)
        oracle_options = {k: v for k, v in self.options.items() if k not in ("access", "stripes", "n_stripes")}
        self.oracle = ReferenceSparsePush(self.expected, self.rule, decay=self.decay, **oracle_options)

    def random(self, *shape: int) -> Tensor:
        return torch.randn(*shape, generator=self.generator, dtype=torch.float64)

    def gradients(self, most: int = 60, least: int = 0) -> list[tuple[Tensor, Tensor] | None]:
        """For each table `least` to `most` rows, few of them different; one table is not touched."""
        idle = int(torch.randint(len(SHAPES), (1,), generator=self.generator))
        grads: list[tuple[Tensor, Tensor] | None] = []
        for k, (rows, dim) in enumerate(SHAPES):
            count = int(torch.randint(least, most + 1, (1,), generator=self.generator))
            at = torch.randint(rows, (count,), generator=self.generator) // (1 + count % 3)
            values = self.random(count, dim).to(self.device, self.values or self.dtype)
            grads.append(None if k == idle else (at.to(self.device), values))
        return grads

    def push(self, grads: Gradients, **scalars: Any) -> tuple[SparseStats, SparseStats]:
        """The reports of the kernel and of the oracle."""
        on_cpu = [None if g is None else (g[0].cpu(), g[1].cpu()) for g in grads]
        told = dict(scalars)
        if (seen := scalars.get("seen")) is not None:
            told["seen"] = [None if versions is None else versions.cpu() for versions in seen]
        return self.kernel(grads, **scalars), self.oracle(on_cpu, **told)

    def check(self, tolerance: float) -> None:
        """Compares all buffers with the oracle's."""
        for k, (table, expected) in enumerate(zip(self.tables, self.expected, strict=True)):
            for name, tensor in memory(table).items():
                want = memory(expected)[name]
                if tensor.is_floating_point():
                    got = tensor.cpu().double()
                    assert torch.allclose(got, want.double(), rtol=tolerance, atol=tolerance), (k, name)
                else:
                    assert torch.equal(tensor.cpu(), want), (k, name)
