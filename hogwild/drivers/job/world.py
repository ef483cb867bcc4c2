"""The shared memory of a job."""

from __future__ import annotations

import torch
from torch import nn

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
        job.algorithm.keeps(),
        config.workers,
        dtype=getattr(torch, config.dtype),
        device=place,
        lines=lines,
        shared_buffers=shared_buffers(config, module),
        groups=groups_of(config, module, job.groups),
        training=training_of(config, job.algorithm, module, job.groups),
    )
