"""The same push and pull with the master in other places: plain memory of the GPU, mapped shards, the host.

All shards are on the one GPU. This measures the cost of mapping, not that of a link between GPUs.
"""

from __future__ import annotations

from functools import partial

import torch

from bench.contestants import TOLERANCE, Contestant, deviation, probe
from bench.gpu.scene import Scene
from bench.gpu.timing import compete
from bench.processes import Flat
from bench.pushers import BUFFERS
from hogwild.kernels import Push, copy
from hogwild.rules import Access, Guard
from hogwild.shared.placement import Placement
from hogwild.shared.world import World

SIZES = (1 << 24, 1 << 20)
SHARDS, LR = 4, 1e-4


def run(scene: Scene) -> None:
    places: dict[str, torch.device | Placement] = {"plain": scene.device}
    if scene.on_gpu:
        gpu = (scene.device.index,)
        places |= {f"{SHARDS} shards": Placement(gpu, gpu * SHARDS), "host": Placement(gpu, ())}
    for n in scene.sizes("places", *SIZES):
        contestants = {}
        for name, place in places.items():
            contestants |= on(name, World.create(Flat(n), BUFFERS, 1, device=place), scene.device)
        compete(scene, "places", n, contestants)


def on(name: str, world: World, device: torch.device) -> dict[str, Contestant]:
    """A pull and two pushes of a master in that place. The results of the pushes are checked."""
    x, snapshot, n = world.arena.tensor("x"), world.arena.tensor("snapshot", 0), world.layout.n
    g = torch.randn(n, generator=torch.Generator(device).manual_seed(0), device=device)
    found = {f"{name}: pull": Contestant("stream", 8, lambda: copy(snapshot, x))}
    for access in (Access.RACING, Access.ATOMIC):
        push = Push(x=x, snapshot=snapshot, segments=[(0, n)], access=access, guard=Guard.ELEMENT)
        call = partial(push.enqueue, [g], lr=LR, pushes=0, lr_max=LR)
        before = probe(x)
        call()
        error = deviation(x, before - LR * probe(g))
        assert error < TOLERANCE, f"a push on {name} deviates by {error:.1e}"
        found[f"{name}: push, {access.value}"] = Contestant("push", 20, call, error)
    return found
