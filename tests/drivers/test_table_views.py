"""What two workers' views do to one table, in an order that the test chooses."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor, nn

from hogwild.algorithms import registry
from hogwild.drivers.instruments.tables import summary
from hogwild.drivers.view.tables import Lookups
from hogwild.drivers.view.worker_view import WorkerView
from hogwild.shared.layout import trainable
from hogwild.shared.table_memory import COUNTS, Training
from hogwild.shared.world import World
from hogwild.tables import SparseMomentum

START = [[0.1, -0.2], [0.3, 0.4], [-0.5, 0.6], [0.7, -0.8]]


class Table(nn.Module):
    """A table and, beside it, a dense parameter [2]."""

    def __init__(self) -> None:
        super().__init__()
        self.rows = nn.Embedding(4, 2, sparse=True)
        self.rows.weight.data = torch.tensor(START, dtype=torch.float64)
        self.dense = nn.Parameter(torch.tensor([1.0, -1.0], dtype=torch.float64))


class Worker:
    """Looks rows up and pushes given gradients of them."""

    def __init__(self, world: World, rank: int, every: int = 1, **options: float) -> None:
        self.module = Table()
        world.adopt(self.module, rank)
        self.view = WorkerView(world, rank, world.buffers, **options)
        self.view.lr = 0.1
        self.lookups = Lookups(self.module, world, every)
        self.view.pull()
        world.layout.bind(self.module, self.view.snapshot)

    def read(self, *batches: list[int]) -> None:
        self.lookups.begin()
        self.found = [self.module.rows(torch.tensor(rows, dtype=torch.int32)) for rows in batches]

    def push(self, *values: list[list[float]], dense: list[float] | None = None, scale: float = 1.0) -> None:
        loss = sum((found * torch.tensor(v)).sum() for found, v in zip(self.found, values, strict=True))
        loss = loss + (self.module.dense * torch.tensor(dense or [0.0, 0.0])).sum()
        loss.backward()
        g = [parameter.grad for parameter in trainable(self.module)]
        self.lookups.take(self.view.updates.tables)
        self.view.push(g, scale=lambda _: scale)
        self.module.dense.grad = None


def world(training: Training | None = None) -> World:
    buffers = registry.find("asgd")().keeps()
    return World.create(Table(), buffers, 2, dtype=torch.float64, training=training)


def delays(shared: World) -> list[list[float]]:
    """For each worker: row_delay_sum, shared_rows."""
    return [row[3:5].tolist() for row in shared.tables.counts(shared.arena)]


def test_delays_of_rows_are_those_of_their_lookups():
    shared = world()
    w0, w1 = Worker(shared, 0), Worker(shared, 1)
    w0.read([1, 3, 1])
    w1.read([2, 1])
    w0.push([[0.5, -1.0], [0.25, 0.5], [1.5, 2.0]])
    assert delays(shared) == [[0, 0], [0, 0]]
    w0.read([1, 1, 1, 2])
    w1.push([[0.2, 0.1], [1.0, -1.0]])
    assert delays(shared) == [[0, 0], [1, 1]]
    w0.push([[0.1, 0.2], [0.3, -0.4], [-0.6, 0.5], [1.0, -1.0]])
    assert delays(shared) == [[2, 2], [1, 1]]
    assert shared.tables.versions(shared.arena, "rows.weight").tolist() == [0, 3, 2, 1]
    x = shared.tables.table(shared.arena, "rows.weight")
    torch.testing.assert_close(x[1], torch.tensor([0.02, 0.37], dtype=torch.float64))
    assert x.data_ptr() == w0.module.rows.weight.data_ptr() == w1.module.rows.weight.data_ptr()
    assert shared.control.version == 3


def test_a_row_that_is_looked_up_twice_counts_from_the_first_time():
    """Autograd joins the gradients of two lookups in another order than that of the forward pass."""
    shared = world()
    w0, w1 = Worker(shared, 0), Worker(shared, 1)
    w0.read([1, 3])
    w1.read([3])
    w1.push([[1.0, 1.0]])
    w0.found.append(w0.module.rows(torch.tensor([3, 2])))  # the second lookup of row 3 sees the push
    w0.push([[1.0, 1.0], [1.0, 2.0]], [[1.0, 1.0], [3.0, 4.0]])
    assert delays(shared) == [[1, 1], [0, 0]]


def test_a_lookup_past_the_layer_counts_as_read_at_the_push():
    shared = world()
    w0, w1 = Worker(shared, 0), Worker(shared, 1)
    w0.lookups.begin()
    w0.found = [nn.functional.embedding(torch.tensor([1, 2]), w0.module.rows.weight, sparse=True)]
    w1.read([1])
    w1.push([[1.0, 1.0]])
    w0.push([[1.0, 1.0], [1.0, 1.0]])
    assert delays(shared) == [[0, 0], [0, 0]]
    with torch.no_grad():
        w0.read([1])  # an evaluation is no lookup of the batch
    assert not w0.lookups._read["rows.weight"]


def test_delays_are_those_of_every_so_many_batches():
    shared = world()
    w0, w1 = Worker(shared, 0, every=3), Worker(shared, 1)
    for batch in range(7):
        w0.read([1, 2])
        w1.read([1])
        w1.push([[1.0, 1.0]])
        w0.push([[1.0, 1.0], [1.0, 1.0]])
        watched = batch // 3 + 1
        counted = shared.tables.counts(shared.arena)[0].tolist()
        assert counted[:5] == [batch + 1, 2 * (batch + 1), 2 * (batch + 1), watched, watched]
        assert counted[len(COUNTS) :][:2] == [watched, watched]
    assert not w0.lookups._read["rows.weight"]
    found = summary(shared)
    assert found["unique_rows_per_push"] == 21 / 14
    assert found["row_delay"] == found["shared_rows"] == 3 / (2 * 3 + 7)


@pytest.mark.parametrize("scale", [1.0, 0.5])
def test_the_norm_of_all_parts_is_clipped_before_anything_is_written(scale: float):
    """Dense (3, 0), rows summed (0, 4): a norm of 5, times the scale; each part alone would not be clipped at 4."""
    shared = world()
    w0 = Worker(shared, 0, clip=4.0 * scale)
    w0.read([2, 2])
    w0.push([[0.0, 1.0], [0.0, 3.0]], dense=[3.0, 0.0], scale=scale)
    by = 0.1 * scale * 4 / 5
    near(shared.tables.table(shared.arena, "rows.weight")[2], [-0.5, 0.6 - by * 4])
    near(shared.layout.views(shared.arena.tensor("x"))[0], [1.0 - by * 3, -1.0])
    near(w0.view.snapshot[:2], [1.0 - by * 3, -1.0])


def test_a_dropped_or_refused_gradient_leaves_tables_as_they_are():
    shared = world()
    w0 = Worker(shared, 0)
    for dense, values in (([torch.nan, 0.0], [[1.0, 1.0]]), ([1.0, 1.0], [[torch.inf, 1.0]])):
        w0.read([1])
        w0.push(values, dense=dense)
        assert w0.view.outcome.refused == 1
    w0.read([1])
    loss = w0.found[0].sum()
    loss.backward()
    w0.lookups.take(w0.view.updates.tables)
    w0.view.push([None], lr=lambda _: None)
    assert not w0.view.outcome.applied
    assert not w0.view.updates.tables
    near(shared.tables.table(shared.arena, "rows.weight"), START)
    near(shared.layout.views(shared.arena.tensor("x"))[0], [1.0, -1.0])
    assert shared.tables.versions(shared.arena, "rows.weight").tolist() == [0, 0, 0, 0]
    assert shared.control.version == 0
    w0.read([1])
    w0.push([[1.0, 2.0]], dense=[1.0, 1.0])
    near(shared.tables.table(shared.arena, "rows.weight")[1], [0.2, 0.2])


def test_factors_of_lr_and_decay_and_a_largest_norm_of_rows():
    training = Training(SparseMomentum(0.5), "lazy", 0.2, row_max_norm=0.5, factors=((2.0, 0.5),))
    shared = world(training)
    w0 = Worker(shared, 0)
    w0.read([1, 3])
    w0.push([[0.5, 0.5], [0.0, 0.0]])
    x = shared.tables.table(shared.arena, "rows.weight")
    near(x[1], [0.3 * 0.98 - 0.1, 0.4 * 0.98 - 0.1])  # lr 0.1 x 2, wd 0.2 / 2
    near(torch.linalg.vector_norm(x[3]), 0.5)
    near(x[2], START[2])
    w0.read([1])
    w0.push([[0.0, 0.0]])
    near(x[1], [0.194 * 0.98 - 0.05, 0.292 * 0.98 - 0.05])


def near(found: Tensor, expected: list[float] | list[list[float]] | float) -> None:
    torch.testing.assert_close(found.detach(), torch.tensor(expected, dtype=torch.float64), rtol=1e-12, atol=1e-12)
