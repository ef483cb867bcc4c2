"""Exchanges and a diffusion on one thread, compared with memory traffic and with equivalent torch operations."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench.contestants import Contestant, compete
from bench.replicas import Replicas
from bench.scale import SCALE
from hogwild import reference
from hogwild.kernels import Exchange, Push, diffuse
from hogwild.rules import Access, Guard, Nesterov, buffers_of

ALPHA = 0.225  # beta = 0.9 over four workers
RING = 1 / 3
LR, RHO, WORKERS = 0.01, 2.5, 4
STEP_LR, MOMENTUM = 1e-5, 0.9  # lr is small because the same gradient is pushed thousands of times


@pytest.fixture(scope="module", params=SCALE.mix_sizes, ids=str)
def replicas(request: pytest.FixtureRequest) -> Replicas:
    return Replicas(SCALE.mix_sizes[request.param])


@pytest.mark.benchmark(group="mix: elastic exchange")
def test_elastic(benchmark: BenchmarkFixture, replicas: Replicas) -> None:
    x, center = replicas.at["x"], replicas.at["center"]
    kept = torch.empty_like(x)

    def two_lerps() -> None:
        x.lerp_(center, ALPHA)
        center.lerp_(x, ALPHA / (1 - ALPHA))

    def three_operations() -> None:
        d = x - center
        x.sub_(d, alpha=ALPHA)
        center.add_(d, alpha=ALPHA)

    def three_operations_kept() -> None:
        torch.sub(x, center, out=kept)
        x.sub_(kept, alpha=ALPHA)
        center.add_(kept, alpha=ALPHA)

    def oracle(at: dict[str, reference.Array]) -> None:
        reference.elastic(at["x"], at["center"], alpha=ALPHA)

    def exchange(access: Access, stop: int | None = None) -> Contestant:
        kernel = Exchange(access)
        if stop == 0:
            return Contestant("call", 0, lambda: kernel.elastic(x, center, ALPHA, stop=0))
        return replicas.checked("push", 16, lambda: kernel.elastic(x, center, ALPHA), oracle)

    contestants = {
        "elastic": exchange(Access.RACING),
        "elastic, atomic": exchange(Access.ATOMIC),
        "elastic of no element": exchange(Access.RACING, stop=0),
        "torch, two lerps": replicas.checked("rival", 16, two_lerps, oracle),
        "torch, 3 operations": replicas.checked("rival", 16, three_operations, oracle),
        "torch, 3 operations, kept temporary": replicas.checked("rival", 16, three_operations_kept, oracle),
        **replicas.streams(),
    }
    compete(benchmark, replicas.n, contestants, SCALE.push_rounds)


@pytest.mark.benchmark(group="mix: elastic step")
@pytest.mark.parametrize("m", [None, MOMENTUM], ids=["plain", "nesterov"])
def test_elastic_step(benchmark: BenchmarkFixture, replicas: Replicas, m: float | None) -> None:
    x, center, v, g = (replicas.at[name] for name in ("x", "center", "v", "g"))
    momentum, bytes = (None, 20) if m is None else (Nesterov(m), 28)
    kept = torch.empty_like(x)

    def in_torch() -> None:
        if m is None:
            torch.sub(x, center, out=kept)
        else:
            torch.add(x, v, alpha=STEP_LR * m, out=kept).sub_(center)
            v.mul_(m).add_(g)
            x.add_(v, alpha=-STEP_LR * m)
        center.add_(kept, alpha=ALPHA)
        x.sub_(kept, alpha=ALPHA).add_(g, alpha=-STEP_LR)

    def oracle(at: dict[str, reference.Array]) -> None:
        buffers = {name: at[name] for name in ("x", "center", *buffers_of(momentum))}
        segments = [(0, at["x"].size)]
        reference.push(
            buffers, segments, [at["g"]], lr=STEP_LR, pushes=0, lr_max=STEP_LR, alpha=ALPHA, momentum=momentum
        )

    def push(guard: Guard, stop: int | None = None) -> Callable[[], object]:
        step = Push(
            x=x, center=center, v=None if m is None else v, segments=[(0, replicas.n)], momentum=momentum, guard=guard
        )
        return lambda: step([g], lr=STEP_LR, pushes=0, lr_max=STEP_LR, alpha=ALPHA, stop=stop)

    contestants = {
        "push, guard element": replicas.checked("push", bytes, push(Guard.ELEMENT), oracle),
        "push, guard push": replicas.checked("push", bytes + 4, push(Guard.PUSH), oracle),
        "push of no element": Contestant("call", 0, push(Guard.ELEMENT, stop=0)),
        "torch operations, kept temporary": replicas.checked("rival", bytes, in_torch, oracle),
        **replicas.streams(),
    }
    compete(benchmark, replicas.n, contestants, SCALE.push_rounds)


@pytest.mark.benchmark(group="mix: deliver")
def test_deliver(benchmark: BenchmarkFixture, replicas: Replicas) -> None:
    x, base, center = (replicas.at[name] for name in ("x", "base", "center"))

    def in_torch() -> None:
        center.add_(x).sub_(base)
        x.copy_(center)
        base.copy_(center)

    def oracle(at: dict[str, reference.Array]) -> None:
        reference.deliver(at["x"], at["center"], at["base"])

    kernel = Exchange()
    contestants = {
        "deliver": replicas.checked("push", 24, lambda: kernel.deliver(x, base, center), oracle),
        "deliver of no element": Contestant("call", 0, lambda: kernel.deliver(x, base, center, stop=0)),
        "torch, 4 operations": replicas.checked("rival", 24, in_torch, oracle),
        **replicas.streams(),
    }
    compete(benchmark, replicas.n, contestants, SCALE.push_rounds)


@pytest.mark.benchmark(group="mix: admm")
def test_admm(benchmark: BenchmarkFixture, replicas: Replicas) -> None:
    x, multiplier, center, g = (replicas.at[name] for name in ("x", "multiplier", "center", "g"))
    kept = torch.empty_like(x)

    def in_torch() -> None:
        multiplier.sub_(x).add_(center)
        torch.add(multiplier, center, out=kept)
        x.add_(g, alpha=-LR).add_(kept, alpha=LR * RHO).div_(1 + LR * RHO)
        torch.sub(x, center, out=kept)
        center.add_(kept, alpha=1 / WORKERS)

    def oracle(at: dict[str, reference.Array]) -> None:
        reference.admm(at["x"], at["center"], at["multiplier"], at["g"], lr=LR, rho=RHO, workers=WORKERS)

    kernel = Exchange()

    def turn(stop: int | None = None) -> None:
        kernel.admm(x, multiplier, center, g, lr=LR, rho=RHO, workers=WORKERS, stop=stop)

    contestants = {
        "admm": replicas.checked("push", 28, turn, oracle),
        "admm of no element": Contestant("call", 0, lambda: turn(stop=0)),
        "torch, 8 operations, kept temporary": replicas.checked("rival", 28, in_torch, oracle),
        **replicas.streams(),
    }
    compete(benchmark, replicas.n, contestants, SCALE.push_rounds)


@pytest.mark.benchmark(group="mix: diffusion over 2 neighbours")
def test_diffuse(benchmark: BenchmarkFixture, replicas: Replicas) -> None:
    own, out, left, right, c = (replicas.at[name] for name in ("x", "out", "left", "right", "correction"))
    neighbours, weights = [left, right], [RING, RING]

    def torch_row() -> None:
        torch.mul(own, 1 - 2 * RING, out=out).add_(left, alpha=RING).add_(right, alpha=RING)

    def torch_row_corrected() -> None:
        torch_row()
        c.add_(out).sub_(own)

    def row(at: dict[str, reference.Array]) -> None:
        reference.diffuse(at["out"], at["x"], [at["left"], at["right"]], weights)

    def corrected(at: dict[str, reference.Array]) -> None:
        reference.diffuse(at["out"], at["x"], [at["left"], at["right"]], weights, at["correction"])

    contestants = {
        "diffuse": replicas.checked("push", 16, lambda: diffuse(out, own, neighbours, weights), row),
        "diffuse, corrected": replicas.checked(
            "push", 24, lambda: diffuse(out, own, neighbours, weights, c), corrected
        ),
        "diffuse of no element": Contestant("call", 0, lambda: diffuse(out, own, neighbours, weights, stop=0)),
        "torch, weighted chain": replicas.checked("rival", 16, torch_row, row),
        "torch, weighted chain, corrected": replicas.checked("rival", 24, torch_row_corrected, corrected),
        **replicas.streams(),
    }
    compete(benchmark, replicas.n, contestants, SCALE.push_rounds)
