"""Takes the timeline of the workers' phases from the control block to a file of the run."""

from __future__ import annotations

import time
from pathlib import Path

from hogwild.runs.journal import Journal
from hogwild.runs.timeline import TimelineFile
from hogwild.shared.timeline import Timeline
from hogwild.shared.world import World

WORD = 1 << 64


class TimelineWriter:
    """Call `drain` often: the control block keeps 8,192 records of a worker. The clock is that of the journal."""

    def __init__(self, world: World, path: Path, journal: Journal) -> None:
        self._timeline: Timeline = world.control
        self._next = [0] * world.workers
        self._file = TimelineFile(path)
        self._timeline.origin_ns = (time.monotonic_ns() - int(journal.elapsed_s() * 1e9)) % WORD

    @property
    def lost(self) -> int:
        """The number of records that are not in the file."""
        return self._file.lost

    def drain(self) -> None:
        """Writes the records since the last call."""
        blocks = []
        for rank, first in enumerate(self._next):
            records, self._next[rank], lost = self._timeline.timeline(rank, first)
            if records or lost:
                blocks.append((rank, records, lost))
        if blocks:
            self._file.append(blocks)
