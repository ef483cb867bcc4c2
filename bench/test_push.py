"""The push on one thread, compared with memory traffic, torch, and a hand-written loop."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench import eager
from bench.contestants import Contestant, compete
from bench.eager import Constants
from bench.field import DELAY, LR, MOMENTUM, PUSHES, Field
from bench.loops import Loops
from bench.scale import SCALE
from hogwild.kernels import Push
from hogwild.rules import Gap, Guard, HeavyBall

SGD_BYTES = {None: 12, MOMENTUM: 20}


@pytest.fixture(scope="module", params=SCALE.push_sizes, ids=str)
def field(request: pytest.FixtureRequest) -> Field:
    return Field(SCALE.push_sizes[request.param])


def pushing(push: Push, field: Field, stop: int | None = None, lr: float = LR) -> Callable[[], object]:
    grads = [field.g]
    return lambda: push(grads, lr=lr, pushes=PUSHES, lr_max=LR, delay=DELAY, stop=stop)


@pytest.mark.benchmark(group="push: gap + shifted momentum")
def test_gap_and_shifted_momentum(benchmark: BenchmarkFixture, field: Field, loops: Loops | str) -> None:
    gap, momentum = Gap(), HeavyBall(MOMENTUM)
    x, snapshot, v, s, g = field.buffers
    constants = Constants(LR, MOMENTUM, gap, PUSHES + 1)

    def checked(kind: str, bytes: int, call: Callable[[], object]) -> Contestant:
        return field.checked(kind, bytes, call, gap=gap, momentum=momentum)

    pushes = {
        guard: Push(
            x=x, snapshot=snapshot, v=v, s=s, segments=[(0, field.n)], penalty=gap, momentum=momentum, guard=guard
        )
        for guard in Guard
    }
    contestants = {
        "push, guard element": checked("push", 36, pushing(pushes[Guard.ELEMENT], field)),
        "push, guard push": checked("push", 40, pushing(pushes[Guard.PUSH], field)),
        "push of no element": Contestant("call", 0, pushing(pushes[Guard.ELEMENT], field, stop=0)),
        "eager torch": checked("rival", 36, eager.plain(x, snapshot, v, s, g, constants)),
        "eager torch, two kept temporaries": checked("rival", 36, eager.sparing(x, snapshot, v, s, g, constants)),
        **field.streams(),
    }
    if isinstance(loops, str):
        benchmark.extra_info["left_out"] = {"AVX loop": loops}
    else:
        contestants["AVX loop"] = checked("rival", 36, loops.gap_push(field.buffers, field.n, constants))
        contestants["AVX loop of no element"] = Contestant("call", 0, loops.gap_push(field.buffers, 0, constants))
        contestants["AVX loop, streams only"] = Contestant("stream", 36, loops.streams(field.buffers, field.n))
    compete(benchmark, field.n, contestants, SCALE.push_rounds)


@pytest.mark.benchmark(group="push: SGD without snapshot")
@pytest.mark.parametrize("m", [None, MOMENTUM], ids=["plain", "heavy-ball"])
def test_against_torch_sgd(benchmark: BenchmarkFixture, field: Field, m: float | None) -> None:
    momentum = None if m is None else HeavyBall(m)
    bytes = SGD_BYTES[m]
    v = None if momentum is None else field.v

    def checked(kind: str, bytes: int, call: Callable[[], object]) -> Contestant:
        return field.checked(kind, bytes, call, gap=None, momentum=momentum)

    def torch_sgd(**form: bool) -> Contestant:
        parameter = torch.nn.Parameter(field.x)
        parameter.grad = field.g
        optimizer = torch.optim.SGD([parameter], lr=LR, momentum=m or 0.0, **form)
        if v is not None:
            optimizer.state[parameter]["momentum_buffer"] = v
        return checked("rival", bytes, optimizer.step)

    def push(guard: Guard) -> Push:
        return Push(x=field.x, v=v, segments=[(0, field.n)], momentum=momentum, guard=guard)

    contestants = {
        "push, guard element": checked("push", bytes, pushing(push(Guard.ELEMENT), field)),
        "push, guard push": checked("push", bytes + 4, pushing(push(Guard.PUSH), field)),
        "push of no element": Contestant("call", 0, pushing(push(Guard.ELEMENT), field, stop=0)),
        "torch SGD, for loop": torch_sgd(foreach=False),
        "torch SGD, foreach": torch_sgd(foreach=True),
        "torch SGD, fused": torch_sgd(fused=True),
        **field.streams(),
    }
    compete(benchmark, field.n, contestants, SCALE.push_rounds)
