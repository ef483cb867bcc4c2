"""Identities: DANA and SMEGA2 with one worker are Nesterov, OrMo after its flush is synchronous momentum SGD, and a
stage with neutral constants has no effect.
"""

from __future__ import annotations

import numpy as np
import pytest
import torch
from kernel_cases import Case, same_statistics

from hogwild.kernels import Push, weighted_sum
from hogwild.rules import Compensation, Dana, Gap, Guard, HeavyBall, Momentum, Nesterov, OrMo, Smega2, look_ahead

N = 65
CALL = {"lr": 0.1, "weight_decay": 0.01, "pushes": 3, "lr_max": 0.1}


def same_push(one: Case, other: Case, one_call: dict[str, float], other_call: dict[str, float], ulps: int = 0) -> None:
    """Both cases push the gradients of the first, from the buffers of the first, with equal results."""
    for name, buffer in other.buffers.items():
        buffer.copy_(one.buffers[name])
    one.push(one.grads, **one_call)
    other.push(one.grads, **other_call)
    for name, buffer in other.buffers.items():
        torch.testing.assert_close(buffer, one.buffers[name], rtol=ulps * 2e-16, atol=ulps * 2e-16)


@pytest.mark.parametrize("momentum", [None, HeavyBall(0.9), Nesterov(0.9), Dana(0.9)])
@pytest.mark.parametrize("adaptive", [False, True])
def test_compensation_of_strength_zero_is_none(momentum, adaptive):
    with_stage = Case(momentum=momentum, compensation=Compensation(lam=0.0, adaptive=adaptive))
    same_push(with_stage, Case(momentum=momentum), CALL, CALL)


@pytest.mark.parametrize("clip", [1e6, 0.0])
def test_a_large_clip_is_none(clip):
    same_push(Case(momentum=HeavyBall(0.9)), Case(momentum=HeavyBall(0.9)), {**CALL, "clip": clip}, CALL)


@pytest.mark.parametrize("scale", [1.0, -0.5, 3.0])
def test_a_small_clip_gives_the_gradient_that_length(scale):
    case = Case(momentum=None)
    before = case.buffers["x"].clone()
    stats = case.push(case.grads, lr=1.0, pushes=0, lr_max=1.0, scale=scale, clip=0.25)
    raw = torch.cat(case.grads)
    assert stats.grad_norm == pytest.approx(abs(scale) * float(raw.norm()), rel=1e-12)
    moved = torch.cat([(case.buffers["x"] - before)[o : o + n] for o, n in case.segments])
    torch.testing.assert_close(moved, -np.sign(scale) * 0.25 * raw / raw.norm())
    assert stats.step_sq == pytest.approx(0.25**2)


def test_scale_multiplies_the_gradient():
    one, other = Case(momentum=HeavyBall(0.9), seed=3), Case(momentum=HeavyBall(0.9), seed=3)
    other.grads = [0.5 * g for g in one.grads]
    one.push(one.grads, **CALL, scale=0.5)
    other.push(other.grads, **CALL)
    for name, buffer in one.buffers.items():
        assert torch.equal(buffer, other.buffers[name])


@pytest.mark.parametrize("momentum", [None, HeavyBall(0.9), Dana(0.9)])
@pytest.mark.parametrize("unit", ["v", "g", "step"])
@pytest.mark.parametrize("form", ["exact", "lagged", "sized"])
def test_layer_gap_of_one_segment_is_global(momentum, unit, form):
    def gap(level: str) -> Gap:
        return (
            Gap(0.9, unit=unit, size=level)
            if form == "sized"
            else Gap(0.9, unit=unit, level=level, lagged=form == "lagged")
        )

    layer, whole = (Case(sizes=(4099,), momentum=momentum, penalty=gap(level)) for level in ("layer", "global"))
    for pushes in range(4):
        for case in (layer, whole):
            case.new_gradients()
            case.buffers["snapshot"].sub_(0.3)  # else a single worker has no gap
            stats = case.push(case.grads, lr=0.1, pushes=pushes, lr_max=0.1)
            assert stats.penalty > 1
    for name, buffer in layer.buffers.items():
        assert torch.equal(buffer, whole.buffers[name])
    assert torch.equal(layer.gap_state, whole.gap_state)


def test_a_lagged_gap_is_that_of_the_previous_push():
    case = Case(sizes=(4099,), momentum=HeavyBall(0.9), penalty=Gap(0.9, level="global", lagged=True))
    exact = Case(sizes=(4099,), momentum=HeavyBall(0.9), penalty=Gap(0.9, level="global"))
    first = case.push(case.grads, **CALL)
    case.buffers["snapshot"].add_(7.0)
    for name, buffer in case.buffers.items():
        exact.buffers[name].copy_(buffer)
    exact.gap_state.copy_(case.gap_state)
    moved = exact.buffers["snapshot"].clone()
    exact.buffers["snapshot"].copy_(exact.buffers["x"])
    exact.buffers["snapshot"][: case.sizes[0]] += (first.gap_sq / case.sizes[0]) ** 0.5  # a gap as long as the first
    lagged, other = case.push(case.grads, **CALL), exact.push(case.grads, **CALL)
    assert lagged.penalty == pytest.approx(other.penalty, rel=1e-12)
    assert lagged.penalty > 1
    assert lagged.gap_sq > first.gap_sq
    assert not torch.equal(moved, exact.buffers["snapshot"])


class Quadratic:
    """f(x) = sum a x^2 / 2, and the buffers of one master on it."""

    def __init__(self) -> None:
        generator = torch.Generator().manual_seed(2)
        self.curvature = torch.rand(N, generator=generator, dtype=torch.float64) + 0.5
        self.start = torch.randn(N, generator=generator, dtype=torch.float64)

    def gradient(self, at: torch.Tensor) -> torch.Tensor:
        return self.curvature * at

    def push(self, momentum: Momentum, names: str = "", **shared: torch.Tensor) -> tuple[Push, dict[str, torch.Tensor]]:
        zeros = {name: torch.zeros(N, dtype=torch.float64) for name in ("v", *names.split())}
        buffers = {"x": self.start.clone(), "snapshot": self.start.clone(), **zeros, **shared}
        return Push(**buffers, segments=[(0, N)], momentum=momentum), buffers


@pytest.mark.parametrize("momentum", [Dana(0.9), Smega2(0.9, 1), Smega2(0.9, 1, advanced=False)])
def test_looking_ahead_with_one_worker_is_nesterov(momentum):
    """In Bengio's form: the snapshots are the parameters of torch.optim.SGD(nesterov=True)."""
    f = Quadratic()
    push, at = f.push(momentum, "v_sum" if isinstance(momentum, Dana) else "b")
    parameter = torch.nn.Parameter(f.start.clone())
    optimizer = torch.optim.SGD([parameter], lr=0.05, momentum=0.9, nesterov=True)
    for t in range(60):
        parameter.grad = f.gradient(parameter.detach())
        optimizer.step()
        push([f.gradient(at["snapshot"])], lr=0.05, pushes=t, lr_max=0.05)
        torch.testing.assert_close(at["snapshot"], parameter.detach(), rtol=0, atol=1e-13)
    assert float(parameter.detach().abs().max()) < float(f.start.abs().max())


def test_dana_zero_is_dana_slim():
    """Six workers in a random order: their look-ahead point is x of the form without shared momentum."""
    f, workers, rng = Quadratic(), 6, np.random.default_rng(0)
    x, v_sum, theta = f.start.clone(), torch.zeros(N, dtype=torch.float64), f.start.clone()
    zero = [f.push(Dana(0.9), x=x, v_sum=v_sum) for _ in range(workers)]
    slim = [f.push(Nesterov(0.9), x=theta) for _ in range(workers)]
    for t, worker in enumerate(rng.integers(0, workers, 400)):
        for push, at in (zero[worker], slim[worker]):
            push([f.gradient(at["snapshot"])], lr=0.004, pushes=t, lr_max=0.004)
        torch.testing.assert_close(zero[worker][1]["snapshot"], theta, rtol=0, atol=1e-12)
    torch.testing.assert_close(v_sum, sum(at["v"] for _, at in zero), rtol=0, atol=1e-12)


@pytest.mark.parametrize("momentum", [Dana(0.9), Smega2(0.9, 3), Smega2(0.9, 3, advanced=False), HeavyBall(0.9)])
def test_a_pull_looks_ahead_like_the_push(momentum):
    f = Quadratic()
    push, at = f.push(momentum, {Dana: "v_sum", Smega2: "b"}.get(type(momentum), ""))
    for t in range(5):
        push([f.gradient(at["snapshot"])], lr=0.05, pushes=t, lr_max=0.05)
        weights = look_ahead(momentum, lr=0.05, pushes=t + 1)
        pulled = torch.empty(N, dtype=torch.float64)
        weighted_sum(pulled, [at["x"], *(at[name] for name in weights)], [1.0, *(-w for w in weights.values())])
        torch.testing.assert_close(pulled, at["snapshot"], rtol=0, atol=1e-14)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_smega2_without_delay_of_its_buffers_adds_up(workers):
    """After every N pushes v is m v + the mean of their gradients, b is zero; between, b holds their sum."""
    f = Quadratic()
    push, at = f.push(Smega2(0.8, workers), "b")
    v, since = torch.zeros(N, dtype=torch.float64), torch.zeros(N, dtype=torch.float64)
    for t in range(7):
        g = f.gradient(at["snapshot"])
        x = at["x"].clone()
        push([g], lr=0.05, pushes=t, lr_max=0.05)
        torch.testing.assert_close(at["x"], x - 0.05 * (g + 0.8 * v), rtol=0, atol=1e-15)
        since = since + g
        if (t + 1) % workers == 0:
            v, since = 0.8 * v + since / workers, torch.zeros_like(since)
        torch.testing.assert_close(at["v"], v, rtol=0, atol=1e-14)
        torch.testing.assert_close(at["b"], since, rtol=0, atol=1e-14)


@pytest.mark.parametrize("workers", [1, 2, 5])
def test_ormo_once_flushed_is_synchronous_momentum(workers):
    """Gradients arrive in a random order; w and u then equal those of momentum SGD with one step per bucket."""
    rng, m, lr = np.random.default_rng(workers), 0.9, 0.1
    f = Quadratic()
    push, at = f.push(OrMo(m, workers))
    pulled = [0] * workers  # the version of each worker's snapshot
    buckets: dict[int, np.ndarray] = {}
    total = 8 * workers + 1
    for t in range(total):
        worker = int(rng.integers(workers))
        g = torch.from_numpy(rng.standard_normal(N))
        buckets[pulled[worker] // workers] = buckets.get(pulled[worker] // workers, 0) + g.numpy()
        push([g], lr=lr, pushes=t, lr_max=lr, delay=t - pulled[worker])
        pulled[worker] = t + 1
    w, u = f.start.numpy().copy(), np.zeros(N)
    for bucket in range((total - 1) // workers + 1):
        u = m * u + lr * buckets.get(bucket, 0)
        w -= u
    np.testing.assert_allclose(at["x"].numpy(), w, rtol=0, atol=1e-13)
    np.testing.assert_allclose(at["v"].numpy(), u, rtol=0, atol=1e-13)


@pytest.mark.parametrize("unit", ["v", "step"])
@pytest.mark.parametrize(
    "form",
    [
        {}, {"level": "layer"}, {"level": "layer", "lagged": True}, {"level": "global"},
        {"level": "global", "lagged": True}, {"size": "layer"}, {"size": "global"},
    ],
)  # fmt: skip
def test_a_constant_gradient_meets_a_penalty_of_one_plus_delay(unit, form):
    """Straight-line motion in turn, every worker `delay` updates behind: in units of a step the gap is the delay."""
    delay, lr = 3, 0.01
    x, v, s = (torch.zeros(16, dtype=torch.float64) for _ in range(3))
    rule = Gap(0.9, unit=unit, **form)
    state = {"gap_state": torch.zeros(1, 3, dtype=torch.float64)} if rule.rows else {"s": s}
    pushes = [
        Push(x=x, snapshot=torch.zeros(16, dtype=torch.float64), v=v, segments=[(0, 16)], penalty=rule, **state,
             momentum=HeavyBall(0.5))
        for _ in range(delay + 1)
    ]  # fmt: skip
    for t in range(2000):
        stats = pushes[t % (delay + 1)]([torch.ones(16, dtype=torch.float64)], lr=lr, pushes=t, lr_max=lr)
    assert stats.penalty == pytest.approx(1 + delay, rel=1e-5)


def test_raw_gradients_meet_a_penalty_of_the_root_of_the_delay():
    """With C from g the penalised steps shorten the gap: G = (1 + sqrt(1 + 4 tau)) / 2."""
    delay, lr = 6, 0.01
    x, s = (torch.zeros(16, dtype=torch.float64) for _ in range(2))
    pushes = [
        Push(x=x, snapshot=torch.zeros(16, dtype=torch.float64), s=s, segments=[(0, 16)], penalty=Gap(0.9, unit="g"))
        for _ in range(delay + 1)
    ]
    for t in range(2000):
        stats = pushes[t % (delay + 1)]([torch.ones(16, dtype=torch.float64)], lr=lr, pushes=t, lr_max=lr)
    assert stats.penalty == pytest.approx((1 + (1 + 4 * delay) ** 0.5) / 2, rel=1e-5)


def test_the_guards_agree_on_finite_gradients():
    for momentum in (Dana(0.9), Smega2(0.9, 2), OrMo(0.9, 2)):
        cases = [Case(momentum=momentum, guard=guard) for guard in Guard]
        stats = [case.run(**CALL, delay=2) for case in cases]
        for got, want in stats:
            same_statistics(got, want, 1e-11)
        for name, buffer in cases[0].buffers.items():
            assert torch.equal(buffer, cases[1].buffers[name])
