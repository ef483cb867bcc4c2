"""Declarations of buffers. An algorithm declares each buffer that it keeps. Memory, locks, checkpoints and drivers use
only the properties in this declaration, never the name of a buffer.

Two names have a meaning for every driver. `x` is the master [n], shared by all workers: it receives the model's
parameters when the world is made, and versions and delays count its updates. `snapshot` [n], where an algorithm keeps
it, is the model as a worker last read it: pulls and pushes write it, and with in-place reads the master replaces it.
All other names only matter to an algorithm and to the operations of the view that it calls.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import Enum


class Scope(str, Enum):
    """The number of copies of a buffer, and the workers that write and read them."""

    SHARED = "shared"  # one copy; every worker writes it
    WORKER = "worker"  # one copy per worker; only its owner accesses it
    REPLICA = "replica"  # one copy per worker; its owner writes it, the others may read or average it


@dataclass(frozen=True)
class Rows:
    """The size of a buffer [parameter tensors, columns]: one row per parameter tensor of the model, zero at first."""

    columns: int


@dataclass(frozen=True)
class Buffer:
    """One named flat buffer of an algorithm. ValueError for properties that exclude each other.

    scope:   the number of copies, and the workers that may access them.
    starts:  "zeros"; "x": a copy of the master, taken when the world is made, and again when a run is resumed with
             replicas that cannot continue; "one": the first element is 1, all others 0; a number: all elements.
    size:    "x": as large as the master, [n]; an integer: that many elements; Rows(c): [parameter tensors, c].
    dtype:   None: that of the master; "float64": independent of the master.
    saved:   part of every checkpoint. False: not saved, and started as above in a resumed run; for buffers that are
             written before they are read.
    locks:   other workers average with it (View.average_with) while its owner may step: both hold the stripe locks of
             its owner, chunk by chunk. A worker has one set of locks for all its buffers with locks, because a step
             writes them together. It costs one lock per 4096 elements and worker.

    >>> Buffer(Scope.WORKER, size=Rows(3)).elements(n=1000, tensors=4)
    12
    """

    scope: Scope
    starts: str | float = "zeros"
    size: str | int | Rows = "x"
    dtype: str | None = None
    saved: bool = True
    locks: bool = False

    def __post_init__(self) -> None:
        if isinstance(self.starts, str) and self.starts not in ("zeros", "x", "one"):
            raise ValueError(f"a buffer starts as zeros, x, one or a number, not {self.starts!r}")
        if self.size != "x" and (isinstance(self.size, str) or self.elements(1, 1) < 1):
            raise ValueError(f"the size of a buffer is 'x', Rows(columns) or a number of elements, not {self.size!r}")
        if self.dtype not in (None, "float64"):
            raise ValueError(f"a buffer has the master's dtype (None) or float64, not {self.dtype!r}")
        if self.size != "x" and (self.starts == "x" or self.locks):
            raise ValueError("a buffer that starts as a copy of x, or has locks, has the size of x")
        if self.locks and self.scope is not Scope.REPLICA:
            raise ValueError(f"locks are for buffers that other workers average with: replica, not {self.scope.value}")

    def elements(self, n: int, tensors: int) -> int:
        """The number of elements of one copy, for a master [n] with `tensors` parameter tensors."""
        if isinstance(self.size, Rows):
            return self.size.columns * tensors
        return self.size if isinstance(self.size, int) else n


SHARED, WORKER, REPLICA = Buffer(Scope.SHARED), Buffer(Scope.WORKER), Buffer(Scope.REPLICA)
"""Plain buffers: of the size of x, zero at first, in every checkpoint."""

SNAPSHOT = Buffer(Scope.WORKER, saved=False)
"""A buffer that every worker reads again when it starts."""

MODEL = Buffer(Scope.REPLICA, starts="x")
"""A worker's own model, which the others may read."""

GRADIENT = Buffer(Scope.REPLICA, saved=False)
"""A worker's contribution to a round, which the others read after the barrier."""


def has_replicas(buffers: Mapping[str, Buffer]) -> bool:
    """Whether the workers train their own models: one per worker, started as a copy of x, readable by the others.

    Such models, and the buffers that belong to them, are only valid as a complete set: a run that is resumed with
    another number of workers starts all of them afresh from the trained model.
    """
    return any(buffer.scope is Scope.REPLICA and buffer.starts == "x" for buffer in buffers.values())


def has_locks(buffers: Mapping[str, Buffer]) -> bool:
    """Whether workers average with each other's buffers while the owners continue; if so, each has stripe locks."""
    return any(buffer.locks for buffer in buffers.values())
