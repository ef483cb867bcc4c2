"""Concurrent pushes: what `atomic` and `striped` promise holds exactly; `racing` stays finite and never tears."""

from __future__ import annotations

import threading

import pytest
import torch
from kernel_cases import Case

from hogwild.kernels import Push
from hogwild.kernels.control import Control
from hogwild.rules import Access, Gap, Guard, HeavyBall

N = 40_000  # three stripes, the last one partial
WORKERS, PUSHES = 4, 60
SEGMENTS = [(0, 20_001), (20_032, N - 20_032)]


@pytest.fixture
def locks():
    """Address and number of striped locks; `memory` holds them."""
    size = Control.bytes(1, 2)
    memory = torch.zeros(size + 128, dtype=torch.uint8)
    address = -(-memory.data_ptr() // 128) * 128
    control = Control(address, 1, 2, True)
    yield control.stripe_locks, 2
    del memory


def run_threads(pushes: list[Push], grads: list[torch.Tensor], times: int, **call: float) -> None:
    """Each Push in its own thread, `times` times, starting together. The GIL is released inside."""
    barrier = threading.Barrier(len(pushes))
    failures: list[BaseException] = []

    def work(push: Push) -> None:
        try:
            barrier.wait(30)
            for _ in range(times):
                push(grads, pushes=1, lr_max=1.0, **call)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=(push,)) for push in pushes]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def ones(dtype: torch.dtype) -> list[torch.Tensor]:
    return [torch.ones(numel, dtype=dtype) for _, numel in SEGMENTS]


def inside(buffer: torch.Tensor) -> torch.Tensor:
    return torch.cat([buffer[offset : offset + numel] for offset, numel in SEGMENTS])


@pytest.mark.parametrize("access", [Access.ATOMIC, Access.STRIPED])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_update_is_lost(access, dtype, locks):
    """m = 1 and g = 1 make v count the pushes, 1..P each once, and x their sum: any lost update changes the total."""
    stripes, n_stripes = locks if access is Access.STRIPED else (0, 0)
    x, v = torch.zeros(N, dtype=dtype), torch.zeros(N, dtype=dtype)
    pushes = [
        Push(
            x=x,
            v=v,
            snapshot=torch.zeros(N, dtype=dtype),
            segments=SEGMENTS,
            momentum=HeavyBall(1.0),
            access=access,
            stripes=stripes,
            n_stripes=n_stripes,
        )
        for _ in range(WORKERS)
    ]
    run_threads(pushes, ones(dtype), PUSHES, lr=1.0)
    total = WORKERS * PUSHES
    assert bool((inside(v) == total).all())
    assert bool((inside(x) == -total * (total + 1) / 2).all())


def test_atomic_without_momentum_conserves_the_sum():
    x = torch.zeros(N)
    pushes = [Push(x=x, segments=SEGMENTS, access=Access.ATOMIC) for _ in range(WORKERS)]
    run_threads(pushes, ones(torch.float32), PUSHES, lr=1.0)
    assert bool((inside(x) == -WORKERS * PUSHES).all())


def test_racing_may_lose_updates_but_never_tears_one():
    x = torch.zeros(N)
    pushes = [Push(x=x, segments=SEGMENTS, access=Access.RACING) for _ in range(WORKERS)]
    run_threads(pushes, ones(torch.float32), PUSHES, lr=1.0)
    values = inside(x)
    assert bool((values == values.round()).all())
    assert bool((values <= -PUSHES).all())
    assert bool((values >= -WORKERS * PUSHES).all())


def test_gap_aware_under_contention_stays_finite():
    x, v, s = (torch.zeros(N) for _ in range(3))
    pushes = [
        Push(x=x, v=v, s=s, snapshot=torch.zeros(N), segments=SEGMENTS, penalty=Gap(), momentum=HeavyBall(0.9))
        for _ in range(WORKERS)
    ]
    run_threads(pushes, ones(torch.float32), PUSHES, lr=1e-3)
    assert all(bool(buffer.isfinite().all()) for buffer in (x, v, s))


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("guard", list(Guard))
def test_alone_every_policy_gives_the_same_bits(dtype, guard, locks):
    results = []
    for access in Access:
        stripes = locks if access is Access.STRIPED else (0, 0)
        case = Case(
            sizes=(17, 33_000),
            dtype=dtype,
            penalty=Gap(),
            momentum=HeavyBall(0.9),
            access=access,
            guard=guard,
            stripes=stripes,
        )
        case.push(case.grads, lr=0.1, pushes=3, lr_max=0.1)
        results.append(case.buffers)
    for other in results[1:]:
        for name, buffer in results[0].items():
            assert torch.equal(buffer, other[name])
