"""M2: what a gap of whole segments costs beside that of elements: a second pass, or a lagged norm."""

from __future__ import annotations

import torch

from bench.contest import Contestant
from bench.field import MOMENTUM
from bench.gpu.model import Model, scaled
from bench.gpu.scene import Scene
from bench.gpu.timing import compete
from hogwild.rules import Gap, Guard, HeavyBall

SIZES = (1 << 18, 1 << 20, 3 << 20, 5 << 20, 1 << 24, 1 << 26)
FORMS = {  # bytes per parameter under Guard.ELEMENT
    "element": (36, Gap()),
    "global, two passes": (36, Gap(level="global")),
    "global, lagged": (28, Gap(level="global", lagged=True)),
    "layer, two passes": (36, Gap(level="layer")),
    "layer, lagged": (28, Gap(level="layer", lagged=True)),
}


def run(scene: Scene) -> None:
    for n in scene.sizes(*SIZES):
        model = Model(scaled(n), scene.device)
        other = torch.empty_like(model.x)
        contestants = {
            name: Contestant("push", bytes, model.push(Guard.ELEMENT, gap, HeavyBall(MOMENTUM)))
            for name, (bytes, gap) in FORMS.items()
        }
        contestants["torch copy_"] = Contestant("stream", 8, lambda out=other, x=model.x: out.copy_(x))
        compete(scene, "gap forms", model.n, contestants, tensors=len(model.sizes))
