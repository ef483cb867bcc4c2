"""Pair averages: values, the conserved sum, and chunks with a lock held by another thread."""

from __future__ import annotations

import ctypes
import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from kernel_cases import SIZES

from hogwild.kernels import PairStats, build_info, pair_average, use_isa
from hogwild.kernels.control import LOCK_BYTES, STRIPE, Control
from hogwild.kernels.pair import Lags

WAIT_S = 20.0
N_LOCKS = 3
PTHREADS = ctypes.CDLL(None)
MEMORY: list[torch.Tensor] = []  # a Control does not own its block


@pytest.fixture
def locks() -> dict[str, int]:
    """Two sets of three locks."""
    MEMORY.append(torch.zeros(Control.bytes(1, 2 * N_LOCKS) + 128, dtype=torch.uint8))
    control = Control(-(-MEMORY[-1].data_ptr() // 128) * 128, 1, 2 * N_LOCKS, create=True)
    first = control.stripe_locks
    return {"locks_a": first, "locks_b": first + LOCK_BYTES * N_LOCKS, "n_locks": N_LOCKS}


@contextmanager
def holding(address: int) -> Iterator[None]:
    """A context in which another thread holds the lock."""
    held, enough = threading.Event(), threading.Event()

    def hold() -> None:
        assert PTHREADS.pthread_mutex_lock(ctypes.c_void_p(address)) == 0
        held.set()
        enough.wait(WAIT_S)
        assert PTHREADS.pthread_mutex_unlock(ctypes.c_void_p(address)) == 0

    thread = threading.Thread(target=hold)
    thread.start()
    assert held.wait(WAIT_S)
    try:
        yield
    finally:
        enough.set()
        thread.join(WAIT_S)


def replicas(n: int, dtype: torch.dtype = torch.float32) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(n)
    return tuple(torch.randn(n, generator=generator, dtype=torch.float64).to(dtype) for _ in range(2))


@pytest.mark.parametrize("n", [*SIZES, 70_001])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("weight", [0.5, 0.3, -0.1])
@pytest.mark.parametrize("order", ["skip", "blocking"])
def test_values_and_sum(n, dtype, weight, order, locks):
    a, b = replicas(n, dtype)
    x, y = a.clone().double(), b.clone().double()
    stats = pair_average(a, b, **locks, weight=weight, order=order)
    assert stats == PairStats(averaged=-(-n // STRIPE), skipped=0, recovered=0)
    eps = torch.finfo(dtype).eps
    torch.testing.assert_close(a.double(), x + weight * (y - x), rtol=4 * eps, atol=4 * eps)
    torch.testing.assert_close(b.double(), y - weight * (y - x), rtol=4 * eps, atol=4 * eps)
    size = a.double().abs() + b.double().abs()
    rounding = eps / 2 * size + 2e-16 * (size + x.abs() + y.abs())  # of each side, and of the sums below
    assert bool(((a.double() + b.double() - (x + y)).abs() <= rounding).all())


def test_whole_numbers_keep_their_sum_exactly(locks):
    a, b = (torch.randint(-1000, 1000, (70_001,)).float() * 2 for _ in range(2))
    total = a + b
    pair_average(a, b, **locks)
    assert torch.equal(a, b)
    assert torch.equal(a + b, total)


@pytest.mark.parametrize("n", [*SIZES, 9_001])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_lags_relax_and_take_their_part_of_the_distance(n, dtype, locks):
    generator = torch.Generator().manual_seed(n)
    four = [torch.randn(n, generator=generator, dtype=torch.float64).to(dtype) for _ in range(4)]
    a, b, of_a, of_b = (buffer.clone().double() for buffer in four)
    pair_average(four[0], four[1], **locks, lags=Lags(four[2], four[3], rest_a=0.3, rest_b=0.1, gain=0.7))
    a, of_a, b, of_b = a + 0.3 * of_a, 0.7 * of_a, b + 0.1 * of_b, 0.9 * of_b
    expected = [(a + b) / 2, (a + b) / 2, of_a + 0.7 * (b - a), of_b - 0.7 * (b - a)]
    eps = 16 * torch.finfo(dtype).eps
    for found, wanted in zip(four, expected, strict=True):
        torch.testing.assert_close(found.double(), wanted, rtol=eps, atol=eps)


def test_a_locked_chunk_is_skipped_in_the_lags_too(locks):
    four = [torch.full((3 * STRIPE,), float(value)) for value in (1, 5, 0, 0)]
    lags = Lags(four[2], four[3], 0.0, 0.0, 0.5)
    with holding(locks["locks_a"] + LOCK_BYTES):
        assert pair_average(four[0], four[1], **locks, lags=lags) == PairStats(averaged=2, skipped=1, recovered=0)
    assert four[0][::STRIPE].tolist() == [3, 1, 3]
    assert four[2][::STRIPE].tolist() == [2, 0, 2]
    with pytest.raises(ValueError, match=r"weight is 0\.3, and a pair average with lags makes both the mean"):
        pair_average(four[0], four[1], **locks, lags=lags, weight=0.3)


def test_the_two_are_treated_alike(locks):
    a, b = replicas(4099)
    c, d = a.clone(), b.clone()
    pair_average(a, b, **locks, weight=0.3)
    pair_average(d, c, locks_a=locks["locks_b"], locks_b=locks["locks_a"], n_locks=N_LOCKS, weight=0.3)
    assert torch.equal(a, c)
    assert torch.equal(b, d)


@pytest.mark.parametrize(("start", "stop"), [(0, 0), (3, 17), (4000, 4200), (4096, 8192), (17, None)])
def test_only_the_range_is_touched(start, stop, locks):
    a, b = replicas(20_001)
    x, y = a.clone(), b.clone()
    stats = pair_average(a, b, **locks, start=start, stop=stop)
    end = 20_001 if stop is None else stop
    chunks = {i // STRIPE for i in range(start, end)}
    assert stats.averaged == len(chunks)
    here = slice(start, end)
    for before, after in ((x, a), (y, b)):
        assert torch.equal(after[:start], before[:start])
        assert torch.equal(after[end:], before[end:])
        torch.testing.assert_close(after[here], (x[here] + y[here]) / 2)


def test_every_instruction_set_gives_the_same_bits(locks):
    before, results = str(build_info()["isa_in_use"]), []
    try:
        for isa in build_info()["isa"]:
            use_isa(isa)
            a, b = replicas(70_001)
            pair_average(a, b, **locks, weight=0.3)
            results.append((a, b))
    finally:
        use_isa(before)
    for other in results[1:]:
        assert all(torch.equal(got, want) for got, want in zip(other, results[0], strict=True))


@pytest.mark.parametrize("side", ["locks_a", "locks_b"])
def test_a_busy_chunk_is_skipped_and_counted(side, locks):
    """Lock 1 of three: chunks 1 and 4 of six. Everything else is averaged, and all locks are free afterwards."""
    n = 5 * STRIPE + 100
    a, b = replicas(n)
    x, y = a.clone(), b.clone()
    with holding(locks[side] + LOCK_BYTES):
        assert pair_average(a, b, **locks) == PairStats(averaged=4, skipped=2, recovered=0)
    skipped = torch.arange(n) // STRIPE % N_LOCKS == 1
    for before, after in ((x, a), (y, b)):
        assert torch.equal(after[skipped], before[skipped])
        torch.testing.assert_close(after[~skipped], ((x + y) / 2)[~skipped])
    assert pair_average(a, b, **locks, order="blocking") == PairStats(averaged=6, skipped=0, recovered=0)
    torch.testing.assert_close(a, (x + y) / 2)


@pytest.mark.parametrize("side", ["locks_a", "locks_b"])
def test_blocking_waits_for_a_busy_chunk(side, locks):
    a, b = replicas(3 * STRIPE)
    x, y = a.clone(), b.clone()
    results = []
    with holding(locks[side] + LOCK_BYTES):
        waiting = threading.Thread(
            target=lambda: results.append(pair_average(a, b, **locks, order="blocking")), daemon=True
        )
        waiting.start()
        waiting.join(0.05)
        assert waiting.is_alive(), "it did not wait for the lock"
        held = slice(STRIPE, None)
        assert torch.equal(a[held], x[held])
        assert torch.equal(b[held], y[held])
    waiting.join(WAIT_S)
    assert results == [PairStats(averaged=3, skipped=0, recovered=0)]
    torch.testing.assert_close(a, (x + y) / 2)
    torch.testing.assert_close(b, (x + y) / 2)


ARGUMENTS = [
    ({"b": torch.ones(9)}, "b has 9 elements"),
    ({"b": torch.ones(8, dtype=torch.float64)}, r"b is torch\.float64"),
    ({"order": "wait"}, "order is 'wait': expected one of 'skip', 'blocking'"),
    ({"n_locks": 0}, "n_locks >= 1 locks of each replica: here are 0"),
    ({"locks_b": 0}, "at 0x"),
    ({"stop": 9}, "must lie inside"),
]


@pytest.mark.parametrize(("change", "message"), ARGUMENTS)
def test_arguments_that_do_not_fit(change, message, locks):
    with pytest.raises(ValueError, match=message):
        pair_average(**{"a": torch.ones(8), "b": torch.ones(8), **locks, **change})


def test_a_replica_is_not_averaged_with_itself(locks):
    x = torch.ones(8)
    with pytest.raises(ValueError, match="overlap in memory"):
        pair_average(x, x, **locks)
    with pytest.raises(ValueError, match="locks of each replica"):
        pair_average(x, torch.ones(8), locks_a=128, locks_b=128, n_locks=1)
