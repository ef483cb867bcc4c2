"""The buffers of a mix in an arena, as in a run, and contestants on them, checked against hogwild.reference first."""

from __future__ import annotations

from collections.abc import Callable

import torch

from bench.contestants import TOLERANCE, Contestant, deviation, probe
from hogwild import reference
from hogwild.buffers import Scope
from hogwild.kernels import copy, weighted_sum
from hogwild.shared.arena import Arena
from hogwild.shared.layout import BufferSpec

NAMES = ("x", "center", "base", "multiplier", "g", "v", "left", "right", "out", "correction")


class Replicas:
    """Random float32 buffers [n]: a worker's x, g, v and stored model, a center, two neighbours."""

    def __init__(self, n: int, device: torch.device | str = "cpu") -> None:
        self.n = n
        arena = Arena.create([BufferSpec(name, Scope.SHARED, n, torch.float32) for name in NAMES], 1, device)
        generator = torch.Generator(device).manual_seed(0)
        self.at = {name: arena.tensor(name) for name in NAMES}
        for tensor in self.at.values():
            tensor.normal_(generator=generator)

    def checked(
        self, kind: str, bytes: int, call: Callable[[], object], oracle: Callable[[dict[str, reference.Array]], None]
    ) -> Contestant:
        """`call` as a contestant, after a check that it equals the oracle at both ends of the buffers."""
        wanted = {name: probe(tensor) for name, tensor in self.at.items()}
        call()
        oracle(wanted)
        error = max(deviation(self.at[name], array) for name, array in wanted.items())
        assert error < TOLERANCE, f"{call} deviates from the reference by {error:.1e}"
        return Contestant(kind, bytes, call, error)

    def streams(self) -> dict[str, Contestant]:
        """Copies and sums over the same memory; bench/README.md defines their counts."""
        x, center, left, right = (self.at[name] for name in ("x", "center", "left", "right"))
        return {
            "torch copy_": Contestant("stream", 8, lambda: right.copy_(left)),
            "copy": Contestant("stream", 8, lambda: copy(right, left)),
            "torch mul_": Contestant("stream", 8, lambda: left.mul_(1.0)),
            "torch add_": Contestant("stream", 12, lambda: left.add_(right, alpha=1e-12)),
            "weighted_sum of 2, in place": Contestant("stream", 12, lambda: weighted_sum(x, [x, center], [1.0, 1e-12])),
        }
