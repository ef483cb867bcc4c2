"""Compensation, the gap's variants and the momenta that look ahead, scale and clip, against the NumPy oracle."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import ADAPTIVE, ALONE, MOMENTA, OF_STEPS, SIZES, Case, same_statistics

from hogwild.kernels.control import Control
from hogwild.rules import (
    Access,
    Compensation,
    Dana,
    Gap,
    Guard,
    HeavyBall,
    Nesterov,
    OrMo,
    PrimalAverage,
    Smega2,
    Table,
)

factors = st.floats(0.0, 0.95)
workers = st.integers(1, 5)
correctable = (
    st.none() | st.builds(HeavyBall, factors) | st.builds(Nesterov, factors, lead=factors) | st.builds(Dana, factors)
)
alone = st.builds(Smega2, factors, workers, st.booleans()) | st.builds(OrMo, factors, workers)
alone |= st.builds(Table, workers, factors) | st.builds(PrimalAverage, factors, factors)
compensations = st.builds(
    Compensation,
    st.floats(0.0, 3.0),
    st.sampled_from([1, 2]),
    st.booleans(),
    st.floats(0.0, 0.99),
    st.floats(1e-8, 1e-3),
)
gaps = st.builds(
    Gap,
    st.floats(0.5, 0.999),
    st.floats(1e-10, 1e-4),
    st.booleans(),
    st.sampled_from(["v", "g", "step"]),
    st.sampled_from(["lr_max", "lr"]),
)
norm_gaps = st.builds(
    Gap,
    st.floats(0.5, 0.999),
    penalize_weight_decay=st.booleans(),
    unit=st.sampled_from(["v", "g", "step"]),
    reference=st.sampled_from(["lr_max", "lr"]),
    level=st.sampled_from(["layer", "global"]),
    lagged=st.booleans(),
)
sized_gaps = st.builds(
    Gap,
    st.floats(0.5, 0.999),
    st.floats(1e-10, 1e-4),
    st.booleans(),
    st.sampled_from(["v", "g", "step"]),
    st.sampled_from(["lr_max", "lr"]),
    size=st.sampled_from(["layer", "global"]),
)
stages = st.one_of(
    st.tuples(correctable, st.none(), compensations),
    st.tuples(correctable, gaps | norm_gaps | sized_gaps, st.none()),
    st.tuples(correctable | alone, st.none(), st.none()),
)
sizes = st.lists(st.sampled_from((*SIZES, 33)), min_size=1, max_size=4).map(tuple)


@settings(deadline=None, max_examples=150)
@given(
    sizes=sizes,
    rule=stages,
    access=st.sampled_from([Access.RACING, Access.ATOMIC]),
    guard=st.sampled_from(list(Guard)),
    lr=st.floats(1e-4, 0.1),
    weight_decay=st.floats(0.0, 0.1),
    scale=st.floats(-2.0, 2.0),
    clip=st.sampled_from([0.0, 0.3, 1e6]),
    seed=st.integers(0, 2**31),
)
def test_float64_equals_the_oracle(sizes, rule, access, guard, lr, weight_decay, scale, clip, seed):
    momentum, penalty, compensation = rule
    case = Case(
        sizes=sizes,
        momentum=momentum,
        penalty=penalty,
        compensation=compensation,
        access=access,
        guard=guard,
        seed=seed,
    )
    for pushes, lr_now in enumerate([lr, 2 * lr, lr / 3, lr, lr]):
        case.new_gradients()
        got, want = case.run(
            lr=lr_now,
            weight_decay=weight_decay,
            pushes=pushes,
            lr_max=lr if pushes == 0 else 2 * lr,
            first_step=pushes == 0,
            scale=scale,
            clip=clip if guard is Guard.PUSH else 0.0,
            delay=min(pushes, 3),
        )
        same_statistics(got, want, 1e-9)
    case.check(1e-10)


CORRECTIONS = [
    (None, Compensation()),
    (None, Compensation(power=1)),
    (None, Compensation(adaptive=True, eps=1e-2)),
    (Gap(unit="g"), None),
    (Gap(unit="step", penalize_weight_decay=False), None),
    (Gap(level="layer"), None),
    (Gap(level="global", unit="step", lagged=True), None),
    (Gap(size="layer"), None),
    (Gap(size="global", unit="step"), None),
]
RULES = [(m, *c) for m in MOMENTA for c in CORRECTIONS]
RULES += [(m, None, None) for m in (*MOMENTA, *ALONE)]
RULES += [(m, gap, None) for m in ADAPTIVE for gap in OF_STEPS]


def three_pushes(case: Case, tolerance: float, statistics: float) -> None:
    for pushes in range(3):
        case.new_gradients()
        call = {"lr": 0.05, "weight_decay": 0.01, "lr_max": 0.1, "scale": 0.5, "clip": 20.0 * (pushes == 1)}
        if case.guard is Guard.ELEMENT:
            call["clip"] = 0.0
        got, want = case.run(**call, pushes=pushes, first_step=pushes == 0, delay=pushes)
        same_statistics(got, want, statistics)
    case.check(tolerance)


@pytest.mark.parametrize("gradient", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("access", [Access.RACING, Access.ATOMIC])
@pytest.mark.parametrize(("momentum", "penalty", "compensation"), RULES)
def test_float32_is_near_the_oracle(gradient, access, momentum, penalty, compensation):
    case = Case(
        dtype=torch.float32,
        gradient=gradient,
        momentum=momentum,
        penalty=penalty,
        compensation=compensation,
        access=access,
    )
    three_pushes(case, 1e-5, 2e-4)


@pytest.mark.parametrize(("momentum", "penalty", "compensation"), RULES)
def test_striped_equals_the_oracle(momentum, penalty, compensation):
    memory = torch.zeros(Control.bytes(1, 2) + 128, dtype=torch.uint8)
    control = Control(-(-memory.data_ptr() // 128) * 128, 1, 2, True)
    case = Case(
        sizes=(17, 33_000, 4099),
        momentum=momentum,
        penalty=penalty,
        compensation=compensation,
        access=Access.STRIPED,
        stripes=(control.stripe_locks, 2),
    )
    three_pushes(case, 1e-11, 1e-10)


@pytest.mark.parametrize("access", [Access.RACING, Access.ATOMIC])
@pytest.mark.parametrize(("momentum", "penalty", "compensation"), RULES)
def test_missing_gradients_and_held_back_elements(access, momentum, penalty, compensation):
    case = Case(
        sizes=(17, 16, 4099),
        momentum=momentum,
        penalty=penalty,
        compensation=compensation,
        access=access,
        guard=Guard.ELEMENT,
    )
    for pushes in range(4):
        case.new_gradients()
        case.grads[1] = None
        case.grads[0][3] = float("nan")
        case.grads[2][::50] = float("inf")
        got, want = case.run(lr=0.05, weight_decay=0.01, pushes=pushes, lr_max=0.1, delay=pushes)
        assert got.nonfinite == 1 + len(range(0, 4099, 50))
        same_statistics(got, want, 1e-10)
    case.check(1e-11)


@pytest.mark.parametrize(("momentum", "penalty", "compensation"), RULES)
def test_a_refused_push_writes_nothing(momentum, penalty, compensation):
    case = Case(momentum=momentum, penalty=penalty, compensation=compensation)
    before = {name: buffer.clone() for name, buffer in case.buffers.items()}
    state = None if case.gap_state is None else case.gap_state.clone()
    case.grads[-1][7] = float("nan")
    assert not case.push(case.grads, lr=0.1, pushes=1, lr_max=0.1, clip=1.0).applied
    assert all(torch.equal(buffer, before[name]) for name, buffer in case.buffers.items())
    assert state is None or torch.equal(state, case.gap_state)


def test_all_gradients_missing_is_a_pull_that_looks_ahead():
    case = Case(momentum=Dana(0.9))
    case.grads = [None] * len(case.segments)
    got, want = case.run(lr=0.1, pushes=4, lr_max=0.1)
    same_statistics(got, want, 1e-12)
    assert (got.step_sq, got.penalty) == (0.0, 1.0)
    case.check(1e-13)
