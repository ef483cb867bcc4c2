"""The cause of a worker's death, in one line."""

from __future__ import annotations

import signal
from pathlib import Path

from hogwild import system
from hogwild.drivers import fork_server
from hogwild.drivers.job.job import IMPORTABLE
from hogwild.errors import DataError
from hogwild.files.reading import read_tail

LOG_TAIL_LINES = 5
LOG_TAIL_BYTES = 4096


class Deaths:
    """Tells why processes ended. It counts those that the kernel has killed for lack of memory.

    `logs`: the folder of the workers' logs.
    """

    def __init__(self, logs: Path, root: Path = system.ROOT) -> None:
        self.logs = logs
        self._root = root
        self._oom_kills = system.oom_kills(root)
        self._servers: dict[int, tuple[str, int]] = {}

    def of_worker(
        self, rank: int, pid: int | None, code: int, *, error: str | None, killed_for: str | None, rss_bytes: int
    ) -> str:
        """`worker 2 (pid 4711) died: SIGKILL, killed or out of memory (RSS was 14.1 GB)`.

        `error`: the worker's last message; `killed_for`: why the parent killed it; `rss_bytes`: its memory when it was
        last measured, 0 if it never was.
        """
        if error is not None:
            cause = error
        elif code == -signal.SIGKILL:
            cause = f"SIGKILL, {killed_for or self._killed(rss_bytes)}"
        elif code > 0 and not (self.logs / f"{rank}.log").exists():
            cause = f"exit code {code}, while it imported the main script. {IMPORTABLE}"
        else:
            cause = fork_server.name_of(code)
        tail = "" if error is not None else self._log_tail(rank)
        return f"worker {rank} (pid {pid}) died: {cause}{tail}"

    def of_server(self, pid: int) -> tuple[str, int] | None:
        """(`the fork server (pid 4711), ..., died: SIGKILL, ...`, its exit code); None if it is alive."""
        if pid not in self._servers:
            if (code := fork_server.exit_code(pid)) is None:
                return None
            how = fork_server.name_of(code) + (f", {self._killed(0)}" if code == -signal.SIGKILL else "")
            line = (
                f"the fork server (pid {pid}), from which workers are forked, died: {how}. Its workers end with it; "
                "--respawn replaces workers, and --start-method spawn needs no such process"
            )
            self._servers[pid] = line, code
        return self._servers[pid]

    def _killed(self, rss_bytes: int) -> str:
        """`out of memory (RSS was 14.1 GB, the limit is 16.0 GB)` if the kernel has counted that, else a guess."""
        known = [f"RSS was {rss_bytes / 1e9:.1f} GB"] if rss_bytes else []
        if system.oom_kills(self._root) > self._oom_kills:
            self._oom_kills += 1  # this one is told
            limit = f"the limit of all processes is {system.memory(self._root).limit_bytes / 1e9:.3g} GB"
            return f"out of memory ({', '.join([*known, limit])}): use fewer workers or smaller batches"
        return f"killed or out of memory{f' ({known[0]})' if known else ''}"

    def _log_tail(self, rank: int) -> str:
        try:
            tail = read_tail(self.logs / f"{rank}.log", LOG_TAIL_BYTES)[0]
        except DataError:
            return ""
        lines = tail.decode(errors="replace").splitlines()[-LOG_TAIL_LINES:]
        return f"; last words: {' | '.join(lines)}" if lines else ""
