"""What exchanges back to back cost the workers: CPU time of an iteration (gradient and push) with and without them.

One process is the worker of box 0. Another one has box 1 and the couriers of both, and exchanges over loopback without
a pause while the worker works; each is on a core of its own. Turns with and without exchanges alternate.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from itertools import pairwise
from statistics import median
from typing import Any

import torch
import torch.nn.functional as F
from torch import nn

from bench.processes import Processes
from hogwild.boxes.exchange import PairExchange
from hogwild.boxes.header import FORMAT, Facts, Flag
from hogwild.boxes.ledger import Ledger
from hogwild.boxes.memory import BoxMemory
from hogwild.boxes.peer import Peer
from hogwild.boxes.rendezvous import Rendezvous
from hogwild.boxes.wire import WIRES
from hogwild.buffers import SHARED, SNAPSHOT
from hogwild.drivers.view.worker_view import WorkerView
from hogwild.rules import Access
from hogwild.shared.world import World

BUFFERS = {"x": SHARED, "snapshot": SNAPSHOT}
BATCH = 32
UP_S = 60.0  # longest wait for a link
WORKER, COURIERS = range(2)  # ranks


@dataclass(frozen=True)
class Order:
    """Work for `window_s` from `starts_at` on; `wire`: of the exchanges meanwhile."""

    window_s: float
    wire: str = ""
    lag_s: float = 0.0
    starts_at: float = 0.0


@dataclass(frozen=True)
class Tally:
    """CPU seconds of all threads of the process, and what it has done: iterations, or exchanges."""

    cpu_s: float
    done: int


class Hand(ABC):
    """A process, pinned to a core."""

    def begin(self, order: Order) -> None:  # noqa: B027
        """What comes before its window."""

    @abstractmethod
    def work(self) -> int:
        """Does a little; returns how much."""

    def carry_out(self, order: Order) -> Tally:
        self.begin(order)
        while time.perf_counter() < order.starts_at:
            pass
        done, began, stops_at = 0, time.process_time(), order.starts_at + order.window_s
        while time.perf_counter() < stops_at:
            done += self.work()
        return Tally(time.process_time() - began, done)


class Net(nn.Sequential):
    """Three layers on images of 784 pixels."""

    def __init__(self, hidden: Sequence[int]) -> None:
        sizes = [784, *hidden, 10]
        layers = [nn.Linear(a, b) for a, b in pairwise(sizes)]
        super().__init__(*[part for layer in layers[:-1] for part in (layer, nn.ReLU())], layers[-1])


class Worker(Hand):
    """The only worker of box 0: a gradient at its snapshot, and a push."""

    def __init__(self, world: World, module: nn.Module) -> None:
        self._view, self._module = WorkerView(world, 0, BUFFERS), module
        self._view.lr = 1e-6
        views = world.layout.views(world.arena.tensor("snapshot", 0))
        for parameter, view in zip(module.parameters(), views, strict=True):
            parameter.data = view
        self._view.pull()
        generator = torch.Generator().manual_seed(0)
        self._x, self._y = torch.randn(BATCH, 784, generator=generator), torch.arange(BATCH) % 10
        self.work()

    def work(self) -> int:
        self._module.zero_grad()
        F.cross_entropy(self._module(self._x), self._y).backward()
        self._view.push([parameter.grad for parameter in self._module.parameters()])
        return 1


class End:
    """One end of the link between both boxes, as a courier has it."""

    text = None

    def __init__(self, box: int, world: World, wire: str, port: int) -> None:
        n = world.layout.n
        self.facts, self.flags = Facts(FORMAT, 2, n, list(WIRES).index(wire), 0, 0), Flag.BEGUN
        self.versions, self._world = world.control, world  # whose memory goes with it
        memory = BoxMemory.create(box, 2, n)
        exchange = PairExchange(world, memory, WIRES[wire](n), Access.RACING)
        ledger, rendezvous = Ledger(memory.ledger(1 - box), 1), Rendezvous(box, 2, "127.0.0.1", port)
        self.peer = Peer(1 - box, rendezvous, self, exchange, ledger, UP_S, lambda *_: None)
        self.peer.start()


class Couriers(Hand):
    """Box 1, and the couriers of both boxes, for each wire."""

    def __init__(self, world: World, module: nn.Module) -> None:
        from torch._C._distributed_c10d import TCPStore

        torch.set_grad_enabled(False)
        worlds = (world, World.create(module, BUFFERS, 1, lines=2))
        limit = timedelta(seconds=UP_S)
        self._stores = {wire: TCPStore("127.0.0.1", 0, None, True, limit, False) for wire in WIRES}
        self._ends = {
            wire: [End(box, world, wire, store.port) for box, world in enumerate(worlds)]
            for wire, store in self._stores.items()
        }
        for wire in WIRES:
            self._wait(wire)
            self._wire = wire
            self.work()

    def _wait(self, wire: str) -> None:
        deadline = time.monotonic() + UP_S
        while not all(end.peer.is_up for end in self._ends[wire]):
            if time.monotonic() > deadline:
                raise TimeoutError("the two boxes do not find each other: is GLOO_SOCKET_IFNAME=lo right here?")
            time.sleep(0.01)

    def begin(self, order: Order) -> None:
        self._wire = order.wire

    def work(self) -> int:
        return int(self._ends[self._wire][0].peer.begin())


def hand(hidden: Sequence[int], world: World, rank: int) -> Hand:
    return Worker(world, Net(hidden)) if rank == WORKER else Couriers(world, Net(hidden))


def measure(hidden: Sequence[int], window_s: float, rounds: int) -> dict[str, Any]:
    """CPU seconds of an iteration without exchanges, and what more of it the turns with a wire take than the turn of
    their round without, because the speed of a machine changes slowly. Exchanges a second and their CPU time, both ends
    together.
    """
    world = World.create(Net(hidden), BUFFERS, 1, lines=2)
    turns: dict[str, list[list[Tally]]] = {name: [] for name in ("none", *WIRES)}
    with Processes[Tally](world, partial(hand, tuple(hidden)), 2) as processes:
        for _ in range(rounds + 1):
            for name, found in turns.items():
                count = 1 if name == "none" else 2
                found.append(processes.run(Order(window_s, "" if name == "none" else name), count))
    took = {name: [turn[WORKER].cpu_s / turn[WORKER].done for turn in those[1:]] for name, those in turns.items()}
    couriers = {wire: [turn[COURIERS] for turn in turns[wire][1:] if turn[COURIERS].done] for wire in WIRES}
    return {
        "parameters": world.layout.n,
        "iteration_s": median(took["none"]),
        "more": {wire: sorted(b / a - 1 for a, b in zip(took["none"], took[wire], strict=True)) for wire in WIRES},
        "exchanges_per_s": {w: sum(t.done for t in those) / (window_s * rounds) for w, those in couriers.items()},
        "exchange_cpu_s": {w: min(t.cpu_s / t.done for t in those) for w, those in couriers.items()},
    }
