"""Push-sum without rounds: a worker adds half of its model and mass to a peer's mailbox."""

from __future__ import annotations

from hogwild.drivers.view.buffers import Buffers
from hogwild.drivers.view.exchanges import Exchanges

OWN, BOX = 0, 1  # elements of `mass`: the worker's own, and that in its mailbox


class Mailbox:
    """See hogwild.algorithms.view.Mailbox. Uses the buffers `replica`, `box` and `mass`."""

    def __init__(self, buffers: Buffers, exchanges: Exchanges) -> None:
        self._buffers = buffers
        self._exchanges = exchanges

    @property
    def mass(self) -> float:
        return float(self._buffers["mass"][OWN])

    def collect(self) -> None:
        self._buffers.took_over(self._exchanges.kernel.drain(self._buffers["replica"], self._buffers["box"]))
        mass = self._buffers["mass"]
        mass[OWN] += mass[BOX]
        mass[BOX] = 0.0

    def send(self, peer: int, *, floor: float, ceiling: float) -> None:
        buffers = self._buffers
        mass, theirs = buffers["mass"], buffers["mass", peer]
        if mass[OWN] < floor or theirs[BOX] > ceiling or not buffers.rounds.alive(peer):
            return
        buffers.took_over(self._exchanges.kernel.send(buffers["box", peer], buffers["replica"], 0.5))
        mass[OWN] /= 2
        theirs[BOX] += mass[OWN]
        buffers.traffic.add(buffers["replica"], 1)
