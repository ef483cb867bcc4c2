"""The shared memory of a job, and how its workers read the master in it."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import nn

from hogwild.buffers import Buffer
from hogwild.drivers.job.groups import groups_of
from hogwild.drivers.job.job import Job
from hogwild.drivers.job.model import shared_buffers
from hogwild.drivers.job.tables import require_trainable, training_of
from hogwild.shared.placement import Placement
from hogwild.shared.world import World


def world_of(job: Job, module: nn.Module, place: torch.device | Placement, lines: int) -> World:
    """Allocates the world of a job and writes the parameters of `module` into it. `lines`: of the control block, at
    least one for each worker. UsageError for tables that cannot be trained there.
    """
    config = job.config
    require_trainable(config, job.algorithm, module, place)
    return World.create(
        module,
        kept(job, place),
        config.workers,
        dtype=getattr(torch, config.dtype),
        device=place,
        lines=lines,
        shared_buffers=shared_buffers(config, module),
        groups=groups_of(config, module, job.groups),
        training=training_of(config, job.algorithm, module, job.groups),
    )


def reads_in_place(job: Job, place: torch.device | Placement) -> bool:
    """Whether gradients are taken at the master itself: because the run says so, or because processes on the CPU lose
    nothing by it, in an algorithm whose master stands still while gradients are computed.
    """
    on_cpu = isinstance(place, torch.device) and place.type == "cpu"
    is_still = job.algorithm.stands_still and job.config.clock is None and on_cpu
    return job.config.read == "inplace" or is_still


def kept(job: Job, place: torch.device | Placement) -> Mapping[str, Buffer]:
    """The buffers of the job's algorithm there: without a snapshot, if gradients are taken at the master."""
    buffers, in_place = job.algorithm.keeps(), reads_in_place(job, place)
    return {name: buffer for name, buffer in buffers.items() if not (in_place and name == "snapshot")}
