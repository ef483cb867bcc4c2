"""Sparse pushes against numbers worked out by hand and by dense rules: a table of 4 x 2, pushes with duplicates."""

from __future__ import annotations

import pytest
import torch
from row_cases import segment

from hogwild.kernels import SparsePush
from hogwild.reference import ReferenceSparsePush
from hogwild.tables import RowAdagrad, SparseAdagrad, SparseAdam, SparseMomentum, SparseSgd, TableRule

X0 = [[0.1, -0.2], [0.3, 0.4], [-0.5, 0.6], [0.7, -0.8]]
PUSHES: list[tuple[list[int], list[list[float]]]] = [
    ([1, 3, 1], [[0.5, -1.0], [0.25, 0.5], [1.5, 2.0]]),
    ([3, 2], [[-1.0, 0.5], [0.2, 0.1]]),
    ([1, 1, 1, 2], [[0.1, 0.2], [0.3, -0.4], [-0.6, 0.5], [1.0, -1.0]]),
]
LR = 0.1

# rule, decay, weight decay -> rows 0 to 3 after the three pushes, all rows caught up
AFTER: list[tuple[TableRule, str, float, list[list[float]]]] = [
    (SparseSgd(), "none", 0, [X0[0], [0.12, 0.27], [-0.62, 0.69], [0.775, -0.9]]),
    (
        RowAdagrad(),
        "none",
        0,
        [
            X0[0],
            [0.185996705136, 0.318022731082],
            [-0.725264057096, 0.635527409486],
            [0.749891532106, -0.983059645062],
        ],
    ),
    (
        SparseAdagrad(),
        "none",
        0,
        [
            X0[0],
            [0.209950371907, 0.271265211456],
            [-0.698058067509, 0.599503719111],
            [0.697014250045, -0.970710678089],
        ],
    ),
    (
        SparseAdam(),
        "none",
        0,
        [
            X0[0],
            [0.149123345117, 0.226541603150],
            [-0.648331273318, 0.583430152824],
            [0.655950352636, -0.999999996000],
        ],
    ),
    (SparseMomentum(0.9), "none", 0, [X0[0], [-0.06, 0.18], [-0.638, 0.681], [0.7525, -0.945]]),
    (SparseMomentum(0.9, catch_up=True), "none", 0, [X0[0], [-0.222, 0.099], [-0.638, 0.681], [0.82225, -1.0305]]),
    (
        SparseSgd(),
        "catch-up",
        0.1,
        [
            [0.0970299, -0.1940598],
            [0.1150697, 0.2601096],
            [-0.6049495, 0.6722794],
            [0.7537068, -0.8747442],
        ],
    ),
    (
        SparseSgd(),
        "lazy",
        0.1,
        [
            X0[0],
            [0.99 * (0.99 * 0.3 - 0.2) + 0.02, 0.99 * (0.99 * 0.4 - 0.1) - 0.03],
            [0.99 * (0.99 * -0.5 - 0.02) - 0.1, 0.99 * (0.99 * 0.6 - 0.01) + 0.1],
            [0.99 * (0.99 * 0.7 - 0.025) + 0.1, 0.99 * (0.99 * -0.8 - 0.05) - 0.05],
        ],
    ),
]
Q = {
    RowAdagrad(): [0, 2.565, 1.025, 0.78125],
    SparseAdam(): [[0, 0], [0.004036, 0.001089], [0.00103996, 0.00100999], [0.0010624375, 0.00049975]],
}


@pytest.mark.parametrize("push_class", [SparsePush, ReferenceSparsePush])
@pytest.mark.parametrize(("rule", "decay", "weight_decay", "after"), AFTER, ids=lambda value: str(value)[:24])
def test_three_pushes(rule, decay, weight_decay, after, push_class):
    table = segment(torch.tensor(X0, dtype=torch.float64), rule, decay)
    push = push_class([table], rule, decay=decay, weight_decay=weight_decay)
    for pushes, (rows, values) in enumerate(PUSHES):
        grads = [(torch.tensor(rows), torch.tensor(values, dtype=torch.float64))]
        stats = push(grads, lr=LR, pushes=pushes)
        assert (stats.rows, stats.unique_rows) == (len(rows), len(set(rows)))
    push.catch_up(lr=LR, pushes=3)
    assert torch.allclose(table.x, torch.tensor(after, dtype=torch.float64), rtol=0, atol=6e-13)
    if rule in Q:
        assert torch.allclose(table.state["q"], torch.tensor(Q[rule], dtype=torch.float64), rtol=0, atol=1e-15)


@pytest.mark.parametrize("push_class", [SparsePush, ReferenceSparsePush])
def test_row_delays(push_class):
    """Two workers, and the versions of the rows when each read them."""
    table = segment(torch.tensor(X0, dtype=torch.float64), SparseSgd())
    version = table.row_version
    push = push_class([table], SparseSgd())
    grads = [(torch.tensor(rows), torch.tensor(values, dtype=torch.float64)) for rows, values in PUSHES]
    second = (torch.tensor([2, 1]), torch.tensor([[0.2, 0.1], [1.0, -1.0]], dtype=torch.float64))

    seen_0, seen_1 = version[grads[0][0]], version[second[0]]
    first = push([grads[0]], lr=LR, pushes=0, seen=[seen_0])
    seen_0 = version[grads[2][0]]
    other = push([second], lr=LR, pushes=1, seen=[seen_1])
    third = push([grads[2]], lr=LR, pushes=2, seen=[seen_0])
    unseen = push([None], lr=LR, pushes=3)

    assert [(s.row_delay_sum, s.shared_rows) for s in (first, other, third, unseen)] == [(0, 0), (1, 1), (2, 2), (0, 0)]
    places = [{place: rows for place, rows in enumerate(s.row_delays) if rows} for s in (first, other, third, unseen)]
    assert places == [{0: 2}, {0: 1, 1: 1}, {1: 2}, {}]
    assert version.tolist() == [0, 3, 2, 1]
    assert torch.allclose(table.x[1], torch.tensor([0.02, 0.37], dtype=torch.float64), rtol=0, atol=1e-15)


def test_row_versions_wrap():
    table = segment(torch.zeros(2, 3), SparseSgd())
    assert table.row_version is not None
    table.row_version[:] = -1
    seen = torch.tensor([-3], dtype=torch.int32)
    stats = SparsePush([table], SparseSgd())([(torch.tensor([1]), torch.ones(1, 3))], lr=LR, pushes=0, seen=[seen])
    assert (stats.row_delay_sum, table.row_version.tolist()) == (2, [-1, 0])


@pytest.mark.parametrize("push_class", [SparsePush, ReferenceSparsePush])
def test_rows_are_counted_by_powers_of_two_of_their_delay(push_class):
    table = segment(torch.zeros(7, 3), SparseSgd())
    assert table.row_version is not None
    table.row_version[:] = torch.tensor([0, 1, 2, 3, 4, 255, -1], dtype=torch.int32)
    grads = [(torch.arange(7), torch.ones(7, 3))]
    stats = push_class([table], SparseSgd())(grads, lr=LR, pushes=0, seen=[torch.zeros(7, dtype=torch.int32)])
    assert {place: rows for place, rows in enumerate(stats.row_delays) if rows} == {0: 1, 1: 1, 2: 2, 3: 1, 8: 1, 32: 1}
