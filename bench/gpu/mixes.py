"""Averages, exchanges and Full Normalization against torch operations that do the same."""

from __future__ import annotations

import torch
from torch import nn

from bench.contestants import Contestant
from bench.gpu.scene import Scene
from bench.gpu.timing import compete
from bench.replicas import Replicas
from hogwild import reference
from hogwild.kernels import Exchange, diffuse, pair_average
from hogwild.kernels.control import LOCK_BYTES, Control
from hogwild.nn import FullNorm2d
from hogwild.rules import Access

SIZES = (1 << 26, 1 << 24, 351_946, 1 << 22)
SHAPES = ((128, 64, 32, 32), (256, 256, 14, 14))
ALPHA, RING, LR, RHO, WORKERS = 0.225, 1 / 3, 0.01, 2.5, 4


def run(scene: Scene) -> None:
    for n in scene.sizes("mix", *SIZES):
        compete(scene, "mix", n, contestants(Replicas(n, scene.device)))
    for shape in SHAPES if not scene.is_dry else ((2, 3, 5, 5),):
        for format in (torch.contiguous_format, torch.channels_last):
            norms(scene, shape, format)


def contestants(replicas: Replicas) -> dict[str, Contestant]:
    at = replicas.at
    x, center, base, multiplier, g = (at[name] for name in ("x", "center", "base", "multiplier", "g"))
    left, right, out, correction = (at[name] for name in ("left", "right", "out", "correction"))
    racing, atomic, kept = Exchange(), Exchange(Access.ATOMIC), torch.empty_like(x)
    neighbours, weights = [left, right], [RING, RING]
    locks, memory = _locks(x)

    def two_lerps() -> None:
        x.lerp_(center, ALPHA)
        center.lerp_(x, ALPHA / (1 - ALPHA))

    def torch_pair() -> None:
        torch.sub(right, left, out=kept)
        left.add_(kept, alpha=0.5)
        right.sub_(kept, alpha=0.5)

    def torch_row() -> None:
        torch.mul(x, 1 - 2 * RING, out=out).add_(left, alpha=RING).add_(right, alpha=RING)

    def elastic(arrays: dict[str, reference.Array]) -> None:
        reference.elastic(arrays["x"], arrays["center"], alpha=ALPHA)

    def deliver(arrays: dict[str, reference.Array]) -> None:
        reference.deliver(arrays["x"], arrays["center"], arrays["base"])

    def admm(arrays: dict[str, reference.Array]) -> None:
        buffers = (arrays[name] for name in ("x", "center", "multiplier", "g"))
        reference.admm(*buffers, lr=LR, rho=RHO, workers=WORKERS)

    def row(arrays: dict[str, reference.Array]) -> None:
        reference.diffuse(arrays["out"], arrays["x"], [arrays["left"], arrays["right"]], weights)

    def corrected(arrays: dict[str, reference.Array]) -> None:
        both = [arrays["left"], arrays["right"]]
        reference.diffuse(arrays["out"], arrays["x"], both, weights, arrays["correction"])

    def pair(arrays: dict[str, reference.Array]) -> None:
        d = 0.5 * (arrays["right"] - arrays["left"])
        arrays["left"] += d
        arrays["right"] -= d

    check = replicas.checked
    return {
        "elastic": check("push", 16, lambda: racing.elastic(x, center, ALPHA), elastic),
        "elastic, atomic": check("push", 16, lambda: atomic.elastic(x, center, ALPHA), elastic),
        "elastic, torch: two lerps": check("rival", 16, two_lerps, elastic),
        "deliver": check("push", 24, lambda: racing.deliver(x, base, center), deliver),
        "admm": check("push", 28, lambda: racing.admm(x, multiplier, center, g, lr=LR, rho=RHO, workers=WORKERS), admm),
        "diffuse": check("push", 16, lambda: diffuse(out, x, neighbours, weights), row),
        "diffuse, torch: weighted chain": check("rival", 16, torch_row, row),
        "diffuse, corrected": check("push", 24, lambda: diffuse(out, x, neighbours, weights, correction), corrected),
        "pair average": check("push", 16, lambda: (pair_average(left, right, **locks), memory), pair),
        "pair average, torch: 3 operations": check("rival", 16, torch_pair, pair),
        **{name: stream for name, stream in replicas.streams().items() if name != "torch copy_"},
    }


def _locks(x: torch.Tensor) -> tuple[dict[str, int], torch.Tensor]:
    """The locks that a pair average takes on the CPU, and their memory."""
    memory = torch.zeros(Control.bytes(1, 2) + 128, dtype=torch.uint8)
    if x.is_cuda:
        return {}, memory
    control = Control(-(-memory.data_ptr() // 128) * 128, 1, 2, True)
    return {"locks_a": control.stripe_locks, "locks_b": control.stripe_locks + LOCK_BYTES, "n_locks": 1}, memory


def norms(scene: Scene, shape: tuple[int, ...], format: torch.memory_format) -> None:
    """Forward and backward of a layer, 32 B per float32 element of the input: x read four times, g twice, y, dx."""
    torch.manual_seed(0)
    x = torch.randn(shape, device=scene.device).contiguous(memory_format=format).requires_grad_()
    g = torch.randn_like(x)

    def contestant(kind: str, layer: nn.Module) -> Contestant:
        layer.to(scene.device)

        def both() -> None:
            x.grad = None
            layer(x).backward(g)

        return Contestant(kind, 32, both)

    layers = {
        "FullNorm2d": contestant("push", FullNorm2d(shape[1])),
        "BatchNorm2d": contestant("rival", nn.BatchNorm2d(shape[1])),
    }
    words = f"{' x '.join(map(str, shape))}, {'channels last' if format is torch.channels_last else 'contiguous'}"
    compete(scene, f"norm: {words}", x.numel(), layers)
