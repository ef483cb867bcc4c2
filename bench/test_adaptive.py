"""The push of AdamW on one thread, compared with memory traffic and with torch's AdamW and a copy for the snapshot."""

from __future__ import annotations

from collections.abc import Callable

import pytest
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench.contestants import Contestant, compete
from bench.field import LR, PUSHES, Field
from bench.scale import SCALE
from bench.test_push import pushing
from hogwild.kernels import Push
from hogwild.rules import AdamW, AdamWSlim, Gap, Guard

BYTES, IN_PLACE = 36, 28


@pytest.fixture(scope="module", params=SCALE.adaptive_sizes, ids=str)
def field(request: pytest.FixtureRequest) -> Field:
    return Field(SCALE.adaptive_sizes[request.param])


@pytest.mark.benchmark(group="push: AdamW with snapshot")
def test_against_torch_adamw(benchmark: BenchmarkFixture, field: Field) -> None:
    x, snapshot, v, q, s = field.x, field.snapshot, field.v, field.q, field.s
    place = {"x": x, "v": v, "q": q, "segments": [(0, field.n)]}

    def ours(bytes: int, momentum: AdamW, gap: Gap | None = None, guard: Guard = Guard.ELEMENT) -> Contestant:
        push = Push(**place, snapshot=snapshot, s=s if gap else None, momentum=momentum, penalty=gap, guard=guard)  # type: ignore[arg-type]
        return field.checked("push", bytes, pushing(push, field), gap=gap, momentum=momentum, snapshot=True)

    def torch_adamw(**form: bool) -> Contestant:
        parameter = torch.nn.Parameter(x)
        parameter.grad = field.g
        optimizer = torch.optim.AdamW([parameter], lr=LR, weight_decay=0.0, **form)

        def step() -> None:
            optimizer.step()
            snapshot.copy_(x)

        optimizer.state[parameter] = {"step": torch.tensor(float(PUSHES)), "exp_avg": v, "exp_avg_sq": q}
        return field.checked("rival", BYTES, step, momentum=AdamW(), snapshot=True)

    def alone(call: Callable[[], object]) -> Contestant:
        return field.checked("push", IN_PLACE, call, momentum=AdamW())

    in_place = Push(**place, momentum=AdamW(), guard=Guard.ELEMENT)  # type: ignore[arg-type]
    contestants = {
        "push, guard element": ours(BYTES, AdamW()),
        "push, guard push": ours(BYTES + 4, AdamW(), guard=Guard.PUSH),
        "push of dana-slim": ours(BYTES, AdamWSlim()),
        "push, gap of steps": ours(BYTES + 8, AdamW(), Gap(unit="step")),
        "push in place, no snapshot": alone(pushing(in_place, field)),
        "push of no element": Contestant("call", 0, pushing(in_place, field, stop=0)),
        "torch AdamW fused, copy_": torch_adamw(fused=True),
        "torch AdamW foreach, copy_": torch_adamw(foreach=True),
        "torch AdamW for loop, copy_": torch_adamw(foreach=False),
        **field.streams(),
    }
    compete(benchmark, field.n, contestants, SCALE.push_rounds)
