"""A push of a mean in one pass over memory equals the mean and the push one after the other."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from kernel_cases import Case
from torch import Tensor

from hogwild import reference
from hogwild.kernels import weighted_sum
from hogwild.rules import Access, Guard, HeavyBall

SIZES = (17, 33_001, 1, 4099)  # one of them in three pieces
CALL = {"lr": 0.1, "weight_decay": 0.01, "pushes": 4, "lr_max": 0.1}
ACCESS = [Access.RACING, Access.ATOMIC, Access.STRIPED, Access.LOCKED]


def pair(locks: tuple[int, int], **values) -> tuple[Case, Case]:
    """Twice the same case."""
    stripes = locks if values.get("access") is Access.STRIPED else (0, 0)
    one, other = (Case(sizes=SIZES, stripes=stripes, **values) for _ in range(2))
    return one, other


def same_buffers(one: Case, other: Case) -> None:
    for name, buffer in one.buffers.items():
        assert buffer.numpy().tobytes() == other.buffers[name].numpy().tobytes(), name


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
