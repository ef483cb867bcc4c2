"""The loader processes of a run: started, watched and ended by the parent."""

from __future__ import annotations

import multiprocessing
from collections.abc import Callable
from multiprocessing.process import BaseProcess
from pathlib import Path

from hogwild.drivers import fork_server
from hogwild.drivers.job.job import Job
from hogwild.drivers.job.model import smallest_batch
from hogwild.drivers.job.samples import Reader
from hogwild.drivers.processes import loader
from hogwild.drivers.processes.loader import Loaded, LoaderContext
from hogwild.drivers.processes.slots import Slots, pickled
from hogwild.errors import TooFewWorkersError
from hogwild.shared.payload import Payload
from hogwild.shared.seeds import own_generators
from hogwild.shared.world import World

SPARE_BYTES = 1 << 16


class LoaderPool:
    """The loaders of one job, --loaders of them; their slots in shared memory. A context manager: on leaving it no
    loader is left.

    `tell` is called with a line about each loader that has died. It is not replaced: the workers read its batches.
    """

    def __init__(self, job: Job, world: World, logs: Path, tell: Callable[[str], object]) -> None:
        self._job, self._world, self._logs, self._tell = job, world, logs, tell
        self._count = job.config.loaders
        self._processes: dict[int, BaseProcess] = {}
        self.slots: Slots | None = None
        if self._count:
            depth = 2 + -(-job.config.workers // self._count)  # one that is made, one ready, and those being copied
            self.slots = Slots.create(self._count, depth, 2 * _bytes_of_a_batch(job) + SPARE_BYTES)

    def __enter__(self) -> LoaderPool:
        return self

    def __exit__(self, *_: object) -> None:
        for process in self._processes.values():
            process.kill()
            process.join()

    def start(self, payload: Payload) -> None:
        """Starts the loaders. TooFewWorkersError if there can be no more processes."""
        if self.slots is None:
            return
        with own_generators():
            least = smallest_batch(self._job.build(), self._job.config.batch_size)
        context = multiprocessing.get_context(self._job.config.start_method)
        for number in range(self._count):
            log = self._logs / f"loader-{number}.log"
            of_loader = LoaderContext(self._world, self.slots, number, least, log)
            process = context.Process(target=loader.main, args=(payload, of_loader), name=f"hogwild-loader-{number}")  # type: ignore[attr-defined]
            try:
                with fork_server.signals_blocked():
                    process.start()
            except (OSError, EOFError) as error:
                raise TooFewWorkersError(f"cannot start loader {number} of {self._count}: {error}") from error
            self._processes[number] = process

    def check(self) -> None:
        """Tells of the loaders that have died since the last call, and lets no worker wait for them."""
        for number, process in list(self._processes.items()):
            if process.is_alive():
                continue
            del self._processes[number]
            process.join()
            if process.exitcode and self.slots is not None:
                self.slots.bury(number)
                how = fork_server.name_of(process.exitcode)
                self._tell(
                    f"loader {number} (pid {process.pid}) died: {how}; see {self._logs / f'loader-{number}.log'}. The "
                    "workers read its batches themselves"
                )


def _bytes_of_a_batch(job: Job) -> int:
    """Of the first one, as it lies in a slot."""
    with own_generators(job.config.seed):
        parts = Reader(job.data.train).in_parts(job.order, 0, 0, 0, job.config.batch_size)
    return sum(len(part) for part in pickled(Loaded(parts, None)))
