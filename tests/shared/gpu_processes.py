"""Processes of the tests of CUDA sharing, and how they are started."""

from __future__ import annotations

import multiprocessing
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

import torch

from hogwild.algorithms.base import SHARED, WORKER
from hogwild.drivers import fork_server
from hogwild.drivers.view.worker_view import WorkerView
from hogwild.kernels import placed
from hogwild.kernels.placed import tensor_at
from hogwild.rules import Access, Guard
from hogwild.shared.placed_memory import PlacedMemory
from hogwild.shared.world import World

BUFFERS = {"x": SHARED, "snapshot": WORKER}


def started(target: object, *args: object) -> tuple[BaseProcess, Connection]:
    """A process as the product starts its workers: torch is there, a GPU has not been touched; and the line to it."""
    fork_server.start()
    context = multiprocessing.get_context("forkserver")
    ours, theirs = context.Pipe()
    process = context.Process(target=target, args=(*args, theirs), daemon=True)  # type: ignore[arg-type]
    process.start()
    theirs.close()
    return process, ours


def add_for_ever(world: World, rank: int, line: Connection) -> None:
    """x <- x + 1, again and again, without waiting, until it is killed; says when it has begun."""
    world.arena.enter(rank)
    view = WorkerView(world, rank, BUFFERS, access=Access.ATOMIC, guard=Guard.ELEMENT)
    view.lr, view.defers = 1.0, True
    g = [torch.full((world.layout.parameters,), -1.0, device=world.arena.device)]
    view.push(g)
    view.settle()
    line.send("began")
    while True:
        view.push(g)


def add(world: World, rank: int, times: int, line: Connection) -> None:
    """x <- x + 1, so many times, and until that is done."""
    world.arena.enter(rank)
    view = WorkerView(world, rank, BUFFERS, access=Access.ATOMIC, guard=Guard.ELEMENT)
    view.lr, view.defers = 1.0, True
    g = [torch.full((world.layout.parameters,), -1.0, device=world.arena.device)]
    for _ in range(times):
        view.push(g)
    view.settle()
    torch.cuda.synchronize()
    line.send(times)


def map_and_let_go(memory: PlacedMemory, times: int, line: Connection) -> None:
    """Maps the memory, reads its last byte and lets go of it, again and again; says what was free before and after."""
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
    """Maps what it is sent, looks at its first element, and lets go of it; until it is sent None."""
    while (memory := line.recv()) is not None:
        first = int(memory[0])
        del memory
        torch.cuda.ipc_collect()
        line.send(first)
