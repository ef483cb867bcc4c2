"""The tables in a worker's view: what its batch has looked up, and the push of its sparse gradients.

A gradient has two parts. The algorithm gets the dense one, in the order of the layout; the rows of tables wait here,
and go with the next push onto the master, under the same begin and end, scaled and clipped as one vector with the dense
part, and refused together with it.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from hogwild.algorithms.base import Gradients
from hogwild.drivers.job.tables import is_dense, sparse_push
from hogwild.drivers.view.buffers import Buffers
from hogwild.kernels import SparsePush
from hogwild.rules import Guard
from hogwild.shared.embeddings import table_layers, tables_of
from hogwild.shared.table_memory import COUNTS
from hogwild.shared.world import World
from hogwild.tables import RowScan, SparseGradient, SparseStats

LOOKUPS = 4096  # that are remembered for each table, should a loop of the user's own make many and push none


class TablePart:
    """The tables' part of a worker's pushes. Falsy unless a gradient waits.

    Mutates the tables, their state and their row versions, through the kernel alone and under the access policy of the
    run; and this worker's row of the counts.
    """

    def __init__(self, buffers: Buffers, guard: Guard) -> None:
        self._buffers, self._guard = buffers, guard
        self._push: SparsePush | None = None
        self._waiting: list[SparseGradient | None] = []
        self._seen: list[Tensor | None] = []

    def __bool__(self) -> bool:
        return bool(self._waiting)

    def give(self, gradients: list[SparseGradient | None], seen: list[Tensor | None]) -> None:
        """The sparse gradients of a batch, one a table, in place of those that wait. `seen`: the row versions when the
        batch looked them up, one for each of its rows.
        """
        self._waiting, self._seen = gradients, seen

    def scan(self) -> RowScan:
        """The norm of what waits, and its elements that are not finite. ValueError for a row that there is not."""
        if self._push is None:
            world = self._buffers.world
            self._push = sparse_push(world, self._buffers.access, self._guard)
            counted = world.tables.counts(world.arena)[self._buffers.rank]
            self._counted = counted if counted.is_cuda else counted.numpy()  # NumPy adds in a quarter of the time
        return self._push.norm_sq(self._waiting)

    def push(self, *, lr: float, version: int, scale: float) -> SparseStats:
        """Pushes what `scan` has seen, as the update after `version`, and counts it. Nothing waits afterwards."""
        assert self._push is not None, "what waits is scanned before it is pushed"
        stats = self._push(None, lr=lr, pushes=version, scale=scale, seen=self._seen)
        moved = sum(2 * values.nbytes for _, values in filter(None, self._waiting))  # read for the batch, and pushed
        self._buffers.traffic.moved_bytes += moved
        self._buffers.took_over(stats.recovered)
        counted = (1, *(getattr(stats, name) for name in COUNTS[1:]))
        if any(versions is not None for versions in self._seen):
            counted += tuple(stats.row_delays)
        if isinstance(self._counted, Tensor):
            self._counted[: len(counted)] += torch.tensor(counted, dtype=torch.float64, device=self._counted.device)
        else:
            self._counted[: len(counted)] += counted
        self.drop()
        return stats

    def drop(self) -> None:
        """Nothing waits any more: the gradient was refused, dropped or given up."""
        self._waiting, self._seen = [], []


def clip_factor(clip: float, scale: float, dense: Gradients, rows: RowScan) -> float:
    """min(1, clip / norm) for the norm of dense and sparse gradients together, times |scale|; 1 if `clip` is 0."""
    if not clip:
        return 1.0
    norms = [float(torch.linalg.vector_norm(g, dtype=torch.float64)) for g in dense if g is not None]
    norm = abs(scale) * math.hypot(*norms, math.sqrt(rows.norm_sq))
    return clip / norm if clip < norm < math.inf else 1.0


class Lookups:
    """Watches the tables of a module in training: remembers the version of each row that a forward pass looks up, and
    takes the sparse gradients of a backward pass. Without tables it does nothing.

    Only the lookups of every `every`-th batch are watched; the push of another one tells nothing of row delays. A
    lookup past the module (F.embedding of its weight) is not seen: its rows count as read at the push.
    """

    def __init__(self, module: nn.Module, world: World, every: int = 1) -> None:
        self._module = module
        self._weights = tables_of(module)
        self._names = {id(weight): name for name, weight in self._weights.items()}
        self._versions = {name: world.tables.versions(world.arena, name) for name in self._weights}
        self._read: dict[str, deque[tuple[Tensor, Tensor]]] = {name: deque(maxlen=LOOKUPS) for name in self._weights}
        self._every, self._batches, self._watches = every, 0, True
        for _, layer in table_layers(module):
            layer.register_forward_pre_hook(self._before, with_kwargs=True)

    def begin(self) -> None:
        """Another batch begins."""
        self._forget()
        self._watches = self._batches % self._every == 0
        self._batches += 1

    def drop(self) -> None:
        """Forgets all lookups, and takes gradients of the tables from the module: nothing comes of this batch."""
        self._forget()
        for weight in self._weights.values():
            weight.grad = None

    def has_gradients(self) -> bool:
        """Whether a table of the module has a gradient."""
        return any(weight.grad is not None for weight in self._weights.values())

    def take(self, part: TablePart) -> None:
        """Gives the gradients of the tables to `part`, and takes them from the module.

        UsageError, naming the layer, for a gradient that is dense.
        """
        if not self._weights:
            return
        gradients: list[SparseGradient | None] = []
        seen: list[Tensor | None] = []
        for name, weight in self._weights.items():
            g, weight.grad = weight.grad, None
            if g is None:
                gradients.append(None)
                seen.append(None)
                continue
            if g.layout is not torch.sparse_coo:
                raise is_dense(self._module, name)
            rows = g._indices()[0]
            gradients.append((rows, g._values()))
            seen.append(self._seen(name, rows) if self._watches else None)
        self._forget()
        part.give(gradients, seen)

    def _forget(self) -> None:
        for read in self._read.values():
            read.clear()

    def _before(self, layer: nn.Module, inputs: Sequence[Any], named: dict[str, Any]) -> None:
        if not (self._watches and torch.is_grad_enabled()):
            return
        found = inputs[0] if inputs else named.get("input")
        if isinstance(found, Tensor):
            name = self._names[id(layer.weight)]
            rows = found.detach().reshape(-1).long()
            self._read[name].append((rows, self._versions[name].index_select(0, rows)))

    def _seen(self, name: str, rows: Tensor) -> Tensor:
        """The version of each of `rows` at its first lookup."""
        read = self._read[name]
        if len(read) == 1 and torch.equal(read[0][0], rows):
            return read[0][1]
        now = self._versions[name].index_select(0, rows)
        if not read:
            return now
        known, versions = (torch.cat(parts) for parts in zip(*read, strict=True))
        known, order = known.sort(stable=True)
        at = torch.searchsorted(known, rows).clamp_(max=len(known) - 1)
        return torch.where(known[at] == rows, versions[order][at], now)
