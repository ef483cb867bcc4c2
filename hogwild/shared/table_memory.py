"""The memory of tables: for each its rows, the state of its rule and its row versions, as named buffers of the arena.

    table:<name>            x [rows, dim]
    table-<state>:<name>    by the rule and the kind of decay (hogwild.tables.table_state)
    table-version:<name>    [rows] int32, the pushes that touched each row
    table-counts            [workers, COLUMNS] float64: what each worker has counted (COUNTS), and rows by their delay

All of them exist once, for all workers. No worker keeps anything of the size of a table.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from hogwild.buffers import Scope
from hogwild.shared.arena import Arena
from hogwild.shared.embeddings import tables_of
from hogwild.shared.layout import BufferSpec
from hogwild.tables import ROW_DELAYS, SparseSgd, State, TableRule, TableSegment, table_state

TABLE, VERSION, COUNTED = "table:", "table-version:", "table-counts"
COUNTS = ("pushes", "rows", "unique_rows", "row_delay_sum", "shared_rows", "step_sq")
"""What a worker counts of its applied pushes (hogwild.tables.SparseStats), in the order of the columns. Behind them
come the ROW_DELAYS places of its `row_delays`."""
COLUMNS = len(COUNTS) + ROW_DELAYS


@dataclass(frozen=True)
class Training:
    """How tables are trained. `factors`: of lr and of the weight decay, one pair a table; none: 1."""

    rule: TableRule = field(default_factory=SparseSgd)
    decay: str = "none"
    weight_decay: float = 0.0
    row_max_norm: float | None = None
    factors: tuple[tuple[float, float], ...] = ()

    @property
    def catches_up(self) -> bool:
        """Whether a row that a push does not touch owes something until it is read: see SparsePush.catch_up."""
        return self.rule.catches_up or self.decay == "catch-up"


@dataclass(frozen=True)
class Tables:
    """The tables of a model, by the names of their parameters, [rows, dim] each. Falsy if there are none."""

    shapes: Mapping[str, tuple[int, int]]
    training: Training

    @classmethod
    def of(cls, module: nn.Module, training: Training | None = None) -> Tables:
        shapes = {name: (weight.shape[0], weight.shape[1]) for name, weight in tables_of(module).items()}
        return cls(shapes, training or Training())

    def __bool__(self) -> bool:
        return bool(self.shapes)

    @property
    def elements(self) -> int:
        return sum(rows * dim for rows, dim in self.shapes.values())

    def specs(self, workers: int, dtype: torch.dtype) -> Iterator[BufferSpec]:
        """The buffers in the arena."""
        if not self:
            return
        for name, (rows, dim) in self.shapes.items():
            yield BufferSpec(TABLE + name, Scope.SHARED, rows * dim, dtype)
            yield BufferSpec(VERSION + name, Scope.SHARED, rows, torch.int32)
            for key, state in self._state(name).items():
                kind = dtype if state.dtype is None else getattr(torch, state.dtype)
                yield BufferSpec(_place(key, name), Scope.SHARED, torch.Size(state.shape).numel(), kind)
        yield BufferSpec(COUNTED, Scope.SHARED, workers * COLUMNS, torch.float64)

    def start(self, arena: Arena, module: nn.Module) -> None:
        """Writes the module's weights into the tables of a new arena, and the start values of their state."""
        for name, weight in tables_of(module).items():
            self.table(arena, name).copy_(weight.detach())
            for key, state in self._state(name).items():
                if state.starts:
                    arena.tensor(_place(key, name)).fill_(state.starts)

    def bind(self, arena: Arena, module: nn.Module) -> None:
        """Makes the tables the memory of the module's weights, without a copy and for the whole run."""
        for name, weight in tables_of(module).items():
            weight.data = self.table(arena, name)
            weight.grad = None

    def table(self, arena: Arena, name: str) -> Tensor:
        """x [rows, dim]"""
        return arena.tensor(TABLE + name).view(self.shapes[name])

    def versions(self, arena: Arena, name: str) -> Tensor:
        """[rows] int32"""
        return arena.tensor(VERSION + name)

    def counts(self, arena: Arena) -> Tensor:
        """[workers, COLUMNS] float64"""
        return arena.tensor(COUNTED).view(-1, COLUMNS)

    def saved(self, arena: Arena) -> dict[str, Tensor]:
        """All that a checkpoint has of the tables besides x and the counts, by the names of the buffers."""
        names = [_place(key, name) for name in self.shapes for key in self._state(name)]
        return {name: arena.tensor(name) for name in [*names, *(VERSION + name for name in self.shapes)]}

    def segments(self, arena: Arena) -> list[TableSegment]:
        """The tables as a push takes them."""
        factors = self.training.factors or ((1.0, 1.0),) * len(self.shapes)
        return [
            TableSegment(
                self.table(arena, name),
                {k: arena.tensor(_place(k, name)).view(state.shape) for k, state in self._state(name).items()},
                self.versions(arena, name),
                lr_factor=lr,
                decay_factor=decay,
                name=name,
            )
            for name, (lr, decay) in zip(self.shapes, factors, strict=True)
        ]

    def _state(self, name: str) -> dict[str, State]:
        return table_state(self.training.rule, self.training.decay, *self.shapes[name])


def _place(state: str, name: str) -> str:
    return f"table-{state}:{name}"
