"""The placement of a run's memory, for runs with several GPUs or with a master in the host's memory."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from hogwild.buffers import Scope
from hogwild.kernels.placed import DRIVER
from hogwild.shared.layout import ArenaLayout, BufferSpec

Part = tuple[int, int]
"""(GPU, bytes)"""


@dataclass(frozen=True)
class Placement:
    """GPUs by the numbers that torch gives them. `gpus`: the GPUs of the workers, assigned in turn. `shards`: the GPUs
    that each hold one piece of every large buffer that all workers write; if empty, these buffers are in pinned host
    memory. One GPU may hold several shards.

    A buffer that only one worker writes is on that worker's GPU; with a master on the host, only if no other worker
    reads it either.
    """

    gpus: tuple[int, ...]
    shards: tuple[int, ...]
    driver: str = DRIVER

    def gpu(self, rank: int) -> int:
        """Of worker `rank`."""
        return self.gpus[rank % len(self.gpus)]

    @property
    def master(self) -> str:
        """`host`, `cuda:1`, or `sharded over cuda:0, cuda:1`."""
        names = [f"cuda:{gpu}" for gpu in self.shards]
        return "host" if not names else names[0] if len(names) == 1 else f"sharded over {', '.join(names)}"


@dataclass
class PlacedLayout:
    """The parts of one range of addresses, and the offset of each buffer in it. It contains no buffers on the host."""

    parts: list[Part] = field(default_factory=list)
    offsets: dict[tuple[str, int], int] = field(default_factory=dict)  # of (buffer, worker); 0 for shared buffers
    gpus: dict[tuple[str, int], int] = field(default_factory=dict)  # GPU on which it begins
    nbytes: int = 0

    @classmethod
    def of(cls, specs: Sequence[BufferSpec], workers: int, placement: Placement, grain: int) -> PlacedLayout:
        """Parts are multiples of `grain` bytes. A shared buffer that has a grain for every shard is split, the smaller
        ones lie together on the first.
        """
        layout, shards = cls(), placement.shards
        own = [replace(spec, scope=Scope.SHARED) for spec in specs if is_near(spec, placement)]
        shared = [spec for spec in specs if spec.scope is Scope.SHARED] if shards else []
        split = [spec for spec in shared if len(shards) > 1 and spec.stride_bytes >= grain * len(shards)]
        for spec in split:
            layout._add([spec], 0, shards, grain)
        layout._add([spec for spec in shared if spec not in split], 0, shards[:1], grain)
        for rank in range(workers):
            layout._add(own, rank, (placement.gpu(rank),), grain)
        return layout

    def _add(self, specs: Sequence[BufferSpec], rank: int, gpus: Sequence[int], grain: int) -> None:
        """Places the buffers one after the other, in equal parts on those GPUs."""
        if not specs:
            return
        inside = ArenaLayout.of(specs, 1)
        for spec in specs:
            self.offsets[spec.name, rank] = self.nbytes + inside.offsets[spec.name]
            self.gpus[spec.name, rank] = gpus[0]
        grains = -(-inside.nbytes // grain)
        for k, gpu in enumerate(gpus):
            self.parts.append((gpu, grain * (grains * (k + 1) // len(gpus) - grains * k // len(gpus))))
        self.nbytes += grains * grain


def is_near(spec: BufferSpec, placement: Placement) -> bool:
    """Whether a buffer is on the GPU of its worker."""
    return spec.scope is Scope.WORKER or (spec.scope is Scope.REPLICA and bool(placement.shards))
