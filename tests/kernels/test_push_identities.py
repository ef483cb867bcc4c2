"""Identities: torch.optim.SGD with one worker, a gap of zero, a first push, a skipped penalty."""

from __future__ import annotations

import pytest
import torch
from kernel_cases import Case, place

from hogwild.kernels import Push
from hogwild.rules import Gap, HeavyBall, Nesterov

SHAPES = ((3, 5), (64, 17), (1,), (4099,))
STEPS = 50

SGD = [
    (None, {}),
    (None, {"weight_decay": 0.05}),
    (HeavyBall(0.9), {"momentum": 0.9}),
    (HeavyBall(0.9), {"momentum": 0.9, "weight_decay": 0.05}),
    (HeavyBall(0.8, dampening=0.5), {"momentum": 0.8, "dampening": 0.5, "weight_decay": 0.01}),
    (Nesterov(0.9), {"momentum": 0.9, "nesterov": True}),
    (Nesterov(0.9), {"momentum": 0.9, "nesterov": True, "weight_decay": 0.05}),
]


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("momentum", "options"), SGD)
def test_one_worker_is_torch_sgd(momentum, options, dtype):
    generator = torch.Generator().manual_seed(1)
    # Weights in [1, 2) that stay there: an ulp is then the same number all the way.
    parameters = [(1.25 + 0.5 * torch.rand(shape, generator=generator)).to(dtype) for shape in SHAPES]
    segments, n = place(tuple(p.numel() for p in parameters), dtype.itemsize)
    x, v = torch.zeros(n, dtype=dtype), torch.zeros(n, dtype=dtype)
    views = [x[offset : offset + numel] for offset, numel in segments]
    for view, parameter in zip(views, parameters, strict=True):
        view.copy_(parameter.flatten())
    parameters = [torch.nn.Parameter(p) for p in parameters]
    optimizer = torch.optim.SGD(parameters, lr=1e-4, foreach=False, **options)
    push = Push(x=x, v=v if momentum else None, segments=segments, momentum=momentum)

    for step in range(STEPS):
        grads = [torch.randn(p.shape, generator=generator, dtype=dtype) for p in parameters]
        for parameter, g in zip(parameters, grads, strict=True):
            parameter.grad = g
        optimizer.step()
        weight_decay = options.get("weight_decay", 0.0)
        push(grads, lr=1e-4, weight_decay=weight_decay, pushes=step, lr_max=1e-4, first_step=step == 0)

    two_ulp = 2 * torch.finfo(torch.float32).eps
    tolerance = two_ulp if dtype is torch.float32 else 1e-12
    for view, parameter in zip(views, parameters, strict=True):
        assert float((view - parameter.detach().flatten()).abs().max()) <= tolerance


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("momentum", [None, HeavyBall(0.9), Nesterov(0.9)])
@pytest.mark.parametrize("penalize", [True, False])
def test_a_gap_of_zero_is_no_penalty(momentum, dtype, penalize):
    gap = Case(dtype=dtype, momentum=momentum, penalty=Gap(penalize_weight_decay=penalize))
    plain = Case(dtype=dtype, momentum=momentum)
    for case in (gap, plain):
        for name, value in plain.buffers.items():
            case.buffers[name].copy_(value)
        case.buffers["snapshot"].copy_(case.buffers["x"])
    for pushes in range(5):  # the push writes a new snapshot, so the gap stays zero
        for case in (gap, plain):
            case.new_gradients()
        gap.grads = plain.grads
        call = {"lr": 0.1, "weight_decay": 0.01, "pushes": pushes, "lr_max": 0.1}
        stats = gap.push(gap.grads, **call)
        plain.push(plain.grads, **call)
        assert stats.gap_sq == 0
    for name, value in plain.buffers.items():
        assert torch.equal(gap.buffers[name], value), name


@pytest.mark.parametrize("call", [{"pushes": 0, "lr_max": 0.1}, {"pushes": 9, "lr_max": 0.0}])
def test_the_penalty_is_skipped_on_the_first_push_and_while_the_rate_is_zero(call):
    gap, plain = Case(momentum=HeavyBall(0.9), penalty=Gap()), Case(momentum=HeavyBall(0.9))
    for name, value in plain.buffers.items():
        gap.buffers[name].copy_(value)
    gap.push(plain.grads, lr=0.1, weight_decay=0.01, **call)
    plain.push(plain.grads, lr=0.1, weight_decay=0.01, **call)
    for name, value in plain.buffers.items():
        assert torch.equal(gap.buffers[name], value), name


def test_elements_that_never_moved_are_not_penalised():
    case = Case(sizes=(17,), momentum=HeavyBall(0.9), penalty=Gap())
    case.buffers["v"].zero_()
    case.buffers["s"].zero_()
    x = case.buffers["x"].clone()
    case.push(case.grads, lr=0.1, pushes=5, lr_max=0.1)
    torch.testing.assert_close(case.buffers["x"][:17], x[:17] - 0.1 * case.grads[0])


def test_a_constant_gradient_meets_a_penalty_of_one_plus_delay():
    """Straight-line motion, heavy ball, every worker `delay` updates behind: G converges to 1 + delay."""
    delay, lr, rule = 3, 0.01, Gap(decay=0.9)
    x, snapshot, v, s = (torch.zeros(1, dtype=torch.float64) for _ in range(4))
    snapshots = [torch.zeros(1, dtype=torch.float64) for _ in range(delay + 1)]
    pushes = [
        Push(x=x, snapshot=own, v=v, s=s, segments=[(0, 1)], penalty=rule, momentum=HeavyBall(0.5)) for own in snapshots
    ]
    g = [torch.ones(1, dtype=torch.float64)]
    for t in range(2000):
        pushes[t % (delay + 1)](g, lr=lr, pushes=t, lr_max=lr)
    # v converges to d / (1 - m), with d = 1 / G
    assert float(v) * 0.5 == pytest.approx(1 / (1 + delay), rel=1e-6)
    assert float(snapshot) == 0
