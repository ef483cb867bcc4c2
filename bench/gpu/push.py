"""The push against a copy, torch's fused SGD, eager and foreach chains; flat and as 161 tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor

from bench import eager
from bench.contestants import TOLERANCE, Contestant
from bench.eager import Constants
from bench.field import LR, MOMENTUM, PUSHES, Field
from bench.gpu.model import Model, scaled
from bench.gpu.scene import Scene
from bench.gpu.timing import compete
from hogwild.kernels import Push
from hogwild.rules import Access, Gap, Guard, HeavyBall

LARGE = (1 << 26, 1 << 28, 1 << 24)  # these answer the question that is asked, so they come first
LISTS = (1 << 20, 25_557_032, 1 << 22, 1 << 16)
SMALL = (1 << 16, 1 << 20, 1 << 22)


def run(scene: Scene) -> None:
    for n in scene.sizes("push", *LARGE):
        compete(scene, "push", n, flat(n, scene.device))
        _forget(scene)
    for n in scene.sizes("push of 161 tensors", *LISTS):
        model = Model(scaled(n), scene.device)
        compete(scene, "push of 161 tensors", model.n, listed(model), tensors=len(model.sizes))
        _forget(scene)
    for n in scene.sizes("push", *SMALL):
        compete(scene, "push", n, flat(n, scene.device))
        _forget(scene)


def flat(n: int, device: torch.device) -> dict[str, Contestant]:
    """All contestants on flat buffers, each checked against the reference before it is timed."""
    field, gap, momentum = Field(n, device), Gap(), HeavyBall(MOMENTUM)
    x, snapshot, v, s, g = field.buffers
    half = g.bfloat16()
    constants = Constants(LR, MOMENTUM, gap, PUSHES + 1)

    def gap_push(access: Access, guard: Guard) -> Callable[[], object]:
        push = Push(
            x=x, snapshot=snapshot, v=v, s=s, segments=[(0, n)], penalty=gap, momentum=momentum, access=access,
            guard=guard,
        )  # fmt: skip
        return lambda: push.enqueue([g], lr=LR, pushes=PUSHES, lr_max=LR)

    def sgd_push(snapshot: Tensor | None = None, **rule: Any) -> Callable[[], object]:
        push = Push(x=x, v=v, snapshot=snapshot, segments=[(0, n)], momentum=momentum, guard=Guard.ELEMENT, **rule)
        return lambda: push.enqueue([g], lr=LR, pushes=PUSHES, lr_max=LR)

    def plain_push() -> Callable[[], object]:
        push = Push(x=x, segments=[(0, n)], guard=Guard.ELEMENT)
        return lambda: push.enqueue([g], lr=LR, pushes=PUSHES, lr_max=LR)

    def checked(kind: str, bytes: int, call: Callable[[], object]) -> Contestant:
        return field.checked(kind, bytes, call, gap=gap, momentum=momentum)

    def checked_sgd(kind: str, bytes: int, call: Callable[[], object], snapshot: bool = False) -> Contestant:
        return field.checked(kind, bytes, call, gap=None, momentum=momentum, snapshot=snapshot)

    sized = Gap(size="global")
    sized_push = Push(
        x=x,
        snapshot=snapshot,
        v=v,
        gap_state=field.gap_state,
        segments=[(0, n)],
        penalty=sized,
        momentum=momentum,
        guard=Guard.ELEMENT,
    )

    def enqueue_sized() -> object:
        return sized_push.enqueue([g], lr=LR, pushes=PUSHES, lr_max=LR)

    halved = Push(
        x=x, snapshot=snapshot, v=v, s=s, segments=[(0, n)], penalty=gap, momentum=momentum, guard=Guard.ELEMENT
    )
    return {
        "gap": checked("push", 36, gap_push(Access.RACING, Guard.ELEMENT)),
        "gap, atomic": checked("push", 36, gap_push(Access.ATOMIC, Guard.ELEMENT)),
        "gap, guard push": checked("push", 40, gap_push(Access.RACING, Guard.PUSH)),
        "gap, one C": field.checked("push", 28, enqueue_sized, gap=sized, momentum=momentum),
        "gap, bfloat16 gradient": Contestant(
            "push", 34, lambda: halved.enqueue([half], lr=LR, pushes=PUSHES, lr_max=LR)
        ),
        "heavy ball with snapshot": checked_sgd("push", 28, sgd_push(snapshot), snapshot=True),
        "heavy ball with snapshot, atomic": checked_sgd(
            "push", 28, sgd_push(snapshot, access=Access.ATOMIC), snapshot=True
        ),
        "heavy ball with snapshot, atomic, own v": checked_sgd(
            "push", 28, sgd_push(snapshot, access=Access.ATOMIC, own_v=True), snapshot=True
        ),
        "heavy ball": checked_sgd("push", 20, sgd_push()),
        "plain": field.checked("push", 12, plain_push()),
        "torch SGD, fused": checked_sgd("rival", 20, torch_sgd(field, fused=True)),
        "torch SGD, foreach": checked_sgd("rival", 20, torch_sgd(field, foreach=True)),
        "eager torch": checked("rival", 36, eager.plain(x, snapshot, v, s, g, constants)),
    }


def torch_sgd(field: Field, **form: bool) -> Callable[[], object]:
    parameter = torch.nn.Parameter(field.x)
    parameter.grad = field.g
    optimizer = torch.optim.SGD([parameter], lr=LR, momentum=MOMENTUM, **form)
    optimizer.state[parameter]["momentum_buffer"] = field.v
    return optimizer.step


def listed(model: Model) -> dict[str, Contestant]:
    """The same for many tensors."""
    error = model.check_foreach()
    assert error < TOLERANCE, f"push and foreach chain differ by {error:.1e}"
    gap, momentum = Gap(), HeavyBall(MOMENTUM)
    return {
        "gap": Contestant("push", 36, model.push(Guard.ELEMENT, gap, momentum), error),
        "gap, guard push": Contestant("push", 40, model.push(Guard.PUSH, gap, momentum), error),
        "heavy ball": Contestant("push", 20, model.push(Guard.ELEMENT, None, momentum)),
        "torch SGD, fused": Contestant("rival", 20, model.sgd(fused=True)),
        "torch SGD, foreach": Contestant("rival", 20, model.sgd(foreach=True)),
        "foreach chain": Contestant("rival", 36, model.foreach_gap()),
    }


def _forget(scene: Scene) -> None:
    if scene.on_gpu:
        torch.cuda.empty_cache()
