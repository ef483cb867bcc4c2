"""Pushes in fewer passes over memory: without the old snapshot, of a mean, after a mix. They equal separate steps."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from kernel_cases import Case, same_statistics
from torch import Tensor

from hogwild import reference
from hogwild.kernels import build_info, diffuse, use_isa, weighted_sum
from hogwild.rules import Access, AdamW, Dana, Gap, Guard, HeavyBall, Nesterov

SIZES = (17, 33_001, 1, 4099)  # one of them in three pieces
CALL = {"lr": 0.1, "weight_decay": 0.01, "pushes": 4, "lr_max": 0.1}
DTYPES = [(torch.float32, torch.float32), (torch.float32, torch.bfloat16), (torch.float64, torch.float64)]
ACCESS = [Access.RACING, Access.ATOMIC, Access.STRIPED, Access.LOCKED]


def pair(locks: tuple[int, int], **values) -> tuple[Case, Case]:
    """Twice the same case, the second one with a gradient missing too."""
    stripes = locks if values.get("access") is Access.STRIPED else (0, 0)
    one, other = (Case(sizes=SIZES, stripes=stripes, **values) for _ in range(2))
    one.grads[2] = other.grads[2] = None
    return one, other


def same_buffers(one: Case, other: Case) -> None:
    for name, buffer in one.buffers.items():
        assert buffer.numpy().tobytes() == other.buffers[name].numpy().tobytes(), name


@pytest.mark.parametrize("access", ACCESS)
@pytest.mark.parametrize("momentum", [None, HeavyBall(0.9), Nesterov(0.9), AdamW()])
@pytest.mark.parametrize(("dtype", "gradient"), DTYPES)
def test_without_the_gap_a_push_writes_the_same(dtype, gradient, momentum, access, locks):
    one, other = pair(locks, dtype=dtype, gradient=gradient, momentum=momentum, access=access)
    want, got = one.push(one.grads, **CALL), other.push(other.grads, **CALL, gap_weight=0)
    same_buffers(one, other)
    assert (want.gap_weight, got.gap_weight, got.gap_sq) == (1, 0, 0)
    assert want.gap_sq > 0
    assert got.step_sq == pytest.approx(want.step_sq, rel=1e-12)
    assert got.grad_norm == want.grad_norm
    assert other.push(other.grads, **CALL, gap_weight=16).gap_weight == 16


@pytest.mark.parametrize(("penalty", "momentum"), [(Gap(), HeavyBall(0.9)), (None, Dana(0.9))])
def test_a_rule_that_needs_the_snapshot_reads_it(penalty, momentum, locks):
    one, other = pair(locks, penalty=penalty, momentum=momentum)
    want, got = one.push(one.grads, **CALL), other.push(other.grads, **CALL, gap_weight=0)
    same_buffers(one, other)
    assert (got.gap_weight, got.gap_sq) == (1, want.gap_sq)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_refused_push_writes_nothing_past_the_caches(bad, locks):
    case, before = pair(locks, dtype=torch.float32, momentum=HeavyBall(0.9))
    case.grads[-1][4098] = bad
    assert not case.push(case.grads, **CALL, gap_weight=0).applied
    same_buffers(case, before)


@pytest.mark.parametrize("guard", Guard)
def test_every_instruction_set_streams_the_same_bits(guard, locks):
    before, first = str(build_info()["isa_in_use"]), None
    try:
        for isa in build_info()["isa"]:
            use_isa(isa)
            case, _ = pair(locks, dtype=torch.float32, momentum=HeavyBall(0.9), guard=guard)
            case.push(case.grads, **CALL, gap_weight=0)
            first = first or case
            same_buffers(first, case)
    finally:
        use_isa(before)


def flat(case: Case, count: int) -> list[Tensor]:
    generator = torch.Generator().manual_seed(count)
    n = case.buffers["x"].numel()
    return [torch.randn(n, generator=generator, dtype=torch.float64).to(case.dtype) for _ in range(count)]


@pytest.mark.parametrize("access", ACCESS)
@pytest.mark.parametrize("count", [1, 2, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize(("start", "stop"), [(None, None), (21, 30_000)])
def test_a_mean_is_pushed_as_if_it_lay_in_memory(start, stop, dtype, count, access, locks):
    one, other = pair(locks, dtype=dtype, momentum=HeavyBall(0.9), access=access)
    inputs = flat(one, count)
    mean = torch.empty_like(inputs[0])
    weighted_sum(mean, inputs, [1 / count] * count)
    one.grads = [mean[offset : offset + numel] for offset, numel in one.segments]
    want, got = (
        one.push(one.grads, **CALL, start=start, stop=stop),
        other.push.mean(inputs, **CALL, start=start, stop=stop),
    )
    same_buffers(one, other)
    assert (got.step_sq, got.gap_sq, got.applied) == (want.step_sq, want.gap_sq, True)


def test_a_mean_equals_the_oracle():
    case = Case(sizes=SIZES, momentum=HeavyBall(0.9))
    inputs = flat(case, 3)
    got = case.push.mean(inputs, **CALL)
    mean = reference.weighted_sum([given.numpy() for given in inputs], [1 / 3] * 3)
    parts = [mean[offset : offset + numel] for offset, numel in case.segments]
    want = reference.push(case.numpy, case.segments, parts, momentum=HeavyBall(0.9), guard=Guard.ELEMENT, **CALL)
    assert np.sqrt(got.step_sq) == pytest.approx(np.sqrt(want.step_sq), rel=1e-11)
    case.check(1e-11)


def test_of_a_mean_that_overflows_one_element_is_left_out():
    case = Case(sizes=SIZES, dtype=torch.float32, momentum=HeavyBall(0.9))
    before = {name: buffer.clone() for name, buffer in case.buffers.items()}
    inputs = flat(case, 3)
    for given in inputs:
        given[40] = torch.finfo(torch.float32).max
    if not math.isinf(float(sum((given / 3)[40] for given in inputs))):
        inputs[0][40] = math.inf
    stats = case.push.mean(inputs, **CALL)
    assert (stats.applied, stats.nonfinite) == (True, 1)
    assert case.buffers["x"][40] == before["x"][40]
    assert case.buffers["v"][40] == before["v"][40]
    assert bool((case.buffers["x"][41:100] != before["x"][41:100]).all())


def test_bad_means():
    case = Case(sizes=SIZES)
    with pytest.raises(ValueError, match="a mean of 0 gradients"):
        case.push.mean([], **CALL)
    with pytest.raises(ValueError, match="and no clip"):
        case.push.mean(flat(case, 1), **CALL, clip=1.0)
    with pytest.raises(ValueError, match=r"inputs\[0\] has 5 elements"):
        case.push.mean([torch.ones(5, dtype=torch.float64)], **CALL)


@pytest.mark.parametrize("refused", [False, True])
@pytest.mark.parametrize("access", ACCESS)
@pytest.mark.parametrize("count", [0, 1, 2, 5])
@pytest.mark.parametrize(("dtype", "gradient"), DTYPES)
def test_a_mix_and_a_push(dtype, gradient, count, access, refused, locks):
    values = {"dtype": dtype, "gradient": gradient, "momentum": HeavyBall(0.9), "access": access}
    one, other = pair(locks, has_snapshot=False, **values)
    if refused:
        one.grads[0][3] = other.grads[0][3] = math.nan
    own, *neighbours = flat(one, 1 + count)
    weights = [(0.7 + j / 10) / (count + 1) for j in range(count)]
    x = one.buffers["x"]
    mixed = torch.empty_like(x)
    diffuse(mixed, own, neighbours, weights)
    for offset, numel in one.segments:
        x[offset : offset + numel] = mixed[offset : offset + numel]
    want, got = one.push(one.grads, **CALL), other.push.mixed(other.grads, own, neighbours, weights, **CALL)
    assert (got.applied, got.nonfinite, got.step_sq) == (not refused, int(refused), want.step_sq)
    same_buffers(one, other)


def test_a_mix_with_itself_is_refused():
    case = Case(sizes=SIZES, has_snapshot=False)
    with pytest.raises(ValueError, match="overlap"):
        case.push.mixed(case.grads, flat(case, 1)[0], [case.buffers["x"]], [0.5], **CALL)


def test_a_mix_and_a_push_equal_the_oracle():
    case = Case(sizes=SIZES, momentum=Nesterov(0.9), has_snapshot=False)
    own, neighbour = flat(case, 2)
    got = case.push.mixed(case.grads, own, [neighbour], [0.4], **CALL)
    mixed = own.numpy() + 0.4 * (neighbour.numpy() - own.numpy())
    for offset, numel in case.segments:
        case.numpy["x"][offset : offset + numel] = mixed[offset : offset + numel]
    grads = [g.numpy() for g in case.grads]
    want = reference.push(case.numpy, case.segments, grads, momentum=Nesterov(0.9), **CALL)
    same_statistics(got, want, 1e-11)
    case.check(1e-11)
