"""The memory of a box beside its model: snapshots per link, the flux, the ledgers, and counters.

It is shared, so that all of it outlives the courier, and the parent reads the counters.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from hogwild.boxes.ledger import WORDS
from hogwild.buffers import Scope
from hogwild.shared.arena import Arena
from hogwild.shared.layout import BufferSpec

COUNTS = (
    "exchanges", "exchanges_refused", "exchanges_late", "exchanges_nonfinite", "links_lost", "bytes_sent",
    "bytes_received", "overlap", "lag_sum", "lag_max",
)  # fmt: skip
"""Counters of a box. `overlap`: updates that its workers made during exchanges. `lag`: the distance of its version from
the peer's, summed over exchanges.
"""
DURATIONS = 4096  # of the last exchanges


@dataclass
class BoxMemory:
    """For box `box` of `boxes`, with models of n elements: `own:<j>` and `peer:<j>` [n] for each other box j, `flux`,
    `before` [n]; `ledger` [boxes, WORDS]; `calls` [boxes, boxes]; `statistics` of all boxes; counters. It can be sent
    to the courier. Only the courier writes the counters.
    """

    box: int
    boxes: int
    arena: Arena
    _lock: Any = field(default=None, repr=False)

    @classmethod
    def create(cls, box: int, boxes: int, n: int, dtype: torch.dtype = torch.float32, statistics: int = 0) -> BoxMemory:
        """`dtype`: of the models. `statistics`: elements of one box. UsageError if the memory is not there."""
        others = [j for j in range(boxes) if j != box]
        sizes = {f"{name}:{j}": n for name in ("own", "peer") for j in others}
        sizes |= {"flux": n, "before": n}
        specs = [BufferSpec(name, Scope.SHARED, size, dtype) for name, size in sizes.items()]
        specs.append(BufferSpec("statistics", Scope.SHARED, boxes * max(statistics, 1), torch.float64))
        specs.append(BufferSpec("calls", Scope.SHARED, boxes * boxes, torch.int64))
        specs.append(BufferSpec("ledger", Scope.SHARED, boxes * WORDS, torch.int64))
        specs.append(BufferSpec("counts", Scope.SHARED, len(COUNTS), torch.int64))
        specs += [BufferSpec(name, Scope.SHARED, DURATIONS, torch.float64) for name in ("exchange_s", "transfer_s")]
        return cls(box, boxes, Arena.create(specs, workers=1))

    def __getstate__(self) -> dict[str, object]:
        return {**self.__dict__, "_lock": None}

    def own(self, j: int) -> Tensor:
        """[n]: the last snapshot of this box that box j was sent, as box j has decoded it."""
        return self.arena.tensor(f"own:{j}")

    def peer(self, j: int) -> Tensor:
        """[n]: the last snapshot of box j, decoded."""
        return self.arena.tensor(f"peer:{j}")

    @property
    def flux(self) -> Tensor:
        """[n]: what is left to be added to the model. The exchange in progress owns it."""
        return self.arena.tensor("flux")

    @property
    def before(self) -> Tensor:
        """[n]: the snapshot with which a text went on (hogwild.boxes.text)."""
        return self.arena.tensor("before")

    def statistics(self, j: int) -> Tensor:
        """[elements] float64, or one: the statistics of box j at its end (hogwild.boxes.normalization)."""
        return self.arena.tensor("statistics").view(self.boxes, -1)[j]

    @property
    def calls(self) -> Tensor:
        """[boxes boxes] int64: the number of the last call of each box that was answered, for each part."""
        return self.arena.tensor("calls")

    def ledger(self, j: int) -> Tensor:
        """[WORDS] int64: of the link to box j; of this box itself, that of its text."""
        return self.arena.tensor("ledger").view(self.boxes, WORDS)[j]

    def count(self, **amounts: int) -> None:
        """Adds to counters, from any thread of the courier; `lag_max` keeps the largest."""
        if self._lock is None:
            self._lock = threading.Lock()
        counts = self.arena.tensor("counts")
        with self._lock:
            for name, amount in amounts.items():
                place = COUNTS.index(name)
                counts[place] = max(int(counts[place]), amount) if name == "lag_max" else int(counts[place]) + amount

    def counted(self, name: str) -> int:
        return int(self.arena.tensor("counts")[COUNTS.index(name)])

    def took(self, exchange_s: float, transfer_s: float) -> None:
        """Notes how long exchange number `exchanges` took, before it is counted."""
        place = self.counted("exchanges") % DURATIONS
        self.arena.tensor("exchange_s")[place] = exchange_s
        self.arena.tensor("transfer_s")[place] = transfer_s

    def totals(self) -> dict[str, Any]:
        """The keys of this box's summary that its counters give."""
        counts = {name: self.counted(name) for name in COUNTS}
        exchanges = counts["exchanges"]
        lag = {"mean": counts.pop("lag_sum") / max(exchanges, 1), "max": counts.pop("lag_max")}
        return {**counts, "lag": lag, "exchange_s": self._durations("exchange_s"),
                "transfer_s": self._durations("transfer_s")}  # fmt: skip

    def _durations(self, name: str) -> dict[str, float]:
        known = self.arena.tensor(name)[: min(self.counted("exchanges"), DURATIONS)]
        if not len(known):
            return {"mean": 0.0, "p95": 0.0}
        return {"mean": float(known.mean()), "p95": float(known.quantile(0.95))}
