"""A push among neighbours in one pass over memory equals the diffusion and the push one after the other."""

from __future__ import annotations

import math

import pytest
import torch
from kernel_cases import Case
from torch import Tensor

from hogwild.kernels import PushStats, build_info, diffuse
from hogwild.rules import AdamW, Guard, HeavyBall, Nesterov

SIZES = (17, 33_001, 1, 4099)  # one of them in three pieces
CALL = {"lr": 0.1, "weight_decay": 0.01, "pushes": 4, "lr_max": 0.1}
COUNTS = [0, 1, 2, 5]
ON_GPU = (
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device"),
    pytest.mark.skipif(not build_info()["cuda"], reason="hogwild._C was built without CUDA"),
)
DEVICES = ["cpu", pytest.param("cuda", marks=ON_GPU)]


def pair(**values) -> tuple[Case, Case]:
    """Twice the same case."""
    one, other = (Case(sizes=SIZES, **values) for _ in range(2))
    return one, other


def inside(case: Case, buffer: Tensor) -> Tensor:
    return torch.cat([buffer[offset : offset + numel] for offset, numel in case.segments])


def row(case: Case, count: int) -> tuple[list[Tensor], list[float]]:
    generator = torch.Generator().manual_seed(count)
    x = case.buffers["x"]
    flat = [torch.randn(x.numel(), generator=generator, dtype=torch.float64).to(x) for _ in range(count)]
    return flat, [(0.7 + j / 10) / (count + 1) for j in range(count)]


def apart(case: Case, neighbours: list[Tensor], weights: list[float], **call: float) -> PushStats:
    x = case.buffers["x"]
    diffuse(x, x, neighbours, weights)
    return case.push(case.grads, **call)


def together(case: Case, neighbours: list[Tensor], weights: list[float], **call: float) -> PushStats:
    case.push.among(neighbours, weights, case.grads, **call)
    return case.push.stats()


def same(one: Case, other: Case) -> None:
    for name, buffer in one.buffers.items():
        assert torch.equal(inside(one, buffer), inside(other, other.buffers[name])), name


@pytest.mark.parametrize("momentum", [None, HeavyBall(0.9), Nesterov(0.9), AdamW()], ids=repr)
@pytest.mark.parametrize("count", COUNTS)
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("has_snapshot", [False, True])
@pytest.mark.parametrize("guard", list(Guard))
def test_the_mix_and_the_push_are_as_one_after_the_other(guard, has_snapshot, dtype, count, momentum):
    one, other = pair(dtype=dtype, momentum=momentum, has_snapshot=has_snapshot, guard=guard)
    call = CALL | ({"v_pushes": 4, "q_pushes": 4} if momentum == AdamW() else {})
    want, got = apart(one, *row(one, count), **call), together(other, *row(other, count), **call)
    same(one, other)
    assert (got.step_sq, got.gap_sq, got.applied) == (want.step_sq, want.gap_sq, True)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("count", COUNTS)
def test_on_any_device_as_one_after_the_other(count, device):
    one, other = pair(dtype=torch.float32, momentum=HeavyBall(0.9), device=device)
    apart(one, *row(one, count), **CALL)
    together(other, *row(other, count), **CALL)
    same(one, other)


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("has_snapshot", [False, True])
def test_a_parameter_without_a_gradient_is_mixed_too(has_snapshot, device):
    one, other = pair(dtype=torch.float32, has_snapshot=has_snapshot, device=device)
    one.grads[1] = other.grads[1] = None
    before = other.buffers["x"].clone()
    apart(one, *row(one, 2), **CALL)
    together(other, *row(other, 2), **CALL)
    same(one, other)
    offset, numel = other.segments[1]
    assert bool((before != other.buffers["x"])[offset : offset + numel].all())


@pytest.mark.parametrize("device", DEVICES)
@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_of_a_gradient_that_is_refused_the_mix_remains(bad, device):
    one, other = pair(dtype=torch.float32, momentum=HeavyBall(0.9), device=device)
    other.grads[3][7] = bad
    neighbours, weights = row(one, 2)
    diffuse(one.buffers["x"], one.buffers["x"], neighbours, weights)
    stats = together(other, neighbours, weights, **CALL)
    assert (stats.applied, stats.nonfinite) == (False, 1)
    same(one, other)


def test_an_element_that_is_left_out_is_mixed_too():
    one, other = pair(dtype=torch.float32, guard=Guard.ELEMENT)
    one.grads[3][7] = other.grads[3][7] = math.nan
    apart(one, *row(one, 2), **CALL)
    assert together(other, *row(other, 2), **CALL).nonfinite == 1
    same(one, other)
    assert bool(other.buffers["x"].isfinite().all())


def test_gradients_that_the_kernel_cannot_read_as_they_are():
    one, other = pair(dtype=torch.float32)
    wide = torch.randn(33_001, 2)
    one.grads[1], other.grads[1] = wide[:, 0].clone(), wide[:, 0]
    apart(one, *row(one, 1), **CALL)
    together(other, *row(other, 1), **CALL)
    same(one, other)


@pytest.mark.parametrize("device", DEVICES)
def test_what_is_wrong_is_said_before_anything_is_written(device):
    _, case = pair(dtype=torch.float32, device=device)
    before = {name: buffer.clone() for name, buffer in case.buffers.items()}
    (neighbour,), _ = row(case, 1)
    x = case.buffers["x"]
    for neighbours, weights, call, message in [
        ([neighbour], [], CALL, "give one weight per neighbour"),
        ([neighbour], [math.nan], CALL, "expected finite numbers"),
        ([neighbour[1:]], [0.5], CALL, "neighbours"),
        ([neighbour.double()], [0.5], CALL, "neighbours"),
        ([x], [0.5], CALL, "overlap"),
        ([neighbour], [0.5], CALL | {"start": 0, "stop": 64}, "leave out start and stop"),
    ]:
        with pytest.raises(ValueError, match=message):
            case.push.among(neighbours, weights, case.grads, **call)
    with pytest.raises(ValueError, match="gradient"):
        case.push.among([neighbour], [0.5], case.grads[:-1], **CALL)
    for name, buffer in case.buffers.items():
        assert torch.equal(before[name], buffer)
