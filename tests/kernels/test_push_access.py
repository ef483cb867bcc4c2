"""Concurrent pushes: the guarantees of `atomic` and `striped` hold exactly; `racing` stays finite and never tears."""

from __future__ import annotations

import threading

import pytest
import torch
from kernel_cases import Case

from hogwild.kernels import Push
from hogwild.rules import Access, Dana, Gap, Guard, HeavyBall, Smega2

N = 400_000  # long enough for threads to collide: a push without its compare-and-exchange fails here every time
PUSHES = 40
STARTS = (0, 0, 17_000, 40_000)  # start of each worker's pushes, so that workers are in different stripes
WORKERS = len(STARTS)
SEGMENTS = [(0, 20_001), (20_032, N - 20_032)]


def run_threads(pushes: list[Push], grads: list[torch.Tensor], lr: float) -> None:
    """Each Push in its own thread, PUSHES times, starting together. The GIL is released inside."""
    barrier = threading.Barrier(len(pushes))
    failures: list[BaseException] = []

    def work(push: Push, start: int) -> None:
        try:
            barrier.wait(30)
            for _ in range(PUSHES):
                push(grads, lr=lr, pushes=1, lr_max=lr, start=start)
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=work, args=pair) for pair in zip(pushes, STARTS, strict=True)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not failures


def pushed(dtype: torch.dtype) -> torch.Tensor:
    """The number of pushes of each element inside the segments."""
    position = torch.arange(N)
    return inside(sum((position >= start).to(dtype) for start in STARTS) * PUSHES)


def ones(dtype: torch.dtype) -> list[torch.Tensor]:
    return [torch.ones(numel, dtype=dtype) for _, numel in SEGMENTS]


def inside(buffer: torch.Tensor) -> torch.Tensor:
    return torch.cat([buffer[offset : offset + numel] for offset, numel in SEGMENTS])


@pytest.mark.parametrize("access", [Access.ATOMIC, Access.STRIPED])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_no_update_is_lost(access, dtype, locks):
    """m = 1 and g = 1 make v count an element's pushes, 1..P each once, and x their sum: a lost update changes it."""
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
    run_threads(pushes, ones(dtype), lr=1.0)
    total = pushed(dtype)
    assert torch.equal(inside(v), total)
    assert torch.equal(inside(x), -total * (total + 1) / 2)


@pytest.mark.parametrize("access", [Access.ATOMIC, Access.STRIPED])
def test_v_sum_stays_the_sum_of_all_v(access, locks):
    """m = 1 and g = 1 keep all numbers integers: each v counts its worker's pushes, v_sum those of all."""
    stripes, n_stripes = locks if access is Access.STRIPED else (0, 0)
    x, v_sum = torch.zeros(N), torch.zeros(N)
    own = [torch.zeros(N) for _ in STARTS]
    pushes = [
        Push(
            x=x,
            v=v,
            v_sum=v_sum,
            snapshot=torch.zeros(N),
            segments=SEGMENTS,
            momentum=Dana(1.0),
            access=access,
            stripes=stripes,
            n_stripes=n_stripes,
        )
        for v in own
    ]
    run_threads(pushes, ones(torch.float32), lr=1.0)
    assert torch.equal(v_sum, sum(own))
    assert torch.equal(inside(v_sum), pushed(torch.float32))


def test_smega2_loses_no_gradient_under_atomic():
    """Two workers flush with every push, the others never: every gradient is either in b or in v."""
    x, v, b = torch.zeros(N), torch.zeros(N), torch.zeros(N)
    pushes = [
        Push(
            x=x,
            v=v,
            b=b,
            snapshot=torch.zeros(N),
            segments=SEGMENTS,
            momentum=Smega2(1.0, workers),
            access=Access.ATOMIC,
        )
        for workers in (1, 1 << 20, 1 << 20, 1)
    ]
    run_threads(pushes, ones(torch.float32), lr=1.0)
    assert torch.equal(inside(v + b), pushed(torch.float32))


def test_atomic_without_momentum_conserves_the_sum():
    x = torch.zeros(N)
    pushes = [Push(x=x, segments=SEGMENTS, access=Access.ATOMIC) for _ in range(WORKERS)]
    run_threads(pushes, ones(torch.float32), lr=1.0)
    assert torch.equal(inside(x), -pushed(torch.float32))


def test_racing_may_lose_updates_but_never_tears_one():
    x = torch.zeros(N)
    pushes = [Push(x=x, segments=SEGMENTS, access=Access.RACING) for _ in range(WORKERS)]
    run_threads(pushes, ones(torch.float32), lr=1.0)
    values = inside(x)
    assert torch.equal(values, values.round())
    assert bool((values <= -1).all())
    assert bool((values >= -pushed(torch.float32)).all())


def test_gap_aware_under_contention_stays_finite():
    x, v, s = (torch.zeros(N) for _ in range(3))
    pushes = [
        Push(x=x, v=v, s=s, snapshot=torch.zeros(N), segments=SEGMENTS, penalty=Gap(), momentum=HeavyBall(0.9))
        for _ in range(WORKERS)
    ]
    run_threads(pushes, ones(torch.float32), lr=1e-3)
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
