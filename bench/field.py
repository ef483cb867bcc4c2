"""The buffers of one push, and the contestants on them. Each is checked against hogwild.reference before timing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import torch
from torch import Tensor

from bench.contestants import TOLERANCE, Contestant, deviation, probe
from hogwild import reference
from hogwild.algorithms.stale.corrections import GAP_COLUMNS
from hogwild.buffers import Scope
from hogwild.kernels import copy, weighted_sum
from hogwild.rules import Compensation, Gap, Momentum, buffers_of
from hogwild.shared.arena import Arena
from hogwild.shared.layout import BufferSpec

LR = 1e-4
MOMENTUM = 0.9
PUSHES = 99  # number of pushes before the measured one
DELAY, WORKERS = 5, 8  # for rules that use them; push 99 of 8 workers neither begins nor ends a round of pushes
COMPENSATION = Compensation()
BUFFERS = ("x", "snapshot", "v", "s", "ms", "v_sum", "b", "q")


class Field:
    """The buffers of a push [n] float32 in an arena, as in a run, and a gradient in private memory."""

    def __init__(self, n: int, device: torch.device | str = "cpu") -> None:
        self.n = n
        specs = [BufferSpec(name, Scope.SHARED, n, torch.float32) for name in BUFFERS]
        arena = Arena.create([*specs, BufferSpec("gap_state", Scope.SHARED, GAP_COLUMNS, torch.float64)], 1, device)
        generator = torch.Generator(device).manual_seed(0)
        self.x, self.snapshot, self.v, self.s, self.ms, self.v_sum, self.b, self.q = map(arena.tensor, BUFFERS)
        self.gap_state = arena.tensor("gap_state").view(1, GAP_COLUMNS)
        self.g = torch.empty(n, device=device).normal_(generator=generator)
        for buffer in (self.x, self.v, self.v_sum, self.b):
            buffer.normal_(generator=generator)
        self.ms.copy_(self.g).square_()
        self.reset()

    def reset(self) -> None:
        """Set the gap to a few steps, and v, q, s and the stored norms to values as after PUSHES pushes."""
        self.v.normal_(generator=torch.Generator(self.v.device).manual_seed(1))
        self.s.copy_(self.v).square_().mul_(1 - Gap().decay ** PUSHES)
        self.q.copy_(self.v).square_().add_(1.0)
        torch.add(self.x, self.v, alpha=3 * LR, out=self.snapshot)
        size_sq = float(self.v.double().square().sum()) if self.n else 0.0
        mean_sq = size_sq * (1 - Gap().decay ** PUSHES)
        self.gap_state.copy_(torch.tensor([[mean_sq, 1 - Gap().decay ** PUSHES, 4 * LR**2 * size_sq]]))

    @property
    def buffers(self) -> tuple[Tensor, ...]:
        return self.x, self.snapshot, self.v, self.s, self.g

    def checked(
        self,
        kind: str,
        bytes: int,
        call: Callable[[], object],
        *,
        gap: Gap | None = None,
        momentum: Momentum | None = None,
        compensation: Compensation | None = None,
        lr: float = LR,
        snapshot: bool = False,
    ) -> Contestant:
        """`call` as a contestant, after a check that it equals the reference at both ends of the buffers.

        Norms are those of the whole buffers. The ends do not determine them: the reference gets the distance as input.
        """
        self.reset()
        used = {"x", *buffers_of(momentum, gap, compensation)} - {"gap_state"}
        if snapshot or gap or compensation:
            used.add("snapshot")
        expected = {name: probe(getattr(self, name)) for name in used}
        if gap is not None and gap.rows:
            if gap.level == "element":
                self.gap_state[0, 0] /= self.n  # C per element
            expected["gap_state"] = self.gap_state.cpu().clone().numpy()
            if gap.level != "element" and not gap.lagged:
                expected["gap_state"][0, 2] = float((self.x.double() - self.snapshot).square().sum())
                gap = replace(gap, lagged=True)
        call()
        reference.push(
            expected, [(0, expected["x"].size)], [probe(self.g)], lr=lr, pushes=PUSHES, lr_max=LR, delay=DELAY,
            penalty=gap, momentum=momentum, compensation=compensation,
        )  # fmt: skip
        error = max(deviation(getattr(self, name), expected[name]) for name in used)
        assert error < TOLERANCE, f"{call} deviates from the reference by {error:.1e}"
        return Contestant(kind, bytes, call, error)

    def streams(self) -> dict[str, Contestant]:
        """Copies and sums over the same memory. A stream that is only written still costs a read (write-allocation).

        As usual this read is not counted, so the copies look slower than streams that are changed in place.
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
