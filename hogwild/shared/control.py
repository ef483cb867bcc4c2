"""What the workers and the parent of a run must agree on, as five interfaces.

    Tickets     which batches are taken, completed, or to be done again
    Versions    how many updates the model has seen, and how old each worker's snapshot is
    Rounds      the barriers of synchronous algorithms, and the workers that take part in them
    Gate        keeps workers out of their updates while the parent copies the model
    Ledger      what each worker is doing, and its statistics

The control block in shared memory (csrc/control.h, hogwild.kernels.control.Control) implements all five for processes
on one machine. Code that uses them names the one it needs, so that a driver across machines can put other
implementations in their place. `rank` is a worker's number, from 0. Calls with `timeout_s` return False when that many
seconds have passed, and are then made again. All of them may be called by many workers at once, each for its own rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from hogwild.kernels.control import Control, Phase

NO_TICKET = -1


class Tickets(Protocol):
    """Tickets 0, 1, 2, ... each stand for one gradient. A ticket is assigned to a worker, which completes it; a ticket
    in the hand of a worker that dies is assigned again.
    """

    @property
    def next(self) -> int:
        """The lowest ticket that has not been assigned yet."""

    @property
    def total(self) -> int:
        """Tickets of the whole run; 0 if the workers run loops of their own."""

    @property
    def stopping(self) -> bool:
        """Whether the parent has asked for the end of the run."""

    def stop(self) -> None:
        """No ticket is assigned any more; all waits for other workers end."""

    def assign(self, next: int, total: int, again: Sequence[int]) -> None:
        """Before any worker lives: the tickets `again` are to be taken first, then those from `next` to `total`."""

    def take(self, rank: int) -> int:
        """The worker's ticket: the one in its hand if it has not completed that, else a new one. NO_TICKET if none is
        left, or the run is stopping.
        """

    def complete(self, rank: int) -> None:
        """The ticket in the worker's hand is done."""

    def completed(self, rank: int) -> int:
        """Tickets that this worker, and those that it replaced, have completed."""

    def restore_completed(self, rank: int, completed: int) -> None:
        """Sets `completed`, in a run that is resumed."""

    def outstanding(self) -> list[int]:
        """Tickets that were assigned and are not completed, ascending."""

    def exhausted(self) -> bool:
        """Whether no ticket is left that could still bring a gradient."""

    def wait_for_work(self, rank: int, timeout_s: float) -> bool:
        """For a worker without a ticket: True when a dead worker's ticket can be taken; False if none is left that
        could come back, or the time is over.
        """

    def mark_dead(self, rank: int, timeout_s: float) -> bool:
        """The parent tells of a death: no worker waits for this one any more, and its ticket is assigned again.

        False if the ticket could not be reached in that time, because another process holds the lock of the tickets.
        """


class Versions(Protocol):
    """The version of the model is the number of updates applied to it. The delay of a gradient is the version when its
    push begins minus the version of the snapshot that it was computed at.
    """

    version: int
    gathered: int  # gradients in the sum that the next update will take

    @property
    def lr_max(self) -> float:
        """The largest learning rate of the run so far."""

    def raise_lr_max(self, lr: float) -> float:
        """Raises `lr_max` to `lr` if that is larger; returns it."""

    def steps(self, rank: int) -> int:
        """Pushes that the worker's own buffers (momentum, replica) have seen."""

    def restore_steps(self, rank: int, steps: int) -> None:
        """Sets `steps`, in a run that is resumed: the count goes with the buffers if another rank gets them."""

    def pulled(self, rank: int) -> None:
        """The worker begins to read the model: its snapshot has the version of now."""

    def pulled_version(self, rank: int) -> int:
        """The version of the worker's snapshot."""

    def set_pulled(self, rank: int, version: int) -> None:
        """Says which version the worker's snapshot has."""

    def begin_push(self, rank: int, locked: bool) -> int:
        """The version when this push begins. `locked`: takes the one lock of the model, until the end of the push."""

    def end_push(self, rank: int, locked: bool, applied: bool, nonfinite: int, gap_sq: float, step_sq: float) -> int:
        """Counts a push: a new version if it was `applied`, else refused for `nonfinite` elements, or dropped if there
        are none. `gap_sq`, `step_sq`: ||x - snapshot||^2 and ||step||^2. Returns the delay, 0 if it was not applied.
        """

    def gather(self, rank: int, taken: bool, waits: bool, nonfinite: int) -> int:
        """Counts a gradient that was added to the sum (`taken`), refused or cancelled; returns its delay if taken.
        `waits`: the worker goes on when the update with this gradient is there.
        """

    def commit(self, rank: int) -> None:
        """The whole sum is in the model: a new version, which this worker has read."""

    def end_gather(self, rank: int, locked: bool, gap_sq: float, step_sq: float) -> None:
        """The end of what `begin_push` began for a gathered gradient."""

    def awaits_update(self, rank: int) -> bool:
        """Whether the worker waits for an update that has not come yet."""

    def all_await(self) -> bool:
        """Whether every worker that is left waits for an update, so that none would bring it."""

    def wait_update(self, rank: int, timeout_s: float) -> bool:
        """True when the update is there, or all wait for one, or the run is stopping."""

    def lock_model(self, rank: int) -> None:
        """Takes the one lock of the model, for an exchange that is no push."""

    def unlock_model(self) -> None:
        """Gives it back."""


class Rounds(Protocol):
    """Barriers are numbered 1, 2, ... A worker that dies or leaves is no longer waited for; one that comes later joins
    at the end of a round, a whole number of barriers.
    """

    def join(self, rank: int, barriers_per_round: int, timeout_s: float) -> bool:
        """Takes part from now on; True once all others stand at the end of a round."""

    def leave(self, rank: int) -> None:
        """Takes part no longer."""

    def alive(self, rank: int) -> bool:
        """Whether the worker takes part."""

    def arrive(self, rank: int) -> int:
        """Comes to the next barrier; returns its number."""

    def arrived(self, rank: int) -> int:
        """The number of the last barrier that the worker came to."""

    def wait_barrier(self, rank: int, generation: int, timeout_s: float) -> bool:
        """True when all that take part have come to barrier `generation`."""

    def participants(self, generation: int) -> list[int]:
        """The workers that came to that barrier, ascending; all survivors get the same answer."""

    def contribute(self, rank: int, yes: bool) -> None:
        """Says whether the worker brings a finite gradient to this round."""

    def contributes(self, rank: int) -> bool:
        """Whether it does."""

    def end_round(self, rank: int, commits: bool, nonfinite: int, step_sq: float) -> None:
        """Counts the worker's share of a round; a new version by the one worker that `commits`."""


class Gate(Protocol):
    """While the gate is closed no update begins; once it is drained none is under way either, and the parent may copy
    a model of whole updates.
    """

    def close_gate(self, barriers_per_round: int) -> None:
        """Closes it. Synchronous workers may still go on to the end of their round."""

    def drained(self) -> bool:
        """Whether no worker is inside an update."""

    def open_gate(self) -> None:
        """Opens it again."""

    def enter(self, rank: int, timeout_s: float) -> bool:
        """A worker begins its update: True when the gate is open."""

    def exit(self, rank: int) -> None:
        """The worker's update is over."""


class Ledger(Protocol):
    """What each worker is doing, and what it measured about itself since the run began. Written by the worker itself,
    read by anyone at any time: each number is right, together they may be a push apart.
    """

    def set_phase(self, rank: int, phase: Phase) -> None:
        """What the worker does now. Each call is a sign of life."""

    def record_loss(self, rank: int, loss: float, samples: int) -> None:
        """A gradient of so many samples was answered; its loss counts if it is finite."""

    def add_times(self, rank: int, gradient_s: float, update_s: float, waiting_s: float) -> None:
        """Adds seconds to the worker's three sums."""

    def count_exchange(self, rank: int, averaged: int, skipped: int, recovered: int) -> None:
        """Adds the chunks of an exchange that were averaged and left out, and the locks taken over from the dead."""

    def totals(self, rank: int) -> dict[str, float]:
        """Sums and counts by name: pushes, samples, delay_sum, gradient_s, ..."""

    def delays(self, rank: int) -> list[int]:
        """[256] applied pushes per delay; the last one counts all longer delays too."""

    def stats(self, rank: int) -> dict[str, Any]:
        """`totals`, and what the worker is doing: alive, phase, beats (signs of life), held (its ticket)."""

    def restore(self, rank: int, values: dict[str, float]) -> None:
        """Sets `totals`, in a run that is resumed. ValueError for an unknown name."""

    def lock_holders(self) -> list[tuple[str, int]]:
        """The locks that are held now: a name to show, and the kernel's number of the thread that holds it."""

    def restore_delays(self, rank: int, histogram: Sequence[int]) -> None:
        """Sets `delays`: [256] or fewer."""


if TYPE_CHECKING:

    def _implements(control: Control) -> tuple[Tickets, Versions, Rounds, Gate, Ledger]:
        """mypy: the control block implements them all."""
        return control, control, control, control, control
