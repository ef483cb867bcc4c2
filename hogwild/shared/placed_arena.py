"""An arena with buffers on several GPUs, or on a GPU and in pinned memory of the host. See docs/adr/0007."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import torch
from torch import Tensor

from hogwild.errors import UsageError
from hogwild.kernels.placed import granularity
from hogwild.shared import runtime
from hogwild.shared.arena import Arena
from hogwild.shared.layout import ArenaLayout, BufferSpec
from hogwild.shared.memory import MIB, SharedMemory
from hogwild.shared.placed_memory import PlacedMemory
from hogwild.shared.placement import PlacedLayout, Placement, is_near


class PlacedArena(Arena):
    """Buffers by name, in the memory that `placement` chooses. In each process they are tensors of the GPU on which it
    computes.

    Each process calls `enter` once with its rank. If its GPU cannot access a buffer: in the process that made the
    arena, the buffer is a tensor of the GPU that holds it; in a worker, such a buffer of another worker raises
    IndexError.
    """

    def __init__(
        self,
        layout: ArenaLayout,
        placement: Placement,
        placed_layout: PlacedLayout,
        placed: PlacedMemory | None,
        host_layout: ArenaLayout,
        host: SharedMemory | None,
    ) -> None:
        self.layout, self.placement = layout, placement
        self._placed_layout, self._placed = placed_layout, placed
        self._host_layout, self._host = host_layout, host
        self._seen_from: dict[int, int] = {}  # GPU that holds memory -> GPU from which this process uses it
        self._gpu: int | None = None
        self._pinned: runtime.Pinned | None = None

    @classmethod
    def place(cls, specs: Sequence[BufferSpec], workers: int, placement: Placement) -> PlacedArena:
        """Allocates all buffers, zeroed. UsageError when they do not fit, or a GPU cannot share memory this way."""
        layout = ArenaLayout.of(specs, workers)
        try:
            grain = granularity(placement.driver, sorted({*placement.gpus, *placement.shards}))
        except RuntimeError as error:
            raise UsageError(f"--master {placement.master}: {error}") from None
        placed_layout = PlacedLayout.of(specs, workers, placement, grain)
        _require_room(placed_layout, layout.describe())
        parts = placed_layout.parts
        placed = PlacedMemory(parts, layout.describe(), placement.driver) if parts else None
        on_host = [] if placement.shards else [spec for spec in specs if not is_near(spec, placement)]
        host_layout = ArenaLayout.of(on_host, workers)
        host = SharedMemory(host_layout.nbytes, host_layout.describe()) if on_host else None
        arena = cls(layout, placement, placed_layout, placed, host_layout, host)
        arena.enter(None)
        arena._clear()
        return arena

    def enter(self, rank: int | None) -> torch.device:
        """Makes this process use the buffers from the GPU of worker `rank`. None: this process made the arena; it uses
        the first worker's GPU, and accesses the buffers of other workers from their GPUs. UsageError if they cannot be
        mapped.
        """
        self._gpu = self.placement.gpu(rank or 0)
        runtime.use(self._gpu)
        self._seen_from = {}
        if self._placed is not None:
            others = sorted({gpu for gpu, _ in self._placed.parts} - {self._gpu}) if rank is None else []
            for gpu in others:
                self._placed.allow(gpu)
                self._seen_from[gpu] = gpu
            self._seen_from |= dict.fromkeys(self._placed.allow(self._gpu), self._gpu)
        if self._host is not None and self._pinned is None:
            self._pinned = runtime.Pinned(self._host)
        return self.device

    @property
    def device(self) -> torch.device:
        assert self._gpu is not None, "a process enters an arena before it uses it"
        return torch.device("cuda", self._gpu)

    def device_of(self, rank: int) -> torch.device:
        return torch.device("cuda", self.placement.gpu(rank))

    @property
    def facts(self) -> dict[str, object]:
        gpus = dict.fromkeys(self.placement.gpu(rank) for rank in range(self.layout.workers))
        return {"device": ", ".join(f"cuda:{gpu}" for gpu in gpus), "master": self.placement.master}

    def tensor(self, name: str, rank: int | None = None) -> Tensor:
        _, spec = self.layout.position(name, rank)  # IndexError if there is no such buffer or worker
        nbytes = spec.numel * torch.empty((), dtype=spec.dtype).element_size()
        key = (name, rank or 0) if is_near(spec, self.placement) else (name, 0)
        if key in self._placed_layout.offsets:
            assert self._placed is not None
            holder = self._placed_layout.gpus[key]
            if holder not in self._seen_from:
                raise IndexError(
                    f"{name!r} of worker {rank} lies on GPU {holder}, which GPU {self._gpu} does not reach"
                )
            address, owner = self._placed.address + self._placed_layout.offsets[key], self._placed
            return runtime.view(address, nbytes, self._seen_from[holder], owner).view(spec.dtype)
        assert self._host is not None
        assert self._gpu is not None, "a process enters an arena before it uses it"
        address = self._host.address + self._host_layout.position(name, rank)[0]
        return runtime.view(address, nbytes, self._gpu, self._pinned).view(spec.dtype)

    def _clear(self) -> None:
        """Zeroes all parts; each GPU writes its own memory."""
        if self._placed is None:
            return
        at = self._placed.address
        for gpu, nbytes in self._placed.parts:
            runtime.view(at, nbytes, gpu, self._placed).zero_()
            at += nbytes
        for gpu in {gpu for gpu, _ in self._placed.parts}:
            runtime.wait(gpu)

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_seen_from": {}, "_gpu": None, "_pinned": None}


def _require_room(layout: PlacedLayout, what: str) -> None:
    wanted: Counter[int] = Counter()
    for gpu, nbytes in layout.parts:
        wanted[gpu] += nbytes
    for gpu, nbytes in sorted(wanted.items()):
        free, total = runtime.room(gpu)
        if nbytes > free:
            raise UsageError(
                f"needs {nbytes / MIB:,.0f} MiB on GPU {gpu} ({what}, over all GPUs), {free / MIB:,.0f} of "
                f"{total / MIB:,.0f} MiB are free: use a smaller model, fewer workers, more GPUs, or --master host"
            )
