"""Sparse pushes against the oracle: every rule and element type, odd sizes, duplicates, idle tables."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from row_cases import RULES, SHAPES, RowCase, memory, segment

from hogwild.kernels import SparsePush, build_info, use_isa
from hogwild.rules import Access, Guard
from hogwild.tables import RowAdagrad, SparseAdam, SparseSgd

TYPES = [
    (torch.float64, None, 1e-12),
    (torch.float32, None, 2e-5),
    (torch.float32, torch.bfloat16, 2e-5),
]
DECAYS = ["none", "lazy", "catch-up"]


def run(case: RowCase, tolerance: float, pushes: int = 4) -> None:
    for t in range(pushes):
        got, want = case.push(case.gradients(), lr=0.3 / (t + 1), pushes=t, scale=0.7)
        assert got[:2] == want[:2]
        assert got[4:] == want[4:]
        for name in ("step_sq", "grad_norm"):
            assert math.isclose(getattr(got, name), getattr(want, name), rel_tol=10 * tolerance)
        case.check(tolerance)
    case.kernel.catch_up(lr=0.1, pushes=pushes)
    case.oracle.catch_up(lr=0.1, pushes=pushes)
    case.check(tolerance)


@pytest.mark.parametrize(("dtype", "values", "tolerance"), TYPES)
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_every_rule(rule, dtype, values, tolerance):
    for seed, decay in enumerate(DECAYS):
        if decay == "catch-up" and rule.catches_up:
            continue
        options = {"weight_decay": 0.0 if decay == "none" else 0.3, "row_max_norm": None if seed else 1.1}
        run(RowCase(rule, dtype, values, decay, seed=seed, options=options), tolerance)


@pytest.mark.parametrize("access", [Access.ATOMIC, Access.STRIPED, Access.LOCKED])
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_every_access_equals_racing(rule, access, locks):
    decay = "lazy" if rule.catches_up else "catch-up"
    place = dict(zip(("stripes", "n_stripes"), locks, strict=True)) if access is Access.STRIPED else {}
    options = {"weight_decay": 0.2, "row_max_norm": 1.5}
    racing = RowCase(rule, torch.float32, decay=decay, options=options)
    other = RowCase(rule, torch.float32, decay=decay, options={**options, "access": access, **place})
    for t in range(3):
        grads = racing.gradients()
        assert racing.kernel(grads, lr=0.2, pushes=t)[:2] == other.kernel(grads, lr=0.2, pushes=t)[:2]
    for table, same in zip(racing.tables, other.tables, strict=True):
        for name, tensor in memory(table).items():
            assert torch.equal(tensor, memory(same)[name]), name


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_every_instruction_set_gives_the_same_bits(rule):
    in_use, names = str(build_info()["isa_in_use"]), build_info()["isa"]
    assert isinstance(names, list)
    cases = []
    try:
        for name in names:
            use_isa(name)
            case = RowCase(rule, torch.float32, decay="lazy", options={"weight_decay": 0.2, "row_max_norm": 1.2})
            for t in range(3):
                case.kernel(case.gradients(), lr=0.2, pushes=t)
            cases.append(case)
    finally:
        use_isa(in_use)
    for one, other in itertools.pairwise(cases):
        for table, same in zip(one.tables, other.tables, strict=True):
            for name, tensor in memory(table).items():
                assert torch.equal(tensor, memory(same)[name]), name


@pytest.mark.parametrize("rule", [SparseSgd(), RowAdagrad(), SparseAdam()], ids=str)
def test_a_scan_and_its_push_equal_a_push(rule):
    case = RowCase(rule, torch.float64)
    twin = RowCase(rule, torch.float64)
    for t in range(2):
        grads = case.gradients()
        scan, want = case.kernel.norm_sq(grads), case.oracle.norm_sq(grads)
        assert math.isclose(scan.norm_sq, want.norm_sq, rel_tol=1e-12)
        assert scan.nonfinite == 0
        one, other = case.kernel(None, lr=0.1, pushes=t), twin.kernel(grads, lr=0.1, pushes=t)
        assert one == other
        for table, same in zip(case.tables, twin.tables, strict=True):
            assert torch.equal(table.x, same.x)
    with pytest.raises(ValueError, match="call norm_sq first"):
        case.kernel(None, lr=0.1, pushes=2)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_push_without_rows_counts_and_changes_no_row(rule):
    case = RowCase(rule, torch.float32)
    before = [{name: tensor.clone() for name, tensor in memory(table).items()} for table in case.tables]
    empty = [(torch.empty(0, dtype=torch.int64), torch.empty(0, dim)) for _, dim in SHAPES]
    for grads in (empty, [None] * len(SHAPES)):
        stats = case.kernel(grads, lr=0.1, pushes=0)
        assert stats.applied
        assert (stats.rows, stats.unique_rows, stats.step_sq, stats.grad_norm) == (0, 0, 0, 0)
    for table, old in zip(case.tables, before, strict=True):
        assert all(torch.equal(tensor, old[name]) for name, tensor in memory(table).items())


def test_an_empty_push_decays_the_rows_that_come_later():
    table = segment(torch.ones(3, 2, dtype=torch.float64), SparseSgd(), "catch-up")
    push = SparsePush([table], SparseSgd(), decay="catch-up", weight_decay=0.5)
    for t, lr in enumerate((0.1, 0.4)):
        push([None], lr=lr, pushes=t)
    push.catch_up(lr=0.1, pushes=2)
    assert torch.allclose(table.x, torch.full_like(table.x, 0.95 * 0.8), rtol=1e-14)


@pytest.mark.parametrize("rule", RULES, ids=str)
def test_the_guard(rule):
    """PUSH refuses the push before anything is written; ELEMENT leaves out the elements that are not finite."""
    for guard in Guard:
        case = RowCase(rule, torch.float64, options={"guard": guard})
        case.push(case.gradients(), lr=0.1, pushes=0)
        grads = [g for g in case.gradients() if g is not None]
        grads = [(torch.tensor([5, 0, 5, 6]).clamp(max=rows - 1), case.random(4, dim)) for rows, dim in SHAPES]
        grads[1][1][2, 1] = math.nan
        grads[4][1][3, 0] = math.inf
        got, want = case.push(grads, lr=0.1, pushes=1)
        assert got.nonfinite == want.nonfinite == 2
        assert got.applied == want.applied == (guard is Guard.ELEMENT)
        assert math.isnan(got.grad_norm) == math.isnan(want.grad_norm)
        case.check(1e-12)


def test_wide_rows_and_many_rows():
    """Rows beyond one piece of the loop, and more rows than the memory of the push before."""
    generator = torch.Generator().manual_seed(3)
    wide = segment(torch.randn(3, 40_001, generator=generator), RowAdagrad())
    long = segment(torch.randn(5000, 5, generator=generator), RowAdagrad())
    push = SparsePush([wide, long], RowAdagrad())
    x = [wide.x.double(), long.x.double()]
    for t, count in enumerate((3, 40, 20_000)):
        rows = [torch.randint(len(one), (k,), generator=generator) for one, k in zip(x, (4, count), strict=True)]
        grads = [(r, torch.randn(len(r), one.shape[1], generator=generator)) for r, one in zip(rows, x, strict=True)]
        old = [segment.state["q"].double() for segment in (wide, long)]
        push(grads, lr=0.1, pushes=t)
        for one, q, (at, values) in zip(x, old, grads, strict=True):
            g = torch.zeros_like(one).index_add_(0, at, values.double())
            q += (g**2).mean(1)
            one -= torch.where(g == 0, 0.0, 0.1 * g / (q.sqrt() + 1e-8)[:, None])
    for table, one in zip((wide, long), x, strict=True):
        assert torch.allclose(table.x.double(), one, rtol=1e-4, atol=1e-5)
