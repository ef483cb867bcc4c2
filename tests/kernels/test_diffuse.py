"""A worker's row of a mixing matrix, as fluxes: against the oracle, bit for bit where required, and in D²."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from kernel_cases import SIZES

from hogwild import reference
from hogwild.kernels import build_info, diffuse, use_isa

DTYPES = [torch.float32, torch.float64]


@pytest.fixture
def restore_isa():
    before = str(build_info()["isa_in_use"])
    yield
    use_isa(before)


def random(count: int, n: int, dtype: torch.dtype) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(100 * count + n)
    return [torch.randn(n, generator=generator, dtype=torch.float64).to(dtype) for _ in range(count)]


def weights_of(count: int) -> list[float]:
    return [(0.7 + j / 10) / (count + 1) for j in range(count)]


@pytest.mark.parametrize("in_place", [False, True])
@pytest.mark.parametrize("corrects", [False, True])
@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 5, 9])
def test_equals_the_oracle(count, dtype, corrects, in_place):
    for n, start, stop in [*((n, None, None) for n in SIZES), (4099, 3, 17), (4099, 31, 4000), (4099, 17, None)]:
        own, spare, c, *neighbours = random(3 + count, n, dtype)
        out = own if in_place else spare
        correction = c if corrects else None
        want_out, want_c = out.double().numpy().copy(), c.double().numpy().copy()
        span = slice(start, stop)
        reference.diffuse(
            want_out[span],
            own.double().numpy().copy()[span],
            [t.double().numpy()[span] for t in neighbours],
            weights_of(count),
            want_c[span] if corrects else None,
        )
        diffuse(out, own, neighbours, weights_of(count), correction, start=start, stop=stop)
        atol = 1e-6 if dtype is torch.float32 else 1e-14
        np.testing.assert_allclose(out.numpy(), want_out, rtol=1e-6 if dtype is torch.float32 else 0, atol=atol)
        np.testing.assert_allclose(c.numpy(), want_c, rtol=1e-6 if dtype is torch.float32 else 0, atol=atol)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("count", [1, 2, 4, 5])
def test_every_instruction_set_gives_the_same_bits(count, dtype, restore_isa):
    first = None
    for isa in build_info()["isa"]:
        use_isa(isa)
        own, out, correction, *neighbours = random(3 + count, 4099, dtype)
        diffuse(out, own, neighbours, weights_of(count), correction, start=5)
        first = first or (out, correction)
        assert torch.equal(out, first[0])
        assert torch.equal(correction, first[1])


@pytest.mark.parametrize("dtype", DTYPES)
def test_the_two_ends_of_an_edge_see_opposite_fluxes(dtype):
    a, b, out = random(3, 4099, dtype)
    flux_a, flux_b = torch.zeros_like(a), torch.zeros_like(a)
    diffuse(out, a, [b], [1 / 3], flux_a)
    diffuse(out, b, [a], [1 / 3], flux_b)
    assert torch.equal(flux_a, -flux_b)
    assert bool((flux_a != 0).any())


def test_equal_replicas_stay_to_the_bit():
    """A row of rounded weights would change them: 0.3 + 0.3 + 0.4 is not 1 in float32."""
    (own,) = random(1, 4099, torch.float32)
    out = torch.empty_like(own)
    diffuse(out, own, [own.clone() for _ in range(5)], [0.1, 0.3, 0.15, 0.05, 0.2])
    assert torch.equal(out, own)


def ring(
    states: list[torch.Tensor], weight: float, corrections: list[torch.Tensor] | None = None
) -> list[torch.Tensor]:
    n = len(states)
    out = [torch.empty_like(s) for s in states]
    for i in range(n):
        neighbours = [states[i - 1], states[(i + 1) % n]]
        diffuse(out[i], states[i], neighbours, [weight] * 2, corrections[i] if corrections else None)
    return out


@pytest.mark.parametrize("corrects", [True, False])
def test_d2_removes_the_bias_of_heterogeneous_workers(corrects):
    """F_i = (x - b_i)^2 / 2 on a ring: with corrections every worker converges to mean b, without them to another
    point.
    """
    workers, n, lr = 5, 33, 0.1
    b = random(workers, n, torch.float64)
    x = [torch.zeros(n, dtype=torch.float64) for _ in range(workers)]
    c = [torch.zeros(n, dtype=torch.float64) for _ in range(workers)]
    for _ in range(400):
        moved = [x[i] - lr * (x[i] - b[i]) + c[i] for i in range(workers)]
        x = ring(moved, 0.3, c if corrects else None)
    assert float(torch.stack(c).sum(0).abs().max()) < 1e-12
    bias = max(float((worker - torch.stack(b).mean(0)).abs().max()) for worker in x)
    assert bias < 1e-10 if corrects else bias > 1e-2


def test_the_mean_of_d2_hardly_drifts_in_float32():
    """1e3 steps without a gradient, starting from random replicas. A matrix of rounded weights drifts by 4e-3."""
    x = random(8, 257, torch.float32)
    c = [torch.zeros(257) for _ in x]
    before = torch.stack(x).double().mean(0)
    for _ in range(1000):
        x = ring([a + b for a, b in zip(x, c, strict=True)], 1 / 6, c)
    drift = (torch.stack(x).double().mean(0) - before).square().mean().sqrt()
    assert float(drift) < 3e-5
    assert max(float((a - x[0]).abs().max()) for a in x) < 1e-3


def test_bad_arguments():
    own, out, other = random(3, 64, torch.float32)
    refused = [
        (lambda: diffuse(out, own, [other], [0.1, 0.2]), "1 neighbours and 2 weights"),
        (lambda: diffuse(out, own, [other], [float("inf")]), "expected finite numbers"),
        (lambda: diffuse(out, own, [out], [0.1]), "overlap in memory"),
        (lambda: diffuse(own, own, [own], [0.1]), "overlap in memory"),
        (lambda: diffuse(out, own, [other], [0.1], other), "overlap in memory"),
        (lambda: diffuse(out, own, [other], [0.1], own), "overlap in memory"),
        (lambda: diffuse(out, own, [torch.ones(65)], [0.1]), r"neighbours\[0\] has 65 elements, out has 64"),
        (lambda: diffuse(out, own, [other], [0.1], other.double()), r"correction is torch\.float64"),
        (lambda: diffuse(out, own, [other], [0.1], stop=65), "must lie inside"),
    ]
    for call, message in refused:
        with pytest.raises(ValueError, match=message):
            call()
