"""Invalid tables, gradients and versions are refused in one line that names them, before anything is written."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch
from row_cases import segment

from hogwild.kernels import SparsePush
from hogwild.rules import Access
from hogwild.tables import RowAdagrad, SparseAdagrad, SparseAdam, SparseMomentum, SparseSgd, TableSegment

ROWS, DIM = 5, 3
GOOD = segment(torch.ones(ROWS, DIM), RowAdagrad())


def table(**changes: object) -> TableSegment:
    return replace(GOOD, **changes)  # type: ignore[arg-type]


def wide() -> TableSegment:
    return segment(torch.ones(ROWS, DIM).double(), RowAdagrad())


REFUSED = [
    ({"tables": []}, "at least one table"),
    ({"tables": [table(x=torch.ones(ROWS * DIM))]}, r"table 0 is torch.float32 \[15\] on cpu: expected contiguous"),
    ({"tables": [table(x=torch.ones(ROWS, DIM).half(), name="words")]}, "words is torch.float16"),
    ({"tables": [table(x=torch.ones(DIM, ROWS).T)]}, "table 0 is .* expected contiguous"),
    ({"tables": [GOOD, wide()]}, "table 1 is torch.float64 on cpu, the first table torch.float32"),
    ({"tables": [table(state={})]}, "table 0 has the state none: RowAdagrad with decay 'none' needs q"),
    ({"decay": "catch-up"}, "has the state q: RowAdagrad with decay 'catch-up' needs decayed, log_decay, q"),
    ({"tables": [table(state={"q": torch.ones(ROWS, DIM)})]}, r"q of table 0 is torch.float32 \[5, 3\]: .*\[5\]"),
    ({"tables": [table(state={"q": torch.ones(ROWS).double()})]}, "q of table 0 is torch.float64"),
    ({"tables": [table(row_version=torch.zeros(ROWS, dtype=torch.int64))]}, "row_version of table 0 is torch.int64"),
    ({"tables": [table(row_version=torch.zeros(4, dtype=torch.int32))]}, r"row_version of table 0 is .* \[4\]"),
    ({"tables": [GOOD, table(name="again")]}, "of again and .* of table 0 overlap"),
    ({"tables": [table(lr_factor=-1.0)]}, "-1.0 for lr"),
    ({"tables": [table(decay_factor=float("nan"))]}, "nan for decay"),
    ({"decay": "sometimes"}, "decay is 'sometimes': expected one of 'none', 'lazy', 'catch-up'"),
    ({"weight_decay": 0.1}, "weight_decay is 0.1, but decay is 'none'"),
    ({"weight_decay": -0.1, "decay": "lazy"}, "weight_decay is -0.1"),
    ({"row_max_norm": 0.0}, "row_max_norm is 0.0"),
    ({"rule": RowAdagrad(0.0)}, "RowAdagrad has eps 0.0"),
    ({"rule": SparseAdagrad(eps=-1.0)}, "eps -1.0"),
    ({"rule": SparseAdagrad(initial=-1.0)}, "initial >= 0"),
    ({"rule": SparseAdam(beta1=1.0)}, "0 <= beta1 < 1"),
    ({"rule": SparseMomentum(1.0)}, "0 <= momentum < 1"),
    ({"rule": SparseMomentum(0.9, catch_up=True), "decay": "catch-up"}, "give one"),
    ({"access": Access.STRIPED}, "needs tables on the CPU, and the address of n_stripes >= 1 locks"),
]


@pytest.mark.parametrize(("options", "message"), REFUSED, ids=lambda value: str(value)[:40])
def test_tables_that_do_not_fit(options, message):
    with pytest.raises(ValueError, match=message):
        SparsePush(**{"tables": [GOOD], "rule": RowAdagrad(), **options})


ROWS_OK, VALUES_OK = torch.tensor([0, 4]), torch.ones(2, DIM)
GRADIENTS = [
    ([], "0 sparse gradients for 2 tables"),
    ([None, (ROWS_OK.int(), VALUES_OK)], "the rows of users are torch.int32"),
    ([None, (ROWS_OK[None], VALUES_OK)], r"the rows of users are torch.int64 \[1, 2\]"),
    ([(ROWS_OK, torch.ones(2, 4)), None], r"the values of table 0 are \[2, 4\] for 2 rows: expected \[2, 3\]"),
    ([(ROWS_OK, torch.ones(3, DIM)), None], r"\[3, 3\] for 2 rows"),
    ([(ROWS_OK, VALUES_OK.half()), None], "torch.float16: a torch.float32 table takes torch.float32 or torch.bfloat16"),
    ([(ROWS_OK, VALUES_OK.double()), None], "torch.float64"),
    ([(ROWS_OK.to("meta"), VALUES_OK.to("meta")), None], "on meta, the table on cpu"),
    ([(ROWS_OK, VALUES_OK), (torch.tensor([1, 5]), VALUES_OK)], "users has no row 5: its rows are 0 to 4"),
    ([(torch.tensor([3, -1]), VALUES_OK), (ROWS_OK, VALUES_OK)], "table 0 has no row -1: its rows are 0 to 4"),
]


@pytest.mark.parametrize(("grads", "message"), GRADIENTS, ids=lambda value: str(value)[:40])
def test_gradients_that_do_not_fit(grads, message):
    tables = [segment(torch.ones(ROWS, DIM), SparseSgd()) for _ in range(2)]
    push = SparsePush([tables[0], replace(tables[1], name="users")], SparseSgd())
    with pytest.raises(ValueError, match=message):
        push.norm_sq(grads)
    with pytest.raises(ValueError, match=message):
        push(grads, lr=0.1, pushes=0)
    with pytest.raises(ValueError, match="call norm_sq first"):
        push(None, lr=0.1, pushes=0)
    for one in tables:
        assert one.row_version is not None
        assert bool((one.x == 1).all())
        assert not one.row_version.any()


@pytest.mark.parametrize(
    ("seen", "message"),
    [
        ([], "0 lists of versions for 1 tables"),
        ([torch.zeros(2, dtype=torch.int64)], "the versions of table 0 are torch.int64"),
        ([torch.zeros(3, dtype=torch.int32)], r"\[3\] on cpu: expected contiguous torch.int32 \[2\]"),
    ],
)
def test_versions_that_do_not_fit(seen, message):
    one = segment(torch.ones(ROWS, DIM), SparseSgd())
    with pytest.raises(ValueError, match=message):
        SparsePush([one], SparseSgd())([(ROWS_OK, VALUES_OK)], lr=0.1, pushes=0, seen=seen)
    assert bool((one.x == 1).all())


def test_a_decay_that_would_change_signs():
    one = segment(torch.ones(ROWS, DIM), SparseSgd())
    push = SparsePush([replace(one, decay_factor=5.0)], SparseSgd(), decay="lazy", weight_decay=1.0)
    with pytest.raises(ValueError, match=r"table 0: lr times weight decay is 1\.0"):
        push([(ROWS_OK, VALUES_OK)], lr=0.2, pushes=0)
    assert bool((one.x == 1).all())


def test_gradients_that_are_not_contiguous():
    one, twin = (segment(torch.ones(ROWS, DIM), SparseSgd()) for _ in range(2))
    rows, values = torch.tensor([[1, 9], [4, 9]])[:, 0], torch.arange(6.0).reshape(DIM, 2).T
    SparsePush([one], SparseSgd())([(rows, values)], lr=0.1, pushes=0)
    SparsePush([twin], SparseSgd())([(rows.contiguous(), values.contiguous())], lr=0.1, pushes=0)
    assert torch.equal(one.x, twin.x)
    assert not torch.equal(one.x, torch.ones(ROWS, DIM))
