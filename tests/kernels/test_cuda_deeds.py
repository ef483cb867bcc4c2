"""The CUDA runtime calls of a push: launches, but no waits, copies or allocations. Needs the emulator."""

from __future__ import annotations

import os
from collections.abc import Callable

import pytest
import torch

if "HOGWILD_EMULATOR" not in os.environ:
    pytest.skip("python tools/cuda_emulator runs it", allow_module_level=True)

from kernel_cases import Case
from torch_cuda.library import ask

from hogwild.kernels import weighted_sum
from hogwild.rules import Compensation, Dana, Gap, Guard, HeavyBall, OrMo, Smega2

pytestmark = pytest.mark.gpu
DEEDS = ("launches", "waits", "copies", "allocations")
CALL = {"lr": 0.1, "pushes": 3, "lr_max": 0.1}
SIZES = (33,) * 161
RULES = [
    {"momentum": HeavyBall(0.9)},
    {"momentum": HeavyBall(0.9), "penalty": Gap()},
    {"momentum": HeavyBall(0.9), "penalty": Gap(size="layer")},
    {"momentum": HeavyBall(0.9), "penalty": Gap(size="global")},
    {"momentum": HeavyBall(0.9), "penalty": Gap(level="layer", lagged=True)},
    {"momentum": HeavyBall(0.9), "penalty": Gap(level="layer")},
    {"momentum": HeavyBall(0.9), "penalty": Gap(level="global")},
    {"momentum": Dana(0.9), "compensation": Compensation(adaptive=True)},
    {"momentum": Smega2(0.9, 2)},
    {"momentum": OrMo(0.9, 2)},
    {"momentum": HeavyBall(0.9), "has_center": True},
]


def deeds(call: Callable[[], object]) -> dict[str, int]:
    before = [ask("emulator_count", k) for k in range(len(DEEDS))]
    call()
    return {
        name: ask("emulator_count", k) - before[k]
        for k, name in enumerate(DEEDS)
        if ask("emulator_count", k) > before[k]
    }


@pytest.mark.parametrize("sizes", [SIZES, (100_003,)], ids=["161 tensors", "one tensor"])
@pytest.mark.parametrize("rule", RULES, ids=str)
def test_a_push_is_one_launch(rule, sizes):
    case = Case(dtype=torch.float32, device="cuda", sizes=sizes, guard=Guard.ELEMENT, **rule)
    for _ in range(3):
        assert deeds(lambda: case.push.enqueue(case.grads, **CALL)) == {"launches": 1}


def test_pushes_of_more_than_one_launch():
    guarded = Case(dtype=torch.float32, device="cuda", sizes=SIZES, momentum=HeavyBall(0.9))
    assert deeds(lambda: guarded.push.enqueue(guarded.grads, **CALL)) == {
        "launches": 2
    }  # reads all gradients beforehand
    rule = {"momentum": HeavyBall(0.9), "penalty": Gap(level="layer"), "cooperative": False}
    passes = Case(dtype=torch.float32, device="cuda", sizes=SIZES, guard=Guard.ELEMENT, **rule)
    assert deeds(lambda: passes.push.enqueue(passes.grads, **CALL)) == {"launches": 2}
    passes = Case(dtype=torch.float32, device="cuda", sizes=SIZES, **rule)
    assert deeds(lambda: passes.push.enqueue(passes.grads, **CALL)) == {"launches": 3}


def test_only_statistics_wait():
    case = Case(dtype=torch.float32, device="cuda", momentum=HeavyBall(0.9))
    assert deeds(lambda: case.push(case.grads, **CALL)) == {"launches": 2, "waits": 1}


def test_a_table_of_addresses_is_uploaded_when_one_has_changed():
    case = Case(dtype=torch.float32, device="cuda", sizes=(33,) * 1000, momentum=HeavyBall(0.9), guard=Guard.ELEMENT)
    first = deeds(lambda: case.push.enqueue(case.grads, **CALL))
    again = deeds(lambda: case.push.enqueue(case.grads, **CALL))
    assert (first["launches"], first["copies"], again) == (1, 1, {"launches": 1})
    assert "allocations" not in first


def test_a_captured_push_allocates_nothing_and_replays_without_waiting():
    case = Case(dtype=torch.float32, device="cuda", sizes=SIZES, momentum=HeavyBall(0.9), guard=Guard.ELEMENT)
    graph = torch.cuda.CUDAGraph()
    with torch.cuda.graph(graph):
        assert deeds(lambda: case.push.capture(case.grads)) == {"launches": 1}
    assert deeds(lambda: case.push.replay(graph, **CALL)) == {
        "launches": 1
    }  # of the scalars; the graph's is not counted


def test_a_weighted_sum_is_one_launch():
    inputs = [torch.randn(70_001, device="cuda") for _ in range(5)]
    out = torch.empty_like(inputs[0])
    assert deeds(lambda: weighted_sum(out, inputs, [0.2] * 5)) == {"launches": 1}
