"""The timeline of the workers: when each of them changed its phase."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from hogwild.kernels.control import Control, Phase


class Timeline(Protocol):
    """The latest changes of each worker's phase, a record of 8 bytes each (csrc/timeline.h). Ledger.set_phase writes
    them. An older record is lost when 8,191 newer ones have come.
    """

    origin_ns: int
    """The beginning of the run's clock on CLOCK_MONOTONIC, modulo 2^64: earlier than the process, in a resumed run."""

    def set_phase_at(self, rank: int, phase: Phase, ns: int) -> None:
        """As Ledger.set_phase, at `ns` nanoseconds of the run's clock: for simulated workers. A time before that of the
        last change counts as that one.
        """

    def timeline(self, rank: int, first: int) -> tuple[bytes, int, int]:
        """The records from number `first` on that are still there, the number of the next one, and how many of those
        asked for were lost.
        """


if TYPE_CHECKING:

    def _implements(control: Control) -> Timeline:
        """For mypy: the control block implements the interface."""
        return control
