"""Weighted sums, copies, and the count of non-finite elements, against the oracle; sizes around the vector width."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from kernel_cases import SIZES

from hogwild import reference
from hogwild.kernels import copy, count_nonfinite, weighted_sum

DTYPES = [torch.float32, torch.float64]


def random(n: int, dtype: torch.dtype, seed: int) -> torch.Tensor:
    return torch.randn(n, dtype=dtype, generator=torch.Generator().manual_seed(seed))


@pytest.mark.parametrize("n", [*SIZES, 70_001])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [1, 2, 3, 9])
def test_weighted_sum_equals_the_oracle(n, dtype, count):
    inputs = [random(n, dtype, seed) for seed in range(count)]
    weights = [0.5 - seed / 3 for seed in range(count)]
    out = torch.full((n,), 7.0, dtype=dtype)
    weighted_sum(out, inputs, weights)
    want = reference.weighted_sum([i.double().numpy() for i in inputs], weights)
    np.testing.assert_allclose(out.numpy(), want, rtol=0, atol=1e-5 if dtype is torch.float32 else 1e-14)


@pytest.mark.parametrize("place", [0, 1, 2])
def test_out_may_be_an_input(place):
    inputs = [random(4099, torch.float64, seed) for seed in range(3)]
    want = reference.weighted_sum([i.numpy().copy() for i in inputs], [0.2, 0.3, 0.5])
    weighted_sum(inputs[place], inputs, [0.2, 0.3, 0.5])
    np.testing.assert_allclose(inputs[place].numpy(), want, atol=1e-14)


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (3, 17), (31, 4000), (17, None)])
def test_only_the_range_is_written(start, stop):
    a, b = random(4099, torch.float32, 1), random(4099, torch.float32, 2)
    for apply in (
        lambda out: weighted_sum(out, [a, b], [0.0, 1.0], start, stop),
        lambda out: copy(out, b, start, stop),
    ):
        out = torch.full((4099,), 7.0)
        apply(out)
        want = torch.full((4099,), 7.0)
        want[start:stop] = b[start:stop]
        assert torch.equal(out, want)


@pytest.mark.parametrize("n", [*SIZES, 70_001])
@pytest.mark.parametrize("dtype", DTYPES)
def test_copy_is_bitwise(n, dtype):
    src = random(n, dtype, 3)
    src[0] = float("nan")
    dst = torch.zeros(n, dtype=dtype)
    copy(dst, src)
    assert dst.numpy().tobytes() == src.numpy().tobytes()


@pytest.mark.parametrize("dtype", [*DTYPES, torch.bfloat16])
def test_count_nonfinite(dtype):
    grads = [random(n, torch.float32, n).to(dtype) for n in (*SIZES, 40_000)]
    assert count_nonfinite([*grads, None]) == 0
    grads[0][0] = float("nan")
    grads[4][4098] = float("inf")
    grads[5][::3] = float("-inf")
    assert count_nonfinite(grads) == 2 + len(range(0, 40_000, 3))
    assert count_nonfinite([grads[5][1::3], grads[5][::3]]) == len(range(0, 40_000, 3))  # not contiguous


def test_bad_arguments():
    x = torch.ones(8)
    with pytest.raises(ValueError, match="1 inputs and 2 weights"):
        weighted_sum(x, [x], [0.5, 0.5])
    with pytest.raises(ValueError, match="0 inputs"):
        weighted_sum(x, [], [])
    with pytest.raises(ValueError, match=r"inputs\[0\] has 9 elements"):
        weighted_sum(x, [torch.ones(9)], [1.0])
    with pytest.raises(ValueError, match=r"dst is torch\.float64"):
        copy(torch.ones(8, dtype=torch.float64), x)
    with pytest.raises(ValueError, match="must lie inside"):
        copy(torch.ones(8), x, 0, 9)
    with pytest.raises(ValueError, match=r"gradient 1 is torch\.int64"):
        count_nonfinite([x, torch.ones(3, dtype=torch.int64)])
    with pytest.raises(ValueError, match="sparse=False"):
        count_nonfinite([x.to_sparse()])
