"""A non-finite gradient is never applied: the whole push is refused, or exactly the bad elements are left out."""

from __future__ import annotations

import pytest
import torch
from kernel_cases import Case, same_statistics

from hogwild.rules import Access, Gap, Guard, HeavyBall, Nesterov

BAD = [float("nan"), float("inf"), float("-inf")]
RULES = [(None, None), (None, HeavyBall(0.9)), (Gap(), HeavyBall(0.9)), (Gap(), None), (Gap(), Nesterov(0.9))]
DTYPES = [(torch.float32, torch.float32), (torch.float32, torch.bfloat16), (torch.float64, torch.float64)]
CALL = {"lr": 0.1, "weight_decay": 0.01, "pushes": 4, "lr_max": 0.1}


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("access", [Access.RACING, Access.ATOMIC])
@pytest.mark.parametrize(("penalty", "momentum"), RULES)
@pytest.mark.parametrize(("dtype", "gradient"), DTYPES)
def test_a_refused_push_writes_nothing(dtype, gradient, penalty, momentum, access, bad):
    case = Case(dtype=dtype, gradient=gradient, penalty=penalty, momentum=momentum, access=access)
    before = {name: buffer.clone() for name, buffer in case.buffers.items()}
    case.grads[-1][4098] = bad
    case.grads[0][0] = bad
    stats = case.push(case.grads, **CALL)
    assert (stats.applied, stats.nonfinite, stats.gap_sq, stats.step_sq) == (False, 2, 0, 0)
    for name, buffer in case.buffers.items():
        assert torch.equal(buffer, before[name])


@pytest.mark.parametrize("bad", BAD)
@pytest.mark.parametrize("access", [Access.RACING, Access.ATOMIC])
@pytest.mark.parametrize(("penalty", "momentum"), RULES)
@pytest.mark.parametrize(("dtype", "gradient"), DTYPES)
def test_guard_element_leaves_exactly_the_bad_elements(dtype, gradient, penalty, momentum, access, bad):
    case = Case(dtype=dtype, gradient=gradient, penalty=penalty, momentum=momentum, access=access, guard=Guard.ELEMENT)
    case.buffers["x"][0] = case.numpy["x"][0] = -0.0  # must keep its sign
    before = {name: buffer.clone() for name, buffer in case.buffers.items()}
    offset = case.segments[-1][0]
    places = [0, offset, offset + 2000, offset + 4098]
    for place in places:
        case.grads[0 if place == 0 else -1][max(place - offset, 0)] = bad
    got, want = case.run(**CALL)
    assert got.applied
    assert got.nonfinite == len(places)
    same_statistics(got, want, 1e-4)
    case.check(1e-12 if dtype is torch.float64 else 2e-6)
    for name, buffer in case.buffers.items():
        expected = before["x"] if name == "snapshot" else before[name]
        assert buffer[places].numpy().tobytes() == expected[places].numpy().tobytes()
    moved = case.buffers["x"] != before["x"]
    assert int(moved.sum()) >= sum(case.sizes) - len(places) - 40  # a few steps are lost to rounding
