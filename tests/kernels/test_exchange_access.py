"""Concurrent exchanges: under `atomic`, `striped` and `locked` no addition is lost; `racing` stays in bounds."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable

import pytest
import torch

from hogwild.kernels import Exchange
from hogwild.rules import Access

N = 200_000  # long enough for threads to collide
TIMES = 40
STARTS = (0, 0, 17_000, 40_000)  # start of each worker's exchanges, so that workers are in different stripes
WORKERS = len(STARTS)
LOSSLESS = [Access.ATOMIC, Access.STRIPED, Access.LOCKED]
DTYPES = [torch.float32, torch.float64]


@pytest.fixture
def exchanging(locks):
    """An Exchange for an access policy, and the context in which to call it."""
    one_lock = threading.Lock()

    def choose(access: Access) -> tuple[Exchange, contextlib.AbstractContextManager[object]]:
        if access is Access.STRIPED:
            return Exchange(access, *locks), contextlib.nullcontext()
        return Exchange(access), one_lock if access is Access.LOCKED else contextlib.nullcontext()

    return choose


def run_threads(work: Callable[[int, int], None]) -> None:
    """Runs work(rank, turn) TIMES times in a thread per rank, starting together. The GIL is released inside the
    kernels.
    """
    barrier = threading.Barrier(WORKERS)
    failures: list[BaseException] = []

    def body(rank: int) -> None:
        try:
            barrier.wait(30)
            for turn in range(TIMES):
                work(rank, turn)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=body, args=(rank,)) for rank in range(WORKERS)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def random(count: int, dtype: torch.dtype) -> list[torch.Tensor]:
    generator = torch.Generator().manual_seed(count)
    return [torch.randn(N, generator=generator, dtype=torch.float64).to(dtype) for _ in range(count)]


def total(buffers: list[torch.Tensor]) -> torch.Tensor:
    return torch.stack(buffers).double().sum(0)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("access", LOSSLESS)
def test_elastic_exchanges_conserve_the_sum(access, dtype, exchanging):
    """Each worker changes its x up and down between exchanges, so that every lost addition shows."""
    exchange, context = exchanging(access)
    center, *rest = random(1 + 2 * WORKERS, dtype)
    x, kick = rest[:WORKERS], rest[WORKERS:]
    before = total([center, *x])

    def work(rank: int, turn: int) -> None:
        x[rank].add_(kick[rank], alpha=1 - 2 * (turn % 2))
        with context:
            exchange.elastic(x[rank], center, 0.3, start=STARTS[rank])

    run_threads(work)
    drift = (total([center, *x]) - before).abs().max()
    assert drift <= WORKERS * TIMES * 4 * torch.finfo(dtype).eps


@pytest.mark.parametrize("access", LOSSLESS)
def test_no_delivery_is_lost(access, exchanging):
    """Each worker steps by 1 between deliveries: all numbers are integers, and the center counts the steps."""
    exchange, context = exchanging(access)
    center = torch.zeros(N)
    x, base = ([torch.zeros(N) for _ in STARTS] for _ in range(2))

    def work(rank: int, _turn: int) -> None:
        x[rank][STARTS[rank] :] += 1
        with context:
            exchange.deliver(x[rank], base[rank], center, start=STARTS[rank])

    run_threads(work)
    position = torch.arange(N)
    assert torch.equal(center, sum((position >= start).float() for start in STARTS) * TIMES)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("access", LOSSLESS)
def test_admm_keeps_the_center_at_the_mean(access, dtype, exchanging):
    exchange, context = exchanging(access)
    g = random(WORKERS, dtype)
    x = [torch.ones(N, dtype=dtype) for _ in STARTS]
    multiplier = [torch.zeros(N, dtype=dtype) for _ in STARTS]
    center = torch.ones(N, dtype=dtype)

    def work(rank: int, turn: int) -> None:
        with context:
            exchange.admm(
                x[rank], multiplier[rank], center, g[(rank + turn) % WORKERS], lr=0.1, rho=2.5, workers=WORKERS,
                start=STARTS[rank],
            )  # fmt: skip

    run_threads(work)
    largest = max(float(m.abs().max()) for m in multiplier)
    drift = (center - (total(x) - total(multiplier)) / WORKERS).abs().max()
    assert drift <= WORKERS * TIMES * (1 + largest) * torch.finfo(dtype).eps


@pytest.mark.parametrize("access", LOSSLESS)
def test_mailboxes_lose_nothing_between_send_and_drain(access, exchanging):
    """All workers but one send integers to the last one, which drains its mailbox meanwhile."""
    exchange, context = exchanging(access)
    x, box = [torch.zeros(N) for _ in STARTS], torch.zeros(N)

    def work(rank: int, _turn: int) -> None:
        x[rank] += 1
        with context:
            if rank:
                exchange.send(box, x[rank], 1.0, start=STARTS[rank])
            else:
                exchange.drain(x[0], box)

    run_threads(work)
    exchange.drain(x[0], box)
    assert torch.equal(box, torch.zeros(N))
    assert torch.equal(total(x), torch.full((N,), float(WORKERS * TIMES), dtype=torch.float64))


def test_racing_stays_between_the_values_it_started_from(exchanging):
    """Lost additions change sums, but every value written is between two that were read, so no element was torn."""
    exchange, _ = exchanging(Access.RACING)
    center, *x = (buffer.clamp(-1, 1) for buffer in random(1 + WORKERS, torch.float32))
    before = [buffer.clone() for buffer in (center, *x)]
    run_threads(lambda rank, _turn: exchange.elastic(x[rank], center, 0.5, start=STARTS[rank]))
    for buffer, old in zip((center, *x), before, strict=True):
        assert bool((buffer.abs() <= 1 + 1e-6).all())
        assert not torch.equal(buffer, old)
