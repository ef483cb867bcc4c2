"""Boxes in one process: each with a world, a thread per link as in a courier, and real links over loopback."""

from __future__ import annotations

import os
import threading
import time
from datetime import timedelta

import torch
from torch import nn

from hogwild.boxes.exchange import PairExchange
from hogwild.boxes.header import FORMAT, Facts, Flag
from hogwild.boxes.ledger import Ledger
from hogwild.boxes.memory import BoxMemory
from hogwild.boxes.outer import outer_world
from hogwild.boxes.peer import Peer
from hogwild.boxes.rendezvous import Rendezvous
from hogwild.boxes.text import Text
from hogwild.boxes.wire import WIRES
from hogwild.buffers import Buffer, Scope
from hogwild.config.between import outer
from hogwild.rules import Access
from hogwild.shared.world import World

WAIT_S = 60.0
TIMEOUT_S = 20.0
N = 4099


class Model(nn.Module):
    def __init__(self, values: torch.Tensor) -> None:
        super().__init__()
        self.x = nn.Parameter(values.clone())


class Server:
    """The store that torchrun would serve."""

    def __init__(self) -> None:
        os.environ["GLOO_SOCKET_IFNAME"] = "lo"
        from torch._C._distributed_c10d import TCPStore

        self._store = TCPStore("127.0.0.1", 0, None, True, timedelta(seconds=30), False)
        self.port = self._store.port

    def rendezvous(self, box: int, boxes: int) -> Rendezvous:
        return Rendezvous(box, boxes, "127.0.0.1", self.port)


class Box:
    """Box `number` with the parameters `values` [n], and what a courier has of its own."""

    def __init__(
        self,
        server: Server,
        number: int,
        boxes: int,
        values: torch.Tensor,
        *,
        wire: str = "f32",
        access: Access = Access.ATOMIC,
        incarnation: int = 1,
        start: int = 5,
        timeout_s: float = TIMEOUT_S,
        between: tuple[str, str | None] | None = None,
        dtype: torch.dtype = torch.float32,
    ) -> None:
        """`between`: an algorithm with a text, and its options; None: pairs."""
        self.number, self.server, self.boxes, self.timeout_s = number, server, boxes, timeout_s
        self.world = World.create(Model(values), {"x": Buffer(Scope.SHARED)}, 1, lines=2, dtype=dtype)
        self.x = self.world.arena.tensor("x")
        self.memory = BoxMemory.create(number, boxes, self.x.numel(), dtype)
        self.facts = Facts(FORMAT, boxes, self.x.numel(), list(WIRES).index(wire), 1, start)
        self.flags, self.versions, self.text = Flag.BEGUN, self.world.control, None
        self.wire, self.access, self.incarnation = wire, access, incarnation
        self.events: list[tuple[int, str]] = []
        self._algorithm = None if between is None else outer(*between)
        if self._algorithm is not None:
            self._outer = outer_world(Model(values), self._algorithm, boxes, dtype)
        self.connect()

    def leave(self) -> None:
        for peer in self.peers.values():
            peer.leave()

    def connect(self) -> None:
        """What a new courier does with the memory of the one before it."""
        self.exchange = PairExchange(self.world, self.memory, WIRES[self.wire](self.x.numel()), self.access)
        self.peers: dict[int, Peer] = {}
        for j in range(self.boxes):
            if j == self.number:
                continue
            ledger = Ledger(self.memory.ledger(j), self.incarnation)
            self.exchange.finish(ledger)
            tell = lambda event, _text, j=j: self.events.append((j, event))  # noqa: E731
            rendezvous = self.server.rendezvous(self.number, self.boxes)
            self.peers[j] = Peer(j, rendezvous, self, self.exchange, ledger, self.timeout_s, tell)
        if self._algorithm is not None:
            self.text = Text(
                self._algorithm, self._outer, self.memory, self.exchange, list(self.peers.values()),
                self.server.rendezvous(self.number, self.boxes), self.versions, self.incarnation, 0,
            )  # fmt: skip
            self.exchange.finish(self.text.ledger)
        for peer in self.peers.values():
            peer.start()


MADE: list[Box] = []
"""The boxes of the present test."""


def until(condition, what: str) -> None:
    deadline = time.monotonic() + WAIT_S
    while not condition():
        assert time.monotonic() < deadline, what
        time.sleep(0.002)


def linked(*boxes: Box) -> None:
    until(lambda: all(peer.is_up for box in boxes for peer in box.peers.values()), "the boxes find one another")


def boxes_of(server: Server, count: int = 2, n: int = N, **options) -> list[Box]:
    generator = torch.Generator().manual_seed(count)
    boxes = [Box(server, b, count, torch.randn(n, generator=generator), **options) for b in range(count)]
    MADE.extend(boxes)
    linked(*boxes)
    return boxes


def spread(boxes: list[Box]) -> float:
    return max(float((box.x - boxes[0].x).abs().max()) for box in boxes)


def exchange(box: Box, j: int) -> None:
    """One more, begun by that box; it may still be in the last one."""
    before = box.memory.counted("exchanges")
    until(lambda: box.peers[j].begin() and box.memory.counted("exchanges") > before, "an exchange")


class Adders:
    """Threads that add 1 or -1 to all elements of a box, as workers would, under its access policy."""

    def __init__(self, *boxes: Box, threads: int = 2) -> None:
        self.boxes, self.added = boxes, [0.0] * len(boxes)
        self._stop = threading.Event()
        self._lock = threading.Lock()
        self._threads = [
            threading.Thread(target=self._add, args=(k, 0.5 + k), daemon=True)
            for k in range(len(boxes))
            for _ in range(threads)
        ]
        for thread in self._threads:
            thread.start()

    def _add(self, k: int, amount: float) -> None:
        box, exchange = self.boxes[k], self.boxes[k].exchange._exchange
        source, sign = torch.empty_like(box.x), 1.0
        while not self._stop.is_set():
            source.fill_(sign * amount)
            exchange.send(box.x, source, 1.0)
            with self._lock:
                self.added[k] += sign * amount
            sign = -sign
            box.world.control.version += 1

    def stop(self) -> float:
        """The sum of all additions, the same for every element."""
        self._stop.set()
        for thread in self._threads:
            thread.join(WAIT_S)
            assert not thread.is_alive()
        return sum(self.added)
