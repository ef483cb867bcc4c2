"""What a worker still has to do and to record of its last update."""

from __future__ import annotations

from dataclasses import dataclass

from hogwild.shared.devices import Reading


@dataclass(slots=True)
class Pending:
    """An unfinished update: its push may still be pending on a GPU, and its metrics are not recorded.

    `given_up`: its gradient took too long, and nothing was computed from it.
    """

    loss: Reading | None  # None: a loop of its own did not say
    samples: int
    ticket: int
    given_up: bool
