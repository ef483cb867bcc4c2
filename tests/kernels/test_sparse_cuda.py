"""Sparse pushes on CUDA: the CPU's bits. Needs a GPU."""

from __future__ import annotations

import math

import pytest
import torch
from row_cases import RULES, SHAPES, RowCase, copied, memory, segment

from hogwild.kernels import SparsePush, build_info
from hogwild.rules import Access, Guard
from hogwild.tables import RowAdagrad, SparseMomentum, SparseSgd

pytestmark = [
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.skipif(not build_info()["cuda"], reason="hogwild._C was built without CUDA"),
]


def same(gpu: RowCase, cpu: RowCase) -> None:
    for k, (table, twin) in enumerate(zip(gpu.tables, cpu.tables, strict=True)):
        for name, tensor in memory(table).items():
            want = memory(twin)[name]
            if name in ("decayed", "log_decay"):
                assert torch.allclose(tensor.cpu(), want, rtol=1e-15), (k, name)
            else:
                assert torch.equal(tensor.cpu(), want), (k, name)


@pytest.mark.parametrize("access", [Access.RACING, Access.ATOMIC])
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_every_rule_equals_the_cpu(rule, access):
    decays = ["none", "lazy"] if rule.catches_up else ["lazy", "catch-up"]
    for seed, decay in enumerate(decays):
        options = {
            "weight_decay": 0.0 if decay == "none" else 0.3,
            "row_max_norm": 1.1 if seed else None,
            "access": access,
        }
        values = torch.bfloat16 if seed else None
        gpu = RowCase(rule, torch.float32, values, decay, device="cuda", seed=seed, options=options)
        cpu = RowCase(rule, torch.float32, values, decay, seed=seed, options=options)
        for t in range(3):
            grads, on_cpu = gpu.gradients(20, least=1), cpu.gradients(20, least=1)
            seen = [
                None if g is None else table.row_version[g[0]] - 1 for g, table in zip(grads, gpu.tables, strict=True)
            ]
            told = [None if versions is None else versions.cpu() for versions in seen]
            got = gpu.kernel(grads, lr=0.2, pushes=t, scale=0.7, seen=seen)
            want = cpu.kernel(on_cpu, lr=0.2, pushes=t, scale=0.7, seen=told)
            assert got[:2] == want[:2]
            assert got[4:] == want[4:]
            assert math.isclose(got.step_sq, want.step_sq, rel_tol=1e-5)
            assert math.isclose(got.grad_norm, want.grad_norm, rel_tol=1e-5)
        gpu.kernel.catch_up(lr=0.1, pushes=3)
        cpu.kernel.catch_up(lr=0.1, pushes=3)
        same(gpu, cpu)


def test_many_occurrences_of_one_row():
    """More than a warp of them: still added in order."""
    generator = torch.Generator().manual_seed(0)
    values = torch.randn(150, 5, generator=generator) * 10.0 ** torch.randint(-4, 5, (150, 1), generator=generator)
    rows = torch.randint(3, (150,), generator=generator)
    cpu = segment(torch.randn(3, 5, generator=generator), SparseSgd())
    gpu = copied(cpu, "cuda")
    SparsePush([cpu], SparseSgd())([(rows, values)], lr=0.1, pushes=0)
    stats = SparsePush([gpu], SparseSgd())([(rows.cuda(), values.cuda())], lr=0.1, pushes=0)
    assert (stats.rows, stats.unique_rows) == (150, 3)
    assert torch.equal(gpu.x.cpu(), cpu.x)


@pytest.mark.parametrize("guard", list(Guard))
def test_the_guard(guard):
    gpu = RowCase(RowAdagrad(), torch.float32, device="cuda", options={"guard": guard})
    cpu = RowCase(RowAdagrad(), torch.float32, options={"guard": guard})
    grads = [(torch.tensor([5, 0, 5]).clamp(max=rows - 1), torch.ones(3, dim)) for rows, dim in SHAPES]
    grads[2][1][1, 7] = math.nan
    grads[4][1][2, 0] = math.inf
    got = gpu.kernel([(rows.cuda(), values.cuda()) for rows, values in grads], lr=0.1, pushes=0)
    want = cpu.kernel(grads, lr=0.1, pushes=0)
    assert got[:2] == want[:2] == (guard is Guard.ELEMENT, 2)
    same(gpu, cpu)


def test_scan_and_push_and_rows_that_do_not_exist():
    gpu, cpu = RowCase(SparseMomentum(0.9), torch.float32, device="cuda"), RowCase(SparseMomentum(0.9), torch.float32)
    grads, on_cpu = gpu.gradients(20, least=1), cpu.gradients(20, least=1)
    scan, want = gpu.kernel.norm_sq(grads), cpu.kernel.norm_sq(on_cpu)
    assert math.isclose(scan.norm_sq, want.norm_sq, rel_tol=1e-5)
    gpu.kernel(None, lr=0.1, pushes=0)
    cpu.kernel(None, lr=0.1, pushes=0)
    same(gpu, cpu)
    wrong = [(torch.tensor([0, rows - 1, 0]).cuda(), torch.ones(3, dim).cuda()) for rows, dim in SHAPES]
    wrong[3] = (torch.tensor([0, 23, -4]).cuda(), wrong[3][1])
    with pytest.raises(ValueError, match="table 3 has no row 23: its rows are 0 to 22"):
        gpu.kernel(wrong, lr=0.1, pushes=1)
    same(gpu, cpu)


def test_striped_access_is_for_the_cpu():
    table = segment(torch.ones(2, 2).cuda(), SparseSgd())
    with pytest.raises(ValueError, match="STRIPED needs tables on the CPU"):
        SparsePush([table], SparseSgd(), access=Access.STRIPED, stripes=64, n_stripes=1)
