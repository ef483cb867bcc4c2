"""The eager gap-aware step under torch.compile: the fastest form in torch without an own kernel."""

from __future__ import annotations

import torch

from bench import eager
from bench.contestants import Contestant
from bench.eager import Constants
from bench.field import LR, MOMENTUM, PUSHES, Field
from bench.gpu.push import flat
from bench.gpu.scene import Scene
from bench.gpu.timing import compete
from hogwild.rules import Gap

SIZES = (1 << 24, 1 << 20)


def run(scene: Scene) -> None:
    for n in scene.sizes("compiled step", *SIZES):
        field = Field(n, scene.device)
        constants = Constants(LR, MOMENTUM, Gap(), PUSHES + 1)
        step = eager.plain(*field.buffers, constants)
        compiled = torch.compile(step, backend="aot_eager" if scene.is_dry else "inductor")
        others = flat(n, scene.device)
        contestants = {
            "torch.compile": Contestant("rival", 36, compiled),
            "gap": others["gap"],
        }
        compete(scene, "compiled step", n, contestants)
