"""Declarations of buffers. An algorithm declares each buffer that it keeps; memory, locks, checkpoints and drivers take
everything that they need to know about a buffer from its declaration, and nothing from its name.

Two names mean something to every driver. `x` is the master [n], shared by all workers: it receives the model's
parameters when the world is made, and versions and delays count its updates. `snapshot` [n], where an algorithm keeps
it, is the model as a worker last read it: pulls and pushes write it, and with in-place reads the master takes its
place. All other names are agreed between an algorithm and the operations of the view that it calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Scope(str, Enum):
    """How many copies of a buffer there are, and which workers write and read them."""

    SHARED = "shared"  # one, every worker writes
    WORKER = "worker"  # one per worker, only its owner touches it
    REPLICA = "replica"  # one per worker, its owner writes, the others may read or average


@dataclass(frozen=True)
class Rows:
    """The size of a buffer [parameter tensors, columns]: a row for each parameter tensor of the model, from zero on."""

    columns: int


@dataclass(frozen=True)
class Buffer:
    """One named flat buffer of an algorithm. ValueError for properties that exclude each other.

    scope:   how many there are, and which workers may touch them.
    starts:  "zeros"; "x": a copy of the master, taken when the world is made, and again when a run is resumed with
             replicas that cannot go on; "one": the first element is 1, all others 0.
    size:    "x": as large as the master, [n]; an integer: that many elements; Rows(c): [parameter tensors, c].
    dtype:   None: that of the master; "float64": whatever the master has.
    saved:   part of every checkpoint. False: not saved, and started as above in a resumed run; right for what is
             written before it is read.
    locks:   other workers average with it (View.average_with), and meanwhile its owner may step: both hold the stripe
             locks of its owner, chunk by chunk. A worker has one set of them for all its buffers with locks, because a
             step writes those together. Costs a lock per 4096 elements and worker.
    """

    scope: Scope
    starts: str = "zeros"
    size: str | int | Rows = "x"
    dtype: str | None = None
    saved: bool = True
    locks: bool = False

    def __post_init__(self) -> None:
        if self.starts not in ("zeros", "x", "one"):
            raise ValueError(f"a buffer starts as zeros, x or one, not {self.starts!r}")
        if self.size != "x" and (isinstance(self.size, str) or self.elements(1, 1) < 1):
            raise ValueError(f"the size of a buffer is 'x', Rows(columns) or a number of elements, not {self.size!r}")
        if self.dtype not in (None, "float64"):
            raise ValueError(f"a buffer has the master's dtype (None) or float64, not {self.dtype!r}")
        if self.size != "x" and (self.starts == "x" or self.locks):
            raise ValueError("a buffer that starts as a copy of x, or has locks, has the size of x")
        if self.locks and self.scope is not Scope.REPLICA:
            raise ValueError(f"locks are for buffers that other workers average with: replica, not {self.scope.value}")

    def elements(self, n: int, tensors: int) -> int:
        """How many elements one copy has beside a master [n] of so many parameter tensors."""
        if isinstance(self.size, Rows):
            return self.size.columns * tensors
        return self.size if isinstance(self.size, int) else n


SHARED, WORKER, REPLICA = Buffer(Scope.SHARED), Buffer(Scope.WORKER), Buffer(Scope.REPLICA)
"""The plain ones: as large as x, zeros at first, in every checkpoint."""

SNAPSHOT = Buffer(Scope.WORKER, saved=False)
"""What every worker reads anew when it begins."""

MODEL = Buffer(Scope.REPLICA, starts="x")
"""A model of each worker's own, which the others may read."""

GRADIENT = Buffer(Scope.REPLICA, saved=False)
"""What a worker deposits for a round, and the others read after the barrier."""


def has_replicas(buffers: Mapping[str, Buffer]) -> bool:
    """Whether the workers train models of their own: one per worker, begun as a copy of x, seen by the others.

    Such models, and what belongs to them, mean something only all together: a run that is resumed with another number
    of workers starts them all afresh from the trained model.
    """
    return any(buffer.scope is Scope.REPLICA and buffer.starts == "x" for buffer in buffers.values())


def has_locks(buffers: Mapping[str, Buffer]) -> bool:
    """Whether workers average with each other's buffers while the owners go on: each worker then has stripe locks."""
    return any(buffer.locks for buffer in buffers.values())
