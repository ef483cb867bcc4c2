"""The scalars that a replay passes to the device, emulated on the CPU; and pushes that cannot be captured."""

from __future__ import annotations

import pytest
import torch
from kernel_cases import Case

from hogwild._C import GradientTable
from hogwild.kernels import Push
from hogwild.rules import Compensation, Dana, Gap, HeavyBall, OrMo, Smega2

CALLS = [
    {"lr": 0.05, "weight_decay": 0.01, "pushes": 0, "lr_max": 0.1, "first_step": True},
    {"lr": 0.1, "pushes": 3, "lr_max": 0.1, "scale": -0.5, "delay": 2, "clip": 0.5},
    {"lr": 0.025, "pushes": 4, "lr_max": 0.2, "scale": 2.0, "delay": 1},
]
RULES = [
    {"momentum": HeavyBall(0.9, dampening=0.1)},
    {"momentum": HeavyBall(0.9), "penalty": Gap(unit="step", reference="lr")},
    {"momentum": Dana(0.9), "compensation": Compensation(adaptive=True)},
    {"momentum": OrMo(0.9, 2)},
    {"momentum": HeavyBall(0.9), "penalty": Gap(level="layer")},
    {"momentum": HeavyBall(0.9), "has_center": True},
]


class Device:
    """Takes a push's calls as the CUDA one does, and pushes on the CPU when its graph is replayed."""

    is_cooperative = False

    def __init__(self, push: Push) -> None:
        self.push, self.said = push, []

    def capture(self, table: GradientTable, grads: list[torch.Tensor | None] | None, stream: int) -> bool:
        if grads is not None and not table.read(grads):
            return False
        self.table, self.stream = table, stream
        self.said.append("capture")
        return True

    def prepare(self, scalars: dict[str, object], _stream: int) -> None:
        self.scalars = scalars
        self.said.append("prepare")

    def replay(self) -> None:
        self.said.append("replay")
        assert self.push._native.run(self.table, None, self.scalars, self.stream)

    def replayed(self, _stream: int) -> None:
        self.said.append("replayed")


@pytest.mark.parametrize("rule", RULES)
def test_a_replay_takes_the_scalars_of_its_time(rule):
    graphed, called = Case(**rule), Case(**rule)
    alpha = {"alpha": 0.3} if "has_center" in rule else {}
    graph = graphed.push._on_gpu = Device(graphed.push)
    graphed.push.capture(graphed.grads)
    for call in CALLS:
        called.new_gradients()
        for place, g in zip(graphed.grads, called.grads, strict=True):
            place.copy_(g)
        graphed.push.replay(graph, **call, **alpha)
        got, want = graphed.push.stats(), called.push(called.grads, **call, **alpha)
        assert (got.step_sq, got.gap_sq, got.grad_norm) == (want.step_sq, want.gap_sq, want.grad_norm)
        for name, buffer in called.buffers.items():
            assert torch.equal(graphed.buffers[name], buffer), name
    assert graph.said == ["capture"] + ["prepare", "replay", "replayed"] * len(CALLS)


def test_the_gradients_of_a_graph_stay_alive():
    case = Case(sizes=(17, 33), momentum=HeavyBall(0.9))
    graph = case.push._on_gpu = Device(case.push)
    strided = torch.arange(66, dtype=torch.float64)[::2] / 66
    case.push.capture([torch.full((17,), 0.5, dtype=torch.float64), strided])  # no other reference
    others = [torch.full((17,), 9.0, dtype=torch.float64) for _ in range(8)]  # would reuse the memory of a freed one
    x = case.buffers["x"].clone()
    case.buffers["v"].zero_()
    case.push.replay(graph, lr=1.0, pushes=3, lr_max=1.0)
    (first, _), (second, _) = case.segments
    moved = x - case.buffers["x"]
    torch.testing.assert_close(moved[first : first + 17], torch.full((17,), 0.5, dtype=torch.float64))
    torch.testing.assert_close(moved[second : second + 33], strided)
    assert len(others) == 8


def test_pushes_that_cannot_be_captured_are_refused():
    case = Case(momentum=HeavyBall(0.9))
    with pytest.raises(ValueError, match="x is on the CPU, and a CUDA graph holds pushes on a GPU"):
        case.push.capture(case.grads)
    case.push._on_gpu = Device(case.push)
    with pytest.raises(ValueError, match="this push is in no graph: call capture"):
        case.push.replay(case.push._on_gpu, lr=0.1, pushes=0, lr_max=0.1)
    smega2 = Case(momentum=Smega2(0.9, 2))
    smega2.push._on_gpu = Device(smega2.push)
    with pytest.raises(ValueError, match="every N-th push of Smega2 is another kernel"):
        smega2.push.capture(smega2.grads)
    assert not Case(penalty=Gap(level="global")).push.is_cooperative
