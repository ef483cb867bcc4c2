"""Gradients into a flat buffer: every element in its place, nothing between the places, and non-finite ones counted."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from hogwild.kernels.deposit import Deposit

SIZES = (1, 17, 4099, 16385, 16)
DTYPES = [(torch.float32, torch.float32), (torch.float32, torch.bfloat16), (torch.float64, torch.float64)]


def places(master: torch.dtype) -> list[tuple[int, int]]:
    line, start, found = 128 // master.itemsize, 0, []
    for size in SIZES:
        found.append((start, size))
        start += -(-size // line) * line
    return found


def case(master: torch.dtype, dtype: torch.dtype) -> tuple[Tensor, Deposit, list[Tensor]]:
    segments, generator = places(master), torch.Generator().manual_seed(1)
    x = torch.full((segments[-1][0] + 128,), 3.0, dtype=master)
    return x, Deposit(x, segments), [torch.randn(size, generator=generator).to(dtype) for size in SIZES]


@pytest.mark.parametrize("keeps", [False, True])
@pytest.mark.parametrize(("master", "dtype"), DTYPES)
def test_every_gradient_is_in_its_segment(master: torch.dtype, dtype: torch.dtype, keeps: bool):
    x, deposit, grads = case(master, dtype)
    expected = x.clone()
    for (start, size), gradient in zip(places(master), grads, strict=True):
        expected[start : start + size] = gradient.to(master)
    expected[places(master)[1][0] :][: SIZES[1]] = 0
    assert deposit([grads[0], None, *grads[2:]], keeps=keeps) == 0
    assert torch.equal(x, expected)


@pytest.mark.parametrize(("master", "dtype"), DTYPES)
def test_what_is_not_finite_is_counted_and_leaves_no_trace_where_that_is_asked_for(master, dtype):
    x, deposit, grads = case(master, dtype)
    before = x.clone()
    for gradient, at, value in ((1, 16, math.nan), (3, 0, math.inf), (3, 16384, -math.inf), (4, 3, math.nan)):
        grads[gradient][at] = value
    assert deposit(grads, keeps=True) == 4
    assert torch.equal(x, before)
    assert deposit(grads) == 4


def test_gradients_that_need_a_closer_look():
    x, deposit, grads = case(torch.float32, torch.float32)
    apart = torch.randn(SIZES[1], 2)[:, 1]
    assert not apart.is_contiguous()
    deposit([grads[0], apart, *grads[2:]])
    start, size = places(torch.float32)[1]
    assert torch.equal(x[start : start + size], apart)
    with pytest.raises(ValueError, match="gradient 2 has 7 elements, its segment has 4099"):
        deposit([*grads[:2], torch.ones(7), *grads[3:]])
    with pytest.raises(ValueError, match="4 gradients for 5 segments"):
        deposit(grads[:4])
