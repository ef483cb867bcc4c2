"""A push on random buffers, run by the kernel and by the NumPy oracle; shared by the tests beside it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields

import numpy as np
import torch
from torch import Tensor

from hogwild import reference
from hogwild.kernels import Push, PushStats
from hogwild.rules import (
    Access,
    AdamW,
    Compensation,
    Gap,
    Guard,
    Lion,
    Momentum,
    RMSprop,
    Smega2,
    buffers_of,
    needs_snapshot,
)

SIZES = (1, 15, 16, 17, 4099)
PADDING = 777.0  # between segments; must survive
SIGNED = ("x", "snapshot", "center", "v", "v_sum", "b")  # buffers; a mean of squares is not

CONSTANTS = {
    "momentum": 0.9,
    "dampening": 0.1,
    "workers": 2,
    "rows": 2,
    "interpolation": 0.8,
    "lead": 0.3,
}  # constants of the stages below; the others have their defaults


def kinds(of: type[Momentum] = Momentum) -> Iterator[type[Momentum]]:
    """All momentum stages: the classes with a name in csrc/stages/momenta.h."""
    for kind in of.__subclasses__():
        if hasattr(kind, "kind"):
            yield kind
        yield from kinds(kind)


STAGES = [
    stage(**{field.name: CONSTANTS[field.name] for field in fields(stage) if field.name in CONSTANTS})
    for stage in kinds()
]
ADAPTIVE = [stage for stage in STAGES if stage.scales_step]  # can be combined with these:
ADAPTIVE += [RMSprop(eps=1e-3, eps_inside=False), AdamW(decoupled=False), Lion(decoupled=False)]
OF_STEPS = [None, Gap(0.9, unit="step"), Gap(0.9, unit="step", size="layer")]
MOMENTA = [None, *(s for s in STAGES if not s.stands_alone and not s.scales_step)]  # can be combined with corrections
ALONE = [*(stage for stage in STAGES if stage.stands_alone), Smega2(0.9, 3, advanced=False)]  # cannot be combined


def place(sizes: tuple[int, ...], element_bytes: int) -> tuple[list[tuple[int, int]], int]:
    """Segments on 128-byte boundaries with at least one element of padding between them, and the flat size."""
    line = 128 // element_bytes
    segments, end = [], 0
    for size in sizes:
        segments.append((end, size))
        end = (end + size) // line * line + line
    return segments, end


@dataclass
class Case:
    """Buffers and gradients of one push; `numpy` is their float64 twin."""

    sizes: tuple[int, ...] = SIZES
    dtype: torch.dtype = torch.float64
    gradient: torch.dtype | None = None
    penalty: Gap | None = None
    momentum: Momentum | None = None
    compensation: Compensation | None = None
    has_snapshot: bool = True
    has_center: bool = False  # then without snapshot
    access: Access = Access.RACING
    guard: Guard = Guard.PUSH
    seed: int = 0
    device: str = "cpu"
    cooperative: bool = True
    gap_state: Tensor | None = None
    groups: tuple[tuple[float, float], ...] = ()
    own_v: bool = False
    stripes: tuple[int, int] = (0, 0)
    buffers: dict[str, Tensor] = field(default_factory=dict)
    grads: list[Tensor | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.generator = torch.Generator().manual_seed(self.seed)
        self.segments, n = place(self.sizes, self.dtype.itemsize)
        stages = self.momentum, self.penalty, self.compensation
        names = ["x", *buffers_of(*stages)]
        if self.has_center:
            names.append("center")
        elif self.has_snapshot or needs_snapshot(*stages):
            names.append("snapshot")
        for name in names:
            if name == "gap_state":
                continue
            flat = torch.full((n,), PADDING, dtype=self.dtype)
            for offset, numel in self.segments:
                value = self._random(numel)
                flat[offset : offset + numel] = value if name in SIGNED else value.square()
            self.buffers[name] = flat.to(self.device)
        self.numpy = {name: buffer.cpu().double().numpy().copy() for name, buffer in self.buffers.items()}
        if self.penalty and self.penalty.rows:
            state = torch.rand(len(self.sizes), 3, generator=self.generator, dtype=torch.float64) + 0.5
            state[:, 1] = 1 - self.penalty.decay**3  # of three samples
            self.gap_state = state.to(self.device)
            self.numpy["gap_state"] = state.numpy().copy()
        self.new_gradients()
        self.push = Push(
            **self.buffers,
            segments=self.segments,
            penalty=self.penalty,
            momentum=self.momentum,
            compensation=self.compensation,
            gap_state=self.gap_state,
            access=self.access,
            guard=self.guard,
            groups=self.groups,
            own_v=self.own_v,
            stripes=self.stripes[0],
            n_stripes=self.stripes[1],
            cooperative=self.cooperative,
        )

    def _random(self, numel: int) -> Tensor:
        return torch.randn(numel, generator=self.generator, dtype=torch.float64).to(self.dtype)

    def new_gradients(self) -> None:
        dtype = self.gradient or self.dtype
        self.grads = [self._random(numel).to(dtype).to(self.device) for _, numel in self.segments]

    def run(self, **call: float) -> tuple[PushStats, reference.PushStats]:
        """Runs the same push in both. Returns the reports of both."""
        got = self.push(self.grads, **call)
        want = reference.push(
            self.numpy,
            self.segments,
            [None if g is None else g.cpu().double().numpy() for g in self.grads],
            penalty=self.penalty,
            momentum=self.momentum,
            compensation=self.compensation,
            guard=self.guard,
            **call,
        )
        return got, want

    def errors(self) -> dict[str, float]:
        """Largest difference of each buffer from the oracle's, relative to 1 + the oracle's value."""
        result = {}
        for name, buffer in self.buffers.items():
            want = self.numpy[name]
            result[name] = float(np.max(np.abs(buffer.cpu().double().numpy() - want) / (1 + np.abs(want))))
        if self.gap_state is not None:
            want = self.numpy["gap_state"]
            result["gap_state"] = float(np.max(np.abs(self.gap_state.cpu().numpy() - want) / (1 + np.abs(want))))
        return result

    def check(self, tolerance: float) -> None:
        assert max(self.errors().values()) <= tolerance, self.errors()
        for name, buffer in self.buffers.items():
            inside = torch.zeros(buffer.numel(), dtype=torch.bool)
            for offset, numel in self.segments:
                inside[offset : offset + numel] = True
            assert bool((buffer.cpu()[~inside] == PADDING).all()), f"padding of {name} was written"


def same_statistics(got: PushStats, want: reference.PushStats, tolerance: float) -> None:
    assert got.applied == want.applied
    assert got.nonfinite == want.nonfinite
    norms = [np.sqrt([stats.gap_sq, stats.step_sq]) for stats in (got, want)]
    np.testing.assert_allclose(*norms, rtol=tolerance, atol=1e-14)  # x - snapshot may be nothing but its rounding
    if not got.nonfinite:
        np.testing.assert_allclose([got.grad_norm, got.penalty], [want.grad_norm, want.penalty], rtol=tolerance)
