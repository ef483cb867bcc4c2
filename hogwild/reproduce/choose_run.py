"""One simulated run for the choice of a method: how good its result is at points of virtual time, and what it costs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Sequence
from typing import Any, NamedTuple

SEEN = 2000  # training samples on which the loss of the result is measured
Course = dict[str, Any]
"""What `course` returns."""
RECENT = 64  # pushes whose mean loss tells whether a run has diverged
HELD = 3  # points
ENOUGH = 10**9  # samples: virtual time ends a run before


def course(*, data: str, samples: int, tests: int, until: float, points: int, **values: Any) -> Course:
    """A run until that virtual time, evaluated at `points` times. `values` are fields of Config.

    Returns points: [virtual time, training loss of the result, test accuracy] each; delay_mean and delay_sd, in
    versions; gradients; bytes: between workers and shared memory, per parameter and gradient. A run that diverges (its
    mean loss is not finite, or LOST times that of guessing) ends early, and says so.
    """
    from hogwild.drivers.instruments.evaluation import evaluate
    from hogwild.reproduce.training import LOST, Part, begin, images, job_of, read

    part = images(data, samples, tests)
    job = job_of(part, {"samples": ENOUGH, **values})
    simulation, module = begin(job), job.build()
    seen, found = Part(part.train, SEEN), list[list[float]]()
    recent, delays = list[float](), list[int]()
    while len(found) < points and (push := simulation.advance()) is not None:
        while len(found) < points and push.time > until * (len(found) + 1) / points:
            read(simulation, module)
            loss, accuracy = evaluate(module, part, seen).loss, evaluate(module, part, part.test).value
            found.append([until * (len(found) + 1) / points, loss, accuracy])
        recent = [*recent[1 - RECENT :], push.loss]
        if not push.given_up:
            delays.append(simulation.workers[push.rank].view.outcome.delay)
        if not statistics.fmean(recent) < LOST * math.log(part.classes):
            break
    counted = max(simulation.computed, 1)
    return {
        "points": found,
        "diverged": len(found) < points,
        "delay_mean": statistics.fmean(delays or [0]),
        "delay_sd": statistics.pstdev(delays or [0]),
        "gradients": simulation.computed,
        "bytes": simulation.moved_bytes / counted / simulation.world.layout.parameters,
    }


class Ending(NamedTuple):
    """Training loss and test accuracy over the last quarter of a run: infinite and 0 if it diverged before its end."""

    loss: float
    accuracy: float


def ending(found: Course) -> Ending:
    points = found["points"]
    last = points[-(len(points) // 4 or 1) :]
    if found["diverged"] or not last:
        return Ending(math.inf, 0.0)
    return Ending(statistics.fmean(point[1] for point in last), statistics.fmean(point[2] for point in last))


def time_to(points: Sequence[Sequence[float]], target: float, column: int) -> float | None:
    """The virtual time at which the loss (column 1) has come down, or the accuracy (2) up, to the target, to stay for
    HELD points: on the line between two points. None if it never does.
    """
    sign = 1 if column == 1 else -1
    reached = [sign * point[column] <= sign * target for point in points]
    for number, point in enumerate(points):
        if not all(reached[number : number + HELD]):
            continue
        before = points[number - 1] if number else point
        share = (target - before[column]) / (point[column] - before[column]) if number else 0.0
        return before[0] + share * (point[0] - before[0])
    return None
