"""Processes for the tests of CUDA sharing."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import torch

from hogwild.buffers import SHARED, SNAPSHOT
from hogwild.drivers import fork_server
from hogwild.drivers.view.worker_view import WorkerView
from hogwild.kernels import placed
from hogwild.kernels.placed import tensor_at
from hogwild.rules import Access, Guard
from hogwild.shared.placed_memory import PlacedMemory
from hogwild.shared.world import World

BUFFERS = {"x": SHARED, "snapshot": SNAPSHOT}


def started(target: object, *args: object) -> tuple[BaseProcess, Connection]:
    """Start a process like a worker: with torch imported, but no GPU used. Returns the process and its connection."""
    fork_server.start()
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(*args, theirs), daemon=True)  # type: ignore[arg-type]
    process.start()
    theirs.close()
    return process, ours


def add_for_ever(world: World, rank: int, line: Connection) -> None:
    """x <- x + 1 in a loop, without waiting, until it is killed. Reports that it has begun."""
    world.arena.enter(rank)
    view = WorkerView(world, rank, BUFFERS, access=Access.ATOMIC, guard=Guard.ELEMENT)
    view.lr, view.updates.defers = 1.0, True
    g = [torch.full((world.layout.parameters,), -1.0, device=world.arena.device)]
    view.push(g)
    view.finish()
    line.send("began")
    while True:
        view.push(g)


def add(world: World, rank: int, times: int, line: Connection) -> None:
    """x <- x + 1, `times` times. Reports when the device has finished."""
    world.arena.enter(rank)
    view = WorkerView(world, rank, BUFFERS, access=Access.ATOMIC, guard=Guard.ELEMENT)
    view.lr, view.updates.defers = 1.0, True
    g = [torch.full((world.layout.parameters,), -1.0, device=world.arena.device)]
    for _ in range(times):
        view.push(g)
    view.finish()
    torch.cuda.synchronize()
    line.send(times)


def map_and_let_go(memory: PlacedMemory, times: int, line: Connection) -> None:
    """Map the memory, read its last byte and unmap it, `times` times. Reports the free memory before and after."""
    torch.cuda.init()
    nbytes, free = sum(size for _, size in memory.parts), []
    for turn in range(times):
        mapped = placed.PlacedMemory(placed.DRIVER, memory.parts, memory._descriptors)
        mapped.allow(0)
        last = int(tensor_at(mapped.address, nbytes, torch.device("cuda:0"), mapped)[-1])
        del mapped
        if turn in (10, times - 1):
            torch.cuda.synchronize()
            free.append(torch.cuda.mem_get_info()[0])
    line.send((last, free))


def attach_and_let_go(line: Connection) -> None:
    """Map each memory that it receives, read its first element, and unmap it, until it receives None."""
    while (memory := line.recv()) is not None:
        first = int(memory[0])
        del memory
        torch.cuda.ipc_collect()
        line.send(first)
