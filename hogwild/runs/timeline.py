"""The timeline of a run as a file: which phase each worker was in, and when. Little endian:

the file     MAGIC, then blocks; a run that goes on begins its part with a block of worker PART
block        worker u32, number of records u32, records that were lost before them u64, the records
record u64   63..12 nanoseconds of the run's clock | 11..8 phase | 7..0 delay of the last push, up to 255
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from hogwild.errors import HogwildError
from hogwild.files.reading import read_bytes, reading
from hogwild.files.writing import append, is_full

MAGIC = b"hogwild\x02"
BLOCK = struct.Struct("<IIQ")
PART = 0xFFFFFFFF
RECORD_BYTES = 8
LIMIT_BYTES = 64 << 20

PHASES = ("starting", "data", "gradient", "update", "waiting", "paused", "done", "lock", "sleep")
"""By their numbers in the control block (hogwild.kernels.control.Phase, where waiting is BARRIER)."""
LOST = len(PHASES)
"""Stands for the phases of a time whose records were lost."""
ABSENT = (PHASES.index("starting"), PHASES.index("done"))
"""Phases in which a worker takes no part in the run."""

Array = npt.NDArray[Any]


class TimelineFile:
    """Appends records to the timeline of a run, up to LIMIT_BYTES. What there is no room for, here or on the disk, is
    counted as lost: the run goes on.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.lost = 0
        self._size: int | None = None

    def append(self, blocks: list[tuple[int, bytes, int]]) -> None:
        """Writes blocks (worker, records, lost before them). HogwildError if the file cannot be written, but for a full
        disk.
        """
        data = b"".join(
            BLOCK.pack(rank, len(records) // RECORD_BYTES, lost) + records for rank, records, lost in blocks
        )
        self.lost += sum(lost for _, _, lost in blocks)
        if self._size is None:
            self._size = self.path.stat().st_size if self.path.exists() else 0
            data = (b"" if self._size else MAGIC) + BLOCK.pack(PART, 0, 0) + data
        if self._size + len(data) <= LIMIT_BYTES:
            try:
                append(self.path, data)
            except HogwildError as error:
                if not is_full(error.__cause__):
                    raise
            else:
                self._size += len(data)
                return
        self.lost += sum(len(records) // RECORD_BYTES for _, records, _ in blocks)


@dataclass(frozen=True)
class Track:
    """The phases of one worker, in order: interval i was in phase `phases[i]`, a number of PHASES or LOST, from
    `begins[i]` to `ends[i]`, in seconds of the run's clock. `delays[i]`: of the worker's last push at its end, 255 or
    more as 255.
    """

    worker: int
    begins: Array
    ends: Array
    phases: Array
    delays: Array

    def seconds(self) -> dict[str, float]:
        """Seconds in each phase that occurs."""
        spent = np.bincount(self.phases, self.ends - self.begins, minlength=LOST + 1)
        return {name: float(spent[number]) for number, name in enumerate(PHASES) if spent[number] > 0}


def read(path: Path) -> list[Track]:
    """The tracks in the timeline `path`, by worker; none if there is no such file. DataError if it is damaged; a block
    that a crash has cut off at the end is left out.
    """
    if not path.exists():
        return []
    data = read_bytes(path, LIMIT_BYTES, regular=True)
    with reading(path, "a timeline"):
        if data[: len(MAGIC)] != MAGIC:
            raise ValueError("it does not begin as one")
        found: dict[int, list[Array]] = {}
        since: set[int] = set()  # the workers with records in this part of the run
        for rank, records, lost in _blocks(data):
            if rank == PART:
                for one in since:
                    found[one].append(_marker(found[one], PHASES.index("starting")))
                since.clear()
            elif len(records):
                parts = found.setdefault(rank, [])
                parts += [_marker(parts, LOST), records] if lost and parts else [records]
                since.add(rank)
        return [_track(rank, np.concatenate(parts)) for rank, parts in sorted(found.items())]


def _blocks(data: bytes) -> Iterator[tuple[int, Array, int]]:
    at = len(MAGIC)
    while at + BLOCK.size <= len(data):
        rank, count, lost = BLOCK.unpack_from(data, at)
        at += BLOCK.size
        if at + count * RECORD_BYTES > len(data):
            return
        yield rank, np.frombuffer(data, "<u8", count, at), lost
        at += count * RECORD_BYTES


def _marker(parts: list[Array], phase: int) -> Array:
    """A record of that phase at the time of the last one."""
    return np.array([(int(parts[-1][-1]) >> 12 << 12) | phase << 8], np.uint64)


def _track(rank: int, records: Array) -> Track:
    seconds = (records >> np.uint64(12)).astype(np.float64) * 1e-9
    seconds = np.maximum.accumulate(seconds)  # a run that goes on begins at the last line of its journal
    phases = (records >> np.uint64(8) & np.uint64(15)).astype(np.int64)
    if phases.max(initial=0) > LOST:
        raise ValueError(f"a record has phase {phases.max()}, which is none")
    delays = (records & np.uint64(255)).astype(np.int64)
    return Track(rank, seconds[:-1], seconds[1:], phases[:-1], delays[1:])
