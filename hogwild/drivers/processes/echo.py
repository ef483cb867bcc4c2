"""Shows on the terminal what the workers print into their logs."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

LIMIT_BYTES = 1 << 16  # read at a time, of one worker
LONGEST = 4096  # bytes of a line that has no end yet


class Echo:
    """Follows workers/<rank>.log of each worker and calls `show` with whole lines, "[rank] line"."""

    def __init__(self, logs: Path, ranks: Iterable[int], show: Callable[[str], None]) -> None:
        self._show = show
        self._paths = {rank: logs / f"{rank}.log" for rank in ranks}
        self._read = {rank: path.stat().st_size if path.exists() else 0 for rank, path in self._paths.items()}
        self._rests = dict.fromkeys(self._paths, b"")

    def follow(self) -> None:
        """Shows the lines that have come since the last call."""
        for rank, path in self._paths.items():
            try:
                if path.stat().st_size <= self._read[rank]:
                    continue
                with path.open("rb") as file:
                    file.seek(self._read[rank])
                    new = file.read(LIMIT_BYTES)
            except OSError:  # it is not there yet
                continue
            self._read[rank] += len(new)
            *lines, rest = (self._rests[rank] + new).split(b"\n")
            if len(rest) > LONGEST:
                lines, rest = [*lines, rest], b""
            self._rests[rank] = rest
            for line in lines:
                self._show(f"[{rank}] {line.decode(errors='replace').rstrip()}")

    def finish(self) -> None:
        """Shows all that is left, when no worker runs any more."""
        before: list[int] = []
        while before != (now := list(self._read.values())):
            before = now
            self.follow()
        for rank, rest in self._rests.items():
            if rest:
                self._show(f"[{rank}] {rest.decode(errors='replace').rstrip()}")
        self._rests = dict.fromkeys(self._paths, b"")
