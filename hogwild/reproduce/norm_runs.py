"""The runs of the figure full-norm: one worker in the simulator, or lock-free processes, each with its own classes."""

from __future__ import annotations

import math
import tempfile
from functools import lru_cache
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from hogwild.config import Config
from hogwild.drivers.checkpoints.state import State
from hogwild.drivers.instruments.evaluation import evaluate
from hogwild.drivers.job.job import Job, make_job
from hogwild.drivers.job.model import model_fn, shared_buffers
from hogwild.drivers.processes.trainer import Trainer
from hogwild.drivers.simulated import clocks
from hogwild.drivers.simulated.simulator import simulated
from hogwild.errors import DataError, DivergedError
from hogwild.runs.console import Console
from hogwild.runs.directory import RunDirectory
from hogwild.shared.world import World
from hogwild.tasks import TensorSplit, load
from hogwild.tasks.data import Data, Split

End = dict[str, Any]
"""`accuracy` on the test samples, None if the run did not finish; `ended`: done, diverged, or refused."""

REFUSED = "more than 1 value per channel"
"""Part of the message with which torch's BatchNorm1d refuses a batch of one sample."""


@lru_cache(maxsize=1)
def images(name: str, per_class: int, tests: int, side: int) -> Data:
    """The first `per_class` training samples of each class and `tests` test samples, shrunk to `side` pixels a side."""
    data = load(name, download=False)
    inputs, targets = _tensors(data.train, len(data.train), side)
    index = torch.cat([torch.where(targets == label)[0][:per_class] for label in range(data.classes)])
    splits = {
        "train": TensorSplit(inputs[index], targets[index]),
        "test": TensorSplit(*_tensors(data.test, tests, side)),
    }
    return Data(**{**vars(data), **splits, "input_shape": tuple(inputs.shape[1:])})


def is_here(name: str) -> bool:
    """Whether the data set is on this machine; digits always is."""
    try:
        load(name, download=False)
    except DataError:
        return False
    return True


def _tensors(split: Split, count: int, side: int) -> tuple[Tensor, Tensor]:
    inputs, targets = split.batch(torch.arange(min(count, len(split))), train=False)
    return F.avg_pool2d(inputs, max(inputs.shape[-1] // side, 1)), targets


def _job(data: str, size: dict[str, Any], values: dict[str, Any]) -> Job:
    """The job of a run. `values` are fields of Config."""
    config = Config.from_values({"data": data, "schedule": "cosine", "eval_every": 0, "quiet": True, **values})
    return make_job(config, images(data, **size), model_fn(config))


def alone(data: str, size: dict[str, Any], **values: Any) -> End:
    """One simulated worker."""
    torch.set_num_threads(1)
    job = _job(data, size, {"clock": "round-robin", "workers": 1, **values})
    module = job.build()
    shared = shared_buffers(job.config, module)
    world = World.create(module, job.algorithm.keeps(), 1, shared_buffers=shared)
    world.control.assign(0, job.total_tickets, [])
    simulation = simulated(job, world, job.build(), clocks.parse("round-robin", 1, job.config.seed, {}))
    try:
        while (push := simulation.advance()) is not None:
            if not math.isfinite(push.loss):
                return {"accuracy": None, "ended": "diverged"}
    except ValueError as error:
        if REFUSED not in str(error):
            raise
        return {"accuracy": None, "ended": "refused"}
    State.of(world, module, job.algorithm).load_module(module)
    return {"accuracy": evaluate(module, job.data, job.data.test).value, "ended": "done"}


def together(data: str, size: dict[str, Any], **values: Any) -> End:
    """Lock-free processes, each with an equal share of the classes (--shard label)."""
    with tempfile.TemporaryDirectory() as folder:
        job = _job(data, size, {"shard": "label", "out": folder, **values})
        run = RunDirectory.create(job.config)
        try:
            summary = Trainer(job, run, Console(quiet=True, log=run.log)).run()
        except DivergedError:
            return {"accuracy": None, "ended": "diverged"}
        finally:
            run.close()
    return {"accuracy": summary["test_accuracy"], "ended": "done"}
