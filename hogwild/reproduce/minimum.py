"""Finds a minimum by training without delay, and continues the training from there with a delay."""

from __future__ import annotations

import math
from functools import lru_cache
from typing import Any

import torch
from torch import nn

from hogwild.drivers.instruments.evaluation import evaluate
from hogwild.reproduce.training import begin, error, images, job_of, read
from hogwild.tasks.data import Data

ITERATIONS = 60  # number of power iterations
GROWTH, LEAST = 10.0, 0.1  # a run has left if its mean loss is above GROWTH times that at the start, and above LEAST


@lru_cache(maxsize=1)
def find(
    data: str, samples: int, tests: int, model: str, batch_size: int, epochs: float, lr: float, seed: int
) -> nn.Module:
    """The model after training with plain SGD, without delay, momentum, decay or schedule."""
    values = {"model": model, "algorithm": "sgd", "batch_size": batch_size, "epochs": epochs, "lr": lr, "seed": seed}
    job = job_of(images(data, samples, tests), values)
    simulation = begin(job)
    while simulation.advance() is not None:
        pass
    return read(simulation, job.build())


def describe(*, data: str, samples: int, tests: int, **found: Any) -> dict[str, float]:
    """Loss, error and curvature at the minimum: the largest eigenvalue of the Hessian of the mean training loss."""
    part = images(data, samples, tests)
    module = find(data, samples, tests, **found)
    inputs, targets = part.train.batch(torch.arange(len(part.train)), train=False)
    loss = part.loss(module(inputs), targets)
    parameters = list(module.parameters())
    slopes = torch.autograd.grad(loss, parameters, create_graph=True)
    generator = torch.Generator().manual_seed(0)
    direction = [torch.randn(p.shape, generator=generator) for p in parameters]
    curvature = 0.0
    for _ in range(ITERATIONS):
        norm = math.sqrt(sum(float((v * v).sum()) for v in direction))
        direction = [v / norm for v in direction]
        product = torch.stack([(g * v).sum() for g, v in zip(slopes, direction, strict=True)]).sum()
        image = torch.autograd.grad(product, parameters, retain_graph=True)
        curvature = sum(float((h * v).sum()) for h, v in zip(image, direction, strict=True))
        direction = [h.detach() for h in image]
    return {"loss": float(loss.detach()), "error": error(module, part, part.test), "curvature": curvature}


def leave(
    *, data: str, samples: int, tests: int, model: str, batch_size: int, epochs: float, sync_lr: float, seed: int,
    delay: int, lr: float, updates: int, points: int,
) -> list[dict[str, Any]]:  # fmt: skip
    """Plain asynchronous SGD from the minimum, with every gradient `delay` updates old. All snapshots start there.

    One dict per evaluation, `points` of them in `updates`: update, loss (mean since the last evaluation), test_error,
    left. The run ends at the first evaluation that finds that it has left the minimum.
    """
    part = images(data, samples, tests)
    start = find(data, samples, tests, model, batch_size, epochs, sync_lr, seed)
    job = job_of(
        part,
        {"model": model, "algorithm": "asgd", "clock": f"const:{delay}", "batch_size": batch_size, "updates": updates,
         "lr": lr, "seed": seed + 1},
    )  # fmt: skip
    simulation, module = begin(job, start), job.build()
    base = mean_loss(part, start)
    course: list[dict[str, Any]] = []
    span, losses = max(updates // points, job.order.tickets_per_epoch), list[float]()
    while (push := simulation.advance()) is not None:
        losses.append(push.loss)
        if len(losses) < span:
            continue
        loss = sum(losses) / len(losses)
        losses.clear()
        point = {"update": simulation.computed, "loss": loss, "left": not loss <= max(GROWTH * base, LEAST)}
        finite = math.isfinite(loss)
        course.append(point | {"test_error": error(read(simulation, module), part, part.test) if finite else None})
        if point["left"]:
            break
    return course


def mean_loss(data: Data, module: nn.Module) -> float:
    """The mean loss over the training split."""
    return evaluate(module, data, data.train).loss
