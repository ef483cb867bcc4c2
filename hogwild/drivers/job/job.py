"""What a worker process is sent, besides the memory it maps: the data set without its tensors, the model, the
algorithm.
"""

from __future__ import annotations

import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import torch
from torch import nn

from hogwild.algorithms import Algorithm
from hogwild.algorithms.registry import find
from hogwild.config import Config
from hogwild.config.schedules import Schedule
from hogwild.drivers.job.batches import Batches, make_batches
from hogwild.drivers.job.model import build
from hogwild.errors import UsageError
from hogwild.shared.arena import Arena, share_tensors
from hogwild.tasks.data import Data, Split

IMPORTABLE = "Define them at module level in a file, and call hogwild.fit under if __name__ == '__main__'"
MAX_TICKETS = 1 << 62


@dataclass
class Job:
    """One training run as plain objects."""

    config: Config
    algorithm: Algorithm
    data: Data
    model: Callable[[Data], nn.Module]
    order: Batches
    schedule: Schedule
    total_tickets: int
    body: Callable[[Any], None] | None = None  # a caller's own loop in place of tickets (hogwild.launch)

    def dumps(self, train: Split) -> bytes:
        """This job for a worker, with `train` in place of the data (see SharedSplit.stand_in).

        UsageError if it cannot be sent: a lambda, a local function, an open file.
        """
        try:
            return pickle.dumps(replace(self, data=replace(self.data, train=train, test=_Nothing())))
        except Exception as error:  # the user's own code runs here
            name = getattr(self.model, "__name__", type(self.model).__name__)
            raise UsageError(
                f"the workers cannot import the model, the data or the algorithm ({name}: {error}). {IMPORTABLE}"
            ) from error

    @staticmethod
    def loads(payload: bytes) -> Job:
        """The job in its worker. UsageError if something in it cannot be imported there."""
        try:
            job: Job = pickle.loads(payload)
        except Exception as error:
            raise UsageError(
                f"it cannot import the model, the data or the algorithm ({error}). {IMPORTABLE}"
            ) from error
        return job

    def build(self) -> nn.Module:
        return build(self.config, self.data, self.model)


def make_job(config: Config, data: Data, model: Callable[[Data], nn.Module]) -> Job:
    """The job of a configuration. UsageError if the data are too few for its workers."""
    algorithm = find(config.algorithm)(**config.options)
    if len(data.train) < config.workers * config.batch_size:
        raise UsageError(
            f"data set has {len(data.train)} samples, workers x batch = {config.workers} x {config.batch_size}: some "
            "workers would get none. Lower --batch-size or --workers."
        )
    order = make_batches(config, data)
    tickets = order.total_tickets(config, algorithm.gradients_per_update(config.workers))
    if tickets > MAX_TICKETS:
        raise UsageError(f"{tickets:.3g} batches are more than can be counted: give fewer epochs, samples or updates")
    return Job(config, algorithm, data, model, order, Schedule.of(config, tickets), tickets)


class _Nothing(Split):
    """The test split of a worker: only the parent evaluates."""

    def __len__(self) -> int:
        return 0

    def batch(self, index: torch.Tensor, *, train: bool) -> tuple[Any, Any]:
        raise IndexError(f"a worker has no test samples (asked for {index.numel()}, train={train})")


class SharedSplit:
    """A split's tensors in shared memory, once for all workers. `stand_in` travels cheaply; `restore` puts it over the
    shared tensors.

    Workers on a GPU share a copy there, and batches are made and augmented there, if it takes at most half of what is
    free; else it stays in the host's memory. `devices`: where there are workers.
    """

    def __init__(self, split: Split, *devices: torch.device) -> None:
        tensors = split.tensors()
        self.shapes: dict[str, tuple[int, ...]] = {}
        self.stand_in = split
        self._places = {device: _place(tensors, device) for device in devices}
        self._arenas: dict[torch.device, Arena] = {}
        for place in self._places.values() if tensors else ():
            if place not in self._arenas:
                self._arenas[place], self.shapes = share_tensors(tensors, place)
        if tensors:
            self.stand_in = split.with_tensors(
                {name: torch.zeros(1, dtype=tensor.dtype).expand(tensor.shape) for name, tensor in tensors.items()}
            )

    def arena(self, device: torch.device) -> Arena | None:
        """What a worker on one of the devices reads; None where the split has no tensors."""
        return self._arenas.get(self._places[device])


def _place(tensors: Mapping[str, torch.Tensor], device: torch.device) -> torch.device:
    if device.type == "cuda" and 2 * sum(t.nbytes for t in tensors.values()) > torch.cuda.mem_get_info(device)[0]:
        return torch.device("cpu")
    return device


def restore(split: Split, arena: Arena | None, shapes: dict[str, tuple[int, ...]]) -> Split:
    """The split over the shared tensors of `arena`."""
    if arena is None:
        return split
    return split.with_tensors({name: arena.tensor(name).view(shape) for name, shape in shapes.items()})
