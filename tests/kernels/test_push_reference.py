"""Every rule against the NumPy oracle: float64 over random hyper-parameters, float32 and bfloat16 over the rules."""

from __future__ import annotations

import itertools

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from kernel_cases import SIZES, Case, same_statistics

from hogwild.rules import Access, Gap, Guard, HeavyBall, Nesterov

rates = st.floats(1e-4, 1.0)
factors = st.floats(0.0, 0.99)
momenta = st.none() | st.builds(
    lambda kind, m, dampening, first: kind(m, dampening, first),
    st.sampled_from([HeavyBall, Nesterov]),
    factors,
    st.floats(0.0, 0.9),
    st.booleans(),
)
penalties = st.none() | st.builds(Gap, st.floats(0.5, 0.9999), st.floats(1e-10, 1e-4), st.booleans())
sizes = st.lists(st.sampled_from((*SIZES, 33)), min_size=1, max_size=4).map(tuple)


@settings(deadline=None, max_examples=60)
@given(
    sizes=sizes,
    penalty=penalties,
    momentum=momenta,
    access=st.sampled_from([Access.RACING, Access.ATOMIC]),
    has_snapshot=st.booleans(),
    lr=rates,
    weight_decay=st.floats(0.0, 0.1),
    seed=st.integers(0, 2**31),
)
def test_float64_equals_the_oracle(sizes, penalty, momentum, access, has_snapshot, lr, weight_decay, seed):
    case = Case(sizes=sizes, penalty=penalty, momentum=momentum, access=access, has_snapshot=has_snapshot, seed=seed)
    for pushes, lr_now in enumerate([lr, 2 * lr, lr / 3]):
        case.new_gradients()
        got, want = case.run(
            lr=lr_now,
            weight_decay=weight_decay,
            pushes=pushes,
            lr_max=lr if pushes == 0 else 2 * lr,
            first_step=pushes == 0,
        )
        same_statistics(got, want, 1e-11)
    case.check(1e-11)


RULES = list(
    itertools.product(
        [None, Gap(), Gap(penalize_weight_decay=False)],
        [None, HeavyBall(0.9, dampening=0.1), Nesterov(0.9)],
        [True, False],
        [Access.RACING, Access.ATOMIC],
    )
)


@pytest.mark.parametrize("gradient", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize(("penalty", "momentum", "has_snapshot", "access"), RULES)
def test_float32_is_near_the_oracle(gradient, penalty, momentum, has_snapshot, access):
    case = Case(
        dtype=torch.float32,
        gradient=gradient,
        penalty=penalty,
        momentum=momentum,
        has_snapshot=has_snapshot,
        access=access,
    )
    for pushes in range(3):
        case.new_gradients()
        got, want = case.run(lr=0.05, weight_decay=0.01, pushes=pushes, lr_max=0.1, first_step=pushes == 0)
        same_statistics(got, want, 1e-4)
    case.check(2e-6)


@pytest.mark.parametrize("guard", list(Guard))
@pytest.mark.parametrize(("start", "stop"), [(0, 0), (0, 40), (20, 21), (33, 4200), (100, 34_000), (64, None)])
def test_only_the_range_is_touched(start, stop, guard):
    case = Case(sizes=(17, 4099, 30_000, 1), penalty=Gap(), momentum=HeavyBall(0.9), guard=guard)
    before = {name: buffer.clone() for name, buffer in case.buffers.items()}
    got, want = case.run(lr=0.1, pushes=3, lr_max=0.1, start=start, stop=stop)
    same_statistics(got, want, 1e-11)
    case.check(1e-12)
    for name, buffer in case.buffers.items():
        assert torch.equal(buffer[:start], before[name][:start])
        if stop is not None:
            assert torch.equal(buffer[stop:], before[name][stop:])


def test_shards_together_are_one_whole_push():
    whole, shards = (Case(sizes=(17, 40_000), penalty=Gap(), momentum=Nesterov(0.9)) for _ in range(2))
    call = {"lr": 0.1, "pushes": 5, "lr_max": 0.2, "weight_decay": 1e-3}
    total = whole.push(whole.grads, **call)
    parts = [shards.push(shards.grads, **call, start=a, stop=b) for a, b in [(0, 999), (999, 20_000), (20_000, None)]]
    for name in whole.buffers:
        assert torch.equal(whole.buffers[name], shards.buffers[name])
    assert sum(part.gap_sq for part in parts) == pytest.approx(total.gap_sq, rel=1e-12)
    assert sum(part.step_sq for part in parts) == pytest.approx(total.step_sq, rel=1e-12)


@pytest.mark.parametrize("penalty", [None, Gap()])
def test_a_parameter_without_gradient_only_refreshes_its_snapshot(penalty):
    case = Case(sizes=(17, 16, 4099), penalty=penalty, momentum=HeavyBall(0.9))
    case.grads[1] = None
    before = {name: buffer.clone() for name, buffer in case.buffers.items()}
    got, want = case.run(lr=0.1, weight_decay=0.5, pushes=2, lr_max=0.1)
    same_statistics(got, want, 1e-12)
    case.check(1e-12)
    offset, numel = case.segments[1]
    here = slice(offset, offset + numel)
    for name in case.buffers:
        expected = before["x"] if name == "snapshot" else before[name]
        assert torch.equal(case.buffers[name][here], expected[here])


def test_all_gradients_missing_is_a_pull():
    case = Case(momentum=HeavyBall(0.9))
    case.grads = [None] * len(case.segments)
    stats = case.push(case.grads, lr=0.1, pushes=0, lr_max=0.1)
    assert stats.applied
    assert stats.step_sq == 0
    for offset, numel in case.segments:
        here = slice(offset, offset + numel)
        assert torch.equal(case.buffers["snapshot"][here], case.buffers["x"][here])


def test_views_and_transposed_gradients_are_read_as_they_look():
    case = Case(sizes=(12, 5))
    case.grads = [
        torch.arange(1.0, 13, dtype=torch.float64).reshape(3, 4).t(),
        torch.arange(1.0, 11, dtype=torch.float64)[::2],
    ]
    case.run(lr=0.1, pushes=0, lr_max=0.1)
    case.check(1e-12)
