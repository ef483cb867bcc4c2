"""Running statistics of BatchNorm that are as old as a good part of the run: evaluations lag behind, and nothing else
would say why.
"""

from __future__ import annotations

from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm

from hogwild.drivers.job.job import MAX_TICKETS, Job

PART = 0.25
"""Of a worker's batches: an average over more of them is too old at the end of the run."""


def old_statistics(job: Job, module: nn.Module) -> list[str]:
    """One line if running averages reach back over more than PART of a run of several workers. Each of N averages about
    1 / momentum batches of its own, which are one in N of all. Puts the module in training mode.
    """
    workers = job.config.workers
    momenta = [
        layer.momentum
        for layer in module.train().modules()  # a model's own train() may keep some in evaluation mode
        if isinstance(layer, _BatchNorm) and layer.training and layer.running_mean is not None and layer.momentum
    ]
    if not momenta or workers == 1 or job.total_tickets >= MAX_TICKETS:
        return []
    window, own = 1 / min(momenta), job.total_tickets / workers
    if window <= own * PART:
        return []
    return [
        f"BatchNorm: the running statistics of a worker are of its last {window:.0f} batches, and it has {own:.0f} in "
        f"this run: evaluations lag behind training. Raise the momentum of the layers ({min(momenta):g}), as by "
        f"{workers} for {workers} workers, or train longer"
    ]
