"""One model, several processes that add ones to it at once: updates a second, and how many of them are lost."""

from __future__ import annotations

import contextlib
import multiprocessing
import time
from collections.abc import Iterator
from multiprocessing.connection import Connection
from typing import Any

import torch

from bench.gpu.scene import Scene
from bench.processes import START_S, Flat
from bench.pushers import BUFFERS
from hogwild.drivers.view.worker_view import WorkerView
from hogwild.rules import Access, Guard
from hogwild.shared.devices import finish
from hogwild.shared.world import World

SIZES = (1 << 24, 1 << 20, 1 << 16)
PROCESSES = (1, 2, 4)
POLICIES = (Access.RACING, Access.ATOMIC, Access.LOCKED)
PUSHES = {1 << 16: 2000, 1 << 20: 1000, 1 << 24: 200}  # n -> pushes of each process in a turn
DRY_PUSHES, ROUNDS = 20, 3


def run(scene: Scene) -> None:
    most = 2 if scene.is_dry else max(PROCESSES)
    for n in scene.sizes("access", *SIZES):
        pushes = PUSHES.get(n, DRY_PUSHES)
        with workers(n, most, scene.device) as (world, lines):
            for processes in (count for count in PROCESSES if count <= most):
                for access in POLICIES:
                    some, rounds = lines[:processes], 1 if scene.is_dry else ROUNDS
                    turns = [turn(world, some, access, pushes) for _ in range(rounds)]
                    scene.record(
                        "access", f"{access.value} x {processes}", n=n, processes=processes, bytes=20,
                        pushes_per_s=[processes * pushes / seconds for seconds, _ in turns],
                        lost=[lost for _, lost in turns],
                    )  # fmt: skip


@contextlib.contextmanager
def workers(n: int, processes: int, device: torch.device) -> Iterator[tuple[World, list[Connection]]]:
    """A world of n parameters, and processes that wait for orders. The processes end before the world is freed."""
    world = World.create(Flat(n), BUFFERS, processes, device=device)
    finish(device)
    context = multiprocessing.get_context("spawn")
    lines, members = [], []
    try:
        for rank in range(processes):
            ours, theirs = context.Pipe()
            member = context.Process(target=serve, args=(world, rank, theirs), daemon=True)
            member.start()
            theirs.close()
            lines.append(ours)
            members.append(member)
        for line in lines:
            hear(line)
        yield world, lines
    finally:
        for member in members:
            member.kill()
            member.join()
        for line in lines:
            line.close()


def turn(world: World, lines: list[Connection], access: Access, pushes: int) -> tuple[float, float]:
    """(seconds from the first push to the last, fraction of the added ones that is missing in x)."""
    x = world.arena.tensor("x")
    x.zero_()
    finish(x.device)
    starts_at = time.perf_counter() + 0.01
    for line in lines:
        line.send((access, pushes, starts_at))
    ended = [hear(line) for line in lines]
    added = len(lines) * pushes * world.layout.parameters
    return max(ended) - starts_at, 1 - float(x.sum(dtype=torch.float64)) / added


def serve(world: World, rank: int, line: Connection) -> None:
    """The body of a process: carries out orders to push until it is killed."""
    torch.set_num_threads(1)
    device = world.arena.device
    views = {access: WorkerView(world, rank, BUFFERS, access=access, guard=Guard.ELEMENT) for access in POLICIES}
    g = [torch.full((world.layout.parameters,), -1.0, device=device)]
    for access, view in views.items():
        view.lr, view.updates.defers = 1.0, device.type == "cuda" and access is not Access.LOCKED
        push(view, g, 1)
    line.send(None)
    while True:
        access, pushes, starts_at = line.recv()
        while time.perf_counter() < starts_at:
            pass
        push(views[access], g, pushes)
        line.send(time.perf_counter())


def push(view: WorkerView, g: list[torch.Tensor], times: int) -> None:
    """x <- x + 1, `times` times. Returns when the device has finished."""
    for _ in range(times):
        view.push(g)
    view.finish()
    finish(view.x.device)


def hear(line: Connection) -> Any:
    if not line.poll(START_S):
        raise TimeoutError(f"a pushing process did not answer within {START_S:.0f} s")
    return line.recv()
