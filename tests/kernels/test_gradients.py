"""Gradients are read natively if torch offers it, else checked and read in Python, with the same result."""

from __future__ import annotations

from collections import OrderedDict

import pytest
import torch
from kernel_cases import Case

from hogwild import _C
from hogwild.kernels import Push
from hogwild.rules import HeavyBall, OrMo

SIZES = (12, 1, 33, 4099)
offered = pytest.mark.skipif(not hasattr(torch.Tensor, "__dlpack_c_exchange_api__"), reason="torch before 2.10")


def matrix(numel: int) -> torch.Tensor:
    return torch.randn(3, numel // 3) if numel % 3 == 0 else torch.randn(numel)


AS_THEY_COME = {
    "flat": torch.randn,
    "a matrix": matrix,
    "a transposed matrix": lambda numel: torch.randn(12, numel // 12).t() if numel == 12 else torch.randn(numel),
    "every other element": lambda numel: torch.randn(2 * numel)[::2],
    "inside another": lambda numel: torch.randn(numel + 3)[1 : numel + 1],
    "one row of ones": lambda numel: torch.randn(numel, 1)[:, 0].reshape(1, numel, 1),
    "a parameter": lambda numel: torch.nn.Parameter(torch.randn(numel)),
    "bfloat16": lambda numel: torch.randn(numel, dtype=torch.bfloat16),
    "none": lambda numel: None if numel == 33 else torch.randn(numel),
}


@pytest.mark.parametrize("momentum", [HeavyBall(0.9), OrMo(0.9, 2)])
@pytest.mark.parametrize("made", AS_THEY_COME)
def test_both_ways_read_the_same(made, momentum):
    quick, close = (Case(sizes=SIZES, dtype=torch.float32, momentum=momentum) for _ in range(2))
    numels = list(SIZES)
    close.push._gradients.native = _C.GradientTable(object, numels, "float32", -1)  # of a type without that interface
    for pushes in range(3):
        grads = [AS_THEY_COME[made](numel) for numel in SIZES]
        seen = [case.push(grads, lr=0.1, pushes=pushes, lr_max=0.1) for case in (quick, close)]
        assert seen[0].step_sq == seen[1].step_sq > 0
    for name, buffer in quick.buffers.items():
        assert torch.equal(buffer, close.buffers[name]), name


@offered
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
def test_gradients_of_autograd_are_read_natively(dtype):
    module = torch.nn.Sequential(
        OrderedDict(one=torch.nn.Conv2d(2, 3, 3), two=torch.nn.Flatten(), three=torch.nn.Linear(48, 5))
    ).to(dtype)
    module(torch.randn(4, 2, 6, 6, dtype=dtype)).square().sum().backward()
    grads = [p.grad for p in module.parameters()]
    numels = [g.numel() for g in grads]
    master = "float64" if dtype is torch.float64 else "float32"
    assert _C.GradientTable(torch.Tensor, numels, master, -1).read(grads)
    assert _C.GradientTable(torch.Tensor, numels, master, -1).read(tuple(grads))
    assert not _C.GradientTable(torch.Tensor, numels, master, 0).read(grads)  # on a GPU
    other = "float32" if dtype is torch.float64 else "float64"
    assert not _C.GradientTable(torch.Tensor, numels, other, -1).read(grads)
    assert not _C.GradientTable(torch.Tensor, numels[:-1], master, -1).read(grads)
    assert not _C.GradientTable(torch.Tensor, [*numels[:-1], 7], master, -1).read(grads)


@offered
@pytest.mark.parametrize(
    "odd",
    [torch.randn(6, 2)[:, 0], torch.eye(6).to_sparse(), torch.empty(6, device="meta"), torch.ones(6).half(), [1.0] * 6],
    ids=["strided", "sparse", "meta", "half", "list"],
)
def test_other_tensors_are_left_to_the_check_in_python(odd):
    table = _C.GradientTable(torch.Tensor, [6, 6], "float32", -1)
    assert table.read([torch.randn(6), None])
    assert not table.read([torch.randn(6), odd])
    assert not table.read([torch.randn(6), torch.randn(6).bfloat16()])


def test_an_iterator_is_no_sequence():
    push = Push(x=torch.zeros(32), segments=[(0, 32)])
    with pytest.raises(TypeError):
        push(iter([torch.ones(32)]), lr=0.1, pushes=0, lr_max=0.1)
