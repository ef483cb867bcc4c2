"""The state that the workers and the parent of a run share to coordinate, as six interfaces. A seventh one, the
timeline of the phases, is in hogwild.shared.timeline.

    Tickets     which batches are assigned, completed, or to be assigned again (tickets.py)
    Versions    how many updates the model has seen, and how old each worker's snapshot is
    Turns       the order of what the workers do, in a run that is recorded
    Rounds      the barriers of synchronous algorithms, and the workers that take part in them
    Gate        keeps workers out of their updates while the parent copies the model
    Ledger      the phase of each worker, and its statistics

The control block in shared memory (csrc/control.h, hogwild.kernels.control.Control) implements all of them for
processes on one machine. Code depends on the single interface it needs, so that a driver across machines can replace
the implementations. `rank` is a worker's number, from 0. Calls with `timeout_s` return False after that many seconds,
and the caller repeats them. All methods may be called by many workers at once, each for its own rank.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Protocol

from hogwild.shared.tickets import NO_TICKET as NO_TICKET
from hogwild.shared.tickets import Tickets as Tickets

if TYPE_CHECKING:
    from hogwild.kernels import PushStats
    from hogwild.kernels.control import Control, Phase


class Versions(Protocol):
    """The version of the model is the number of updates applied to it. The delay of a gradient is the version when its
    push begins minus the version of the snapshot that it was computed at.
    """

    version: int
    gathered: int  # gradients in the sum for the next update
    parameters: int  # of the model, over which the gaps in Ledger.gaps are means

    @property
    def lr_max(self) -> float:
        """The largest learning rate of the run so far."""

    def raise_lr_max(self, lr: float) -> float:
        """Raises `lr_max` to `lr` if that is larger; returns it."""

    def steps(self, rank: int) -> int:
        """The number of pushes into the worker's own buffers (momentum, replica)."""

    def restore_steps(self, rank: int, steps: int) -> None:
        """Sets `steps`, in a run that is resumed: if another rank gets the buffers, it gets the count too."""

    def pulled(self, rank: int) -> None:
        """Called before the worker reads the model: its snapshot gets the current version."""

    def pulled_version(self, rank: int) -> int:
        """The version of the worker's snapshot."""

    def set_pulled(self, rank: int, version: int) -> None:
        """Sets the version of the worker's snapshot."""

    def begin_push(self, rank: int, locked: bool) -> int:
        """Begins a push; returns the version at that time. `locked`: holds the one lock of the model until the end of
        the push.
        """

    def end_push(self, rank: int, locked: bool, applied: bool, nonfinite: int, gap_sq: float, step_sq: float) -> int:
        """Ends and counts a push. If it was `applied`, the version increases; else it was refused because of
        `nonfinite` elements, or dropped if that is 0. `gap_sq`, `step_sq`: ||x - snapshot||^2 and ||step||^2. Returns
        the delay, 0 if it was not applied.
        """

    def count_push(self, rank: int, locked: bool, stats: PushStats) -> None:
        """`end_push` with the statistics of a push kernel; also counts the locks that it took over from the dead."""

    def gather(self, rank: int, taken: bool, waits: bool, nonfinite: int) -> int:
        """Counts a gradient that was added to the sum (`taken`), refused or cancelled; returns its delay if taken.
        `waits`: the worker waits for the update with this gradient.
        """

    def commit(self, rank: int) -> None:
        """Called when the sum has been applied: the version increases, and this worker has read the new one."""

    def end_gather(self, rank: int, locked: bool, gap_sq: float, step_sq: float) -> None:
        """Ends the push that `begin_push` began for a gathered gradient."""

    def awaits_update(self, rank: int) -> bool:
        """Whether the worker waits for an update that has not been made yet."""

    def all_await(self) -> bool:
        """Whether all remaining workers wait for an update, so that none of them would make it."""

    def wait_update(self, rank: int, timeout_s: float) -> bool:
        """Waits for an update. True if it has been made, if all workers wait for one, or if the run is stopping."""

    def lock_model(self, rank: int) -> None:
        """Takes the one lock of the model, for an exchange outside a push."""

    def unlock_model(self) -> None:
        """Gives it back."""


class Turns(Protocol):
    """A turn is what a worker does to the run between two waits. In a run that is recorded, turns are numbered 0, 1,
    2, ... over all workers.
    """

    def begin_turn(self, rank: int, alone: bool) -> int:
        """Begins a turn; returns its number. `alone`: no other turn begins before this one has ended."""

    def end_turn(self, alone: bool) -> None:
        """Ends it."""


class Rounds(Protocol):
    """Barriers are numbered 1, 2, ... The others no longer wait for a worker that dies or leaves. A worker that starts
    later joins at the end of a round, which is a fixed number of barriers.
    """

    def join(self, rank: int, barriers_per_round: int, timeout_s: float) -> bool:
        """The worker takes part from now on; True when all others are at the end of a round."""

    def leave(self, rank: int) -> None:
        """The worker no longer takes part."""

    def alive(self, rank: int) -> bool:
        """Whether the worker takes part."""

    def arrive(self, rank: int) -> int:
        """The worker arrives at the next barrier; returns its number."""

    def arrived(self, rank: int) -> int:
        """The number of the last barrier at which the worker arrived."""

    def wait_barrier(self, rank: int, generation: int, timeout_s: float) -> bool:
        """True when all workers that take part have arrived at barrier `generation`."""

    def participants(self, generation: int) -> list[int]:
        """The workers that arrived at that barrier, ascending; the result is the same for all surviving workers."""

    def contribute(self, rank: int, yes: bool) -> None:
        """Sets whether the worker contributes a finite gradient to this round."""

    def contributes(self, rank: int) -> bool:
        """Whether it does."""

    def end_round(self, rank: int, commits: bool, nonfinite: int, step_sq: float) -> None:
        """Counts the worker's share of a round. The version increases once, by the one worker with `commits`."""


class Gate(Protocol):
    """While the gate is closed no update begins. When it is drained, none is in progress either, and the parent can
    copy a model of whole updates.
    """

    def close_gate(self, barriers_per_round: int) -> None:
        """Closes the gate. Synchronous workers may still continue to the end of their round."""

    def drained(self) -> bool:
        """Whether no worker is inside an update."""

    def open_gate(self) -> None:
        """Opens it again."""

    def enter(self, rank: int, timeout_s: float) -> bool:
        """The worker begins its update: True when the gate is open."""

    def exit(self, rank: int) -> None:
        """The worker has finished its update."""


class Ledger(Protocol):
    """The current phase of each worker, and its statistics since the run began. Each worker writes its own entries; any
    process may read them at any time: each number is right, but two of them may differ by one push.
    """

    def set_phase(self, rank: int, phase: Phase) -> None:
        """Sets the worker's current phase. Each call is a sign of life, and counts the time since the last one for the
        phase of before.
        """

    def record_loss(self, rank: int, loss: float, samples: int) -> None:
        """Counts a gradient of `samples` samples; its loss is added if it is finite."""

    def count_exchange(self, rank: int, averaged: int, skipped: int, recovered: int) -> None:
        """Adds the numbers of chunks averaged and skipped in an exchange, and of locks taken over from the dead."""

    def totals(self, rank: int) -> dict[str, float]:
        """The worker's sums and counts by name: pushes, samples, delay_sum, ...; its seconds in each phase as data_s,
        gradient_s, update_s, lock_s, waiting_s (at barriers), paused_s and sleep_s.
        """

    def delays(self, rank: int) -> list[int]:
        """Applied pushes per delay, [256]; the last bin also counts all longer delays."""

    def stats(self, rank: int) -> dict[str, Any]:
        """`totals`, and the worker's current state: alive, phase, beats (signs of life), held (its ticket)."""

    def restore(self, rank: int, values: dict[str, float]) -> None:
        """Sets `totals`, in a run that is resumed. ValueError for an unknown name."""

    def lock_holders(self) -> list[tuple[str, int]]:
        """The locks that are held now: a name to show, and the kernel's number of the thread that holds it."""

    def restore_delays(self, rank: int, histogram: Sequence[int]) -> None:
        """Sets `delays`: [256] or fewer."""

    def gaps(self, rank: int) -> list[int]:
        """Pushes per power of two of their gap, [64] from 2^LEAST_GAP on: root mean square over the parameters. Those
        without a gap are not counted.
        """

    def restore_gaps(self, rank: int, histogram: Sequence[int]) -> None:
        """Sets `gaps`: [64] or fewer."""


if TYPE_CHECKING:

    def _implements(control: Control) -> tuple[Tickets, Versions, Turns, Rounds, Gate, Ledger]:
        """For mypy: the control block implements all interfaces."""
        return control, control, control, control, control, control
