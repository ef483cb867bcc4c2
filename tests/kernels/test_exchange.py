"""Exchanges with a center, an average or a mailbox: against the oracle, by their conserved sums, and their refusals."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from exchange_cases import BUFFERS, CONSERVED, READ_ONLY, ExchangeCase
from kernel_cases import SIZES

from hogwild.kernels import Exchange, build_info, use_isa
from hogwild.rules import Access

KINDS = list(BUFFERS)
DTYPES = [torch.float32, torch.float64]
TOLERANCE = {torch.float32: 1e-6, torch.float64: 1e-14}


@pytest.fixture
def restore_isa():
    before = str(build_info()["isa_in_use"])
    yield
    use_isa(before)


def exchange(access: Access, locks: tuple[int, int]) -> Exchange:
    return Exchange(access, *locks) if access is Access.STRIPED else Exchange(access)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("access", list(Access))
@pytest.mark.parametrize("kind", KINDS)
def test_equals_the_oracle(kind, access, dtype, locks):
    for n in (*SIZES, 40_009):
        case = ExchangeCase(kind, n, dtype, seed=n)
        before, want = case.numpy(), case.oracle()
        assert case.run(exchange(access, locks)) == 0
        for name, got in case.numpy().items():
            error = np.max(np.abs(got - want[name]) / (1 + np.abs(want[name])))
            assert error <= TOLERANCE[dtype], (n, name)
            assert np.array_equal(got, before[name]) == (name in READ_ONLY.get(kind, ())), name


@pytest.mark.parametrize(
    ("start", "stop"), [(0, 0), (3, 17), (31, 4000), (17, None), (16_383, 16_385), (16_384, 40_001)]
)
@pytest.mark.parametrize("access", list(Access))
@pytest.mark.parametrize("kind", KINDS)
def test_only_the_range_is_changed(kind, access, start, stop, locks):
    case = ExchangeCase(kind, 40_009)
    want = case.oracle(start, stop)
    case.run(exchange(access, locks), start=start, stop=stop)
    for name, got in case.numpy().items():
        np.testing.assert_allclose(got, want[name], rtol=0, atol=1e-14)
        outside = np.r_[0:start, case.n if stop is None else stop : case.n]
        assert np.array_equal(got[outside], want[name][outside])


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", KINDS)
def test_every_instruction_set_and_access_gives_the_same_bits(kind, dtype, locks, restore_isa):
    first = None
    for isa in build_info()["isa"]:
        use_isa(isa)
        for access in Access:
            case = ExchangeCase(kind, 40_009, dtype)
            case.run(exchange(access, locks), start=5)
            first = first or case.buffers
            for name, buffer in case.buffers.items():
                assert torch.equal(buffer, first[name]), (isa, access, name)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("kind", CONSERVED)
def test_exchanges_conserve_their_sums(kind, dtype):
    case = ExchangeCase(kind, 4099, dtype, seed=7)
    before = CONSERVED[kind](case.numpy())
    case.run()
    np.testing.assert_allclose(CONSERVED[kind](case.numpy()), before, rtol=0, atol=20 * torch.finfo(dtype).eps)


def test_elastic_shrinks_the_distance_by_one_minus_twice_alpha():
    case = ExchangeCase("elastic", 4099)
    distance = case.buffers["x"] - case.buffers["center"]
    case.run()
    torch.testing.assert_close(case.buffers["x"] - case.buffers["center"], 0.4 * distance, rtol=0, atol=1e-14)


def test_after_a_delivery_worker_and_center_agree():
    case = ExchangeCase("deliver", 4099, torch.float32)
    case.run()
    assert torch.equal(case.buffers["x"], case.buffers["center"])
    assert torch.equal(case.buffers["x"], case.buffers["base"])


def test_admm_in_increments_is_the_mean_of_all_workers():
    """Round-robin, with the center set to mean_j (x_j - lambda_j) at every tick as in the paper."""
    workers, n = 3, 33
    generator = torch.Generator().manual_seed(1)
    x = [torch.randn(n, generator=generator, dtype=torch.float64) for _ in range(workers)]
    multiplier = [torch.zeros(n, dtype=torch.float64) for _ in range(workers)]
    center = torch.stack(x).mean(0)
    for tick in range(60):
        i = tick % workers
        g = torch.randn(n, generator=generator, dtype=torch.float64)
        Exchange().admm(x[i], multiplier[i], center, g, lr=0.1, rho=2.5, workers=workers)
        want = (torch.stack(x) - torch.stack(multiplier)).mean(0)
        torch.testing.assert_close(center, want, rtol=0, atol=1e-13)


def test_a_blend_converges_to_its_input():
    """A small share of a constant x: z converges to x to the last bits, which the weights 1 - a and a in float32 do not
    reach.
    """
    x, average = torch.full((17,), 3.7), torch.zeros(17)
    for _ in range(30_000):
        Exchange().blend(average, x, 0.001)
    torch.testing.assert_close(average, x, rtol=1e-4, atol=0)


def test_bad_arguments():
    x, center, same = torch.ones(64), torch.ones(64), torch.ones(64, dtype=torch.float64)
    run = Exchange()
    refused = [
        (lambda: run.elastic(x, x, 0.1), "center and x overlap|x and center overlap"),
        (lambda: run.elastic(x, center, float("nan")), "alpha is nan: expected a finite number"),
        (lambda: run.elastic(x, torch.ones(65), 0.1), "center has 65 elements, x has 64"),
        (lambda: run.elastic(x, same, 0.1), r"center is torch\.float64 on cpu, but x is torch\.float32"),
        (lambda: run.elastic(torch.ones(65)[1:], center, 0.1), "x begins at an address that is no multiple of 64"),
        (lambda: run.elastic(x, center, 0.1, start=3, stop=65), r"\[3, 65\): it must lie inside \[0, 64\)"),
        (lambda: run.deliver(x, center, center), "overlap in memory"),
        (lambda: run.admm(x, same.float(), center, x, lr=0.1, rho=1, workers=2), "x and g overlap|g and x overlap"),
        (lambda: run.admm(x, same.float(), center, torch.ones(64), lr=-1, rho=1, workers=2), "expected lr >= 0"),
        (lambda: run.admm(x, same.float(), center, torch.ones(64), lr=1, rho=1, workers=0), "workers >= 1"),
        (lambda: run.send(center, x, 1.5), "share is 1.5: expected a number from 0 to 1"),
        (lambda: run.blend(center, x, -0.1), "a is -0.1: expected a number from 0 to 1"),
        (lambda: run.drain(x, torch.ones(8, 8)), r"box has shape \(8, 8\)"),
        (lambda: Exchange(Access.STRIPED), "needs the address of n_stripes >= 1 locks"),
    ]
    for call, message in refused:
        with pytest.raises(ValueError, match=message):
            call()
    assert torch.equal(x, torch.ones(64))
