"""The cost of gaps per segment, relative to gaps per element: two passes, one cooperative launch, lagged."""

from __future__ import annotations

from collections.abc import Callable

from bench.contestants import Contestant
from bench.field import LR, MOMENTUM, PUSHES
from bench.gpu.model import Model, scaled
from bench.gpu.scene import Scene
from bench.gpu.timing import compete
from hogwild.kernels import Push
from hogwild.rules import Gap, Guard, HeavyBall

SIZES = (3 << 20, 5 << 20, 1 << 26, 1 << 24, 1 << 20, 1 << 18)  # the first two decide the cooperative limit
LEVELS = ("global", "layer")


def run(scene: Scene) -> None:
    for n in scene.sizes("gap forms", *SIZES):
        model = Model(scaled(n), scene.device)
        contestants = {
            name: Contestant("push", bytes, enqueued(model, push)) for name, (bytes, push) in forms(model).items()
        }
        compete(scene, "gap forms", model.n, contestants, tensors=len(model.sizes))


def forms(model: Model) -> dict[str, tuple[int, Push]]:
    """Bytes of memory per parameter under Guard.ELEMENT, and a push. The cooperative form needs a small model: its
    second pass finds x and snapshot in the cache.
    """
    found = {"element": (36, push(model, Gap()))}
    for level in LEVELS:
        found[f"element, C of {level}"] = 28, push(model, Gap(size=level))
        gap = Gap(level=level)
        found[f"{level}, two-pass"] = 36, push(model, gap, cooperative=False)
        if (one := push(model, gap)).is_cooperative:
            found[f"{level}, cooperative"] = 28, one
        found[f"{level}, lagged"] = 28, push(model, Gap(level=level, lagged=True))
    return found


def push(model: Model, gap: Gap, cooperative: bool = True) -> Push:
    return model.make_push(Guard.ELEMENT, gap, HeavyBall(MOMENTUM), cooperative=cooperative)


def enqueued(model: Model, push: Push) -> Callable[[], object]:
    return lambda: push.enqueue(model.grads, lr=LR, pushes=PUSHES, lr_max=LR)
