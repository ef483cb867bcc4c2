"""A machine with fake GPUs, for tests of placement. A spawned interpreter can import this module."""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
from multiprocessing.connection import Connection
from pathlib import Path

import pytest
import torch
from torch import Tensor

from hogwild.buffers import SHARED, SNAPSHOT
from hogwild.drivers.view.worker_view import WorkerView
from hogwild.kernels.placed import tensor_at
from hogwild.rules import Access, Guard
from hogwild.shared import runtime
from hogwild.shared.memory import SharedMemory
from hogwild.shared.placed_memory import PlacedMemory
from hogwild.shared.world import World

KIB = 1 << 10
GRAIN = 64 * KIB
BUFFERS = {"x": SHARED, "snapshot": SNAPSHOT}


def build(folder: Path) -> str:
    """The driver of tests/shared/fake_driver.cpp as a library."""
    compiler = shlex.split(os.environ.get("CXX") or "c++")
    if shutil.which(compiler[0]) is None:
        pytest.skip("no C++ compiler")
    library, source = folder / "libfake.so", Path(__file__).with_name("fake_driver.cpp")
    subprocess.run([*compiler, "-std=c++17", "-shared", "-fPIC", source, "-o", library], check=True)
    return str(library)


class Pinned:
    """Host memory that is not pinned, because no device reads it over a bus."""

    def __init__(self, memory: SharedMemory) -> None:
        self.memory = memory


def view(address: int, nbytes: int, gpu: int, owner: object) -> Tensor:
    """A CPU tensor over memory of a fake GPU, which is memory of the process. `seen` records the number of the GPU."""
    tensor = tensor_at(address, nbytes, torch.device("cpu"), owner)
    seen.append((gpu, tensor.data_ptr(), nbytes))
    return tensor


seen: list[tuple[int, int, int]] = []
in_use: list[int] = []


def take_over(patch: pytest.MonkeyPatch) -> None:
    """Replace the CUDA runtime of this process by that of the fake GPUs."""
    free = int(os.environ.get("FAKE_GPU_KIB", 64 * KIB)) * KIB
    patch.setattr(runtime, "use", in_use.append)
    patch.setattr(runtime, "room", lambda _: (free, free))
    patch.setattr(runtime, "wait", lambda _: None)
    patch.setattr(runtime, "view", view)
    patch.setattr(runtime, "Pinned", Pinned)
    seen.clear()
    in_use.clear()


def write_and_read(memory: PlacedMemory, gpu: int, line: Connection) -> None:
    """On order, write the number of its GPU plus one to its own half, then report the contents of the other half."""
    memory.allow(gpu)
    nbytes = sum(size for _, size in memory.parts)
    half = tensor_at(memory.address, nbytes, torch.device("cpu"), memory).chunk(2)
    half[gpu].fill_(gpu + 1)
    line.send("written")
    line.recv()
    line.send(half[1 - gpu].unique().tolist())


def add(world: World, rank: int, times: int, line: Connection) -> None:
    """x <- x + 1, `times` times; then without end, if it is ordered to."""
    torch.set_num_threads(1)
    with pytest.MonkeyPatch.context() as patch:
        take_over(patch)
        device = world.arena.enter(rank)
        views = WorkerView(world, rank, BUFFERS, access=Access.ATOMIC, guard=Guard.ELEMENT)
        views.lr = 1.0
        g = [torch.full((world.layout.parameters,), -1.0)]
        for _ in range(times):
            views.push(g)
        line.send((str(device), in_use, {gpu for gpu, _, _ in seen}))
        line.recv()
        line.send("goes on")
        while True:
            views.push(g)
