"""The buffers of one push, and what runs on them: contestants, each checked against hogwild.reference before timing."""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor

from bench.contest import TOLERANCE, Contestant, deviation, probe
from hogwild import reference
from hogwild.algorithms.base import SHARED
from hogwild.kernels import copy, weighted_sum
from hogwild.rules import Gap, HeavyBall
from hogwild.shared.arena import Arena
from hogwild.shared.layout import BufferSpec

LR = 1e-4
MOMENTUM = 0.9
PUSHES = 99  # before the measured one


class Field:
    """x, snapshot, v, s [n] float32 in an arena, as in a run, and a gradient in private memory."""

    def __init__(self, n: int, device: torch.device | str = "cpu") -> None:
        self.n = n
        specs = [BufferSpec(name, SHARED, n, torch.float32) for name in ("x", "snapshot", "v", "s")]
        arena = Arena.create(specs, 1, device)
        generator = torch.Generator(device).manual_seed(0)
        self.x, self.snapshot, self.v, self.s = (arena.tensor(name) for name in ("x", "snapshot", "v", "s"))
        self.g = torch.empty(n, device=device).normal_(generator=generator)
        self.x.normal_(generator=generator)
        self.v.normal_(generator=generator)
        self.s.copy_(self.v).square_().mul_(1 - Gap().decay ** PUSHES)
        torch.add(self.x, self.g, alpha=3 * LR, out=self.snapshot)  # a gap of a few steps, until the first push

    @property
    def buffers(self) -> tuple[Tensor, ...]:
        return self.x, self.snapshot, self.v, self.s, self.g

    def checked(
        self, kind: str, bytes: int, call: Callable[[], object], *, gap: Gap | None, momentum: HeavyBall | None
    ) -> Contestant:
        """`call` as a contestant, once it has done what the reference does at both ends of the buffers."""
        torch.add(self.x, self.v, alpha=3 * LR, out=self.snapshot)
        expected = reference.Buffers(
            probe(self.x),
            probe(self.snapshot) if gap else None,
            probe(self.v) if momentum else None,
            probe(self.s) if gap else None,
        )
        call()
        reference.push(
            expected, [(0, expected.x.size)], [probe(self.g)], lr=LR, pushes=PUSHES, lr_max=LR, penalty=gap,
            momentum=momentum,
        )  # fmt: skip
        error = 0.0
        for name in ("x", "snapshot", "v", "s"):
            if (wanted := getattr(expected, name)) is not None:
                error = max(error, deviation(getattr(self, name), wanted))
        assert error < TOLERANCE, f"{call} deviates from the reference by {error:.1e}"
        return Contestant(kind, bytes, call, error)

    def streams(self) -> dict[str, Contestant]:
        """Copies and sums over the same memory. A stream that is written but not read costs a read all the same.

        That read (write-allocation) is not counted, as usual, so the copies look slower than streams changed in place.
        """
        x, snapshot, v, s, g = self.buffers
        return {
            "torch copy_": Contestant("stream", 8, lambda: snapshot.copy_(x)),
            "copy": Contestant("stream", 8, lambda: copy(snapshot, x)),
            "torch mul_": Contestant("stream", 8, lambda: v.mul_(1.0)),
            "torch add_": Contestant("stream", 12, lambda: x.add_(g, alpha=1e-12)),
            "weighted_sum of 2, in place": Contestant("stream", 12, lambda: weighted_sum(x, [x, g], [1.0, 1e-12])),
            "weighted_sum of 3, in place": Contestant(
                "stream", 16, lambda: weighted_sum(s, [s, v, g], [1.0, 1e-12, 1e-12])
            ),
        }
