"""Simulated runs of several boxes for the figures: how long a run takes to an accuracy."""

from __future__ import annotations

from typing import Any

import torch

from hogwild.boxes.simulation import BoxSimulation
from hogwild.boxes.simulator import clock_of
from hogwild.drivers.instruments.left_out import refuse
from hogwild.kernels import weighted_sum
from hogwild.reproduce.training import error, images, job_of
from hogwild.shared.world import World


def time_to(*, data: str, samples: int, tests: int, accuracy: float, travel: float, **values: Any) -> dict[str, Any]:
    """Trains until the mean of the boxes has that test accuracy, or no ticket is left. `travel`: the time in which a
    model of float32 travels, in units of a gradient's mean duration. The mean is looked at once a unit of time.

    Returns the time (None if the accuracy was not reached), the accuracy at the end, updates, exchanges, and models
    sent per box.
    """
    part = images(data, samples, tests)
    job = job_of(part, {"clock": "gamma", **values})
    torch.set_num_threads(1)
    config, module = job.config, job.build()
    worlds = [World.create(module, job.algorithm.keeps(), config.workers) for _ in range(config.boxes)]
    model = worlds[0].arena.tensor("x")
    object.__setattr__(config, "bandwidth", model.nbytes / travel if travel else 0.0)
    modules = [job.build() for _ in worlds]
    simulation = BoxSimulation(job, worlds, modules, clock_of(config), refuse)
    mean, boxes = torch.empty_like(model), [box.x for box in simulation.boxes]
    place = World.create(module, {"x": job.algorithm.keeps()["x"]}, 1)

    def reached() -> float:
        weighted_sum(mean, boxes, [1 / len(boxes)] * len(boxes))
        for parameter, view in zip(module.parameters(), place.layout.views(mean), strict=True):
            parameter.data.copy_(view)
        return 1 - error(module, part, part.test)

    found, looked = None, 0.0
    while found is None and (push := simulation.advance()) is not None:
        if push.time - looked < 1.0:
            continue
        looked = push.time
        if reached() >= accuracy:
            found = push.time
    return {
        "time": found,
        "accuracy": reached(),
        "updates": sum(box.version for box in simulation.boxes),
        "exchanges": simulation.between.exchanges,
        "models": simulation.moved_bytes / model.nbytes / len(boxes),
    }
