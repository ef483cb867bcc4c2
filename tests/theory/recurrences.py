"""The update rules as a program runs them, on one weight, without polynomials."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Matrix = NDArray[np.float64]


def trajectory(
    rule: str,
    delay: int,
    lr: float,
    momentum: float = 0.0,
    dampening: float = 0.0,
    weight_decay: float = 0.0,
    curvature: float = 1.0,
    first_step: str = "damped",
) -> Iterator[float]:
    """x_0 = 1, x_1, ...: `delay + 1` workers in turn. Each worker pulls right after its push."""
    workers = delay + 1
    x, total = 1.0, 0.0
    snapshots = [1.0] * workers
    own = [0.0] * workers
    shared = 0.0
    yield x
    step = 0
    while True:
        worker = step % workers
        is_private = rule in ("shifted", "dana")
        is_first = step < workers if is_private else step == 0
        c = 1.0 if is_first and first_step == "torch" else 1.0 - dampening
        g = c * (curvature * snapshots[worker] + weight_decay * x)
        v = momentum * (own[worker] if is_private else shared) + g
        total += v - own[worker]
        own[worker] = shared = v
        x -= lr * (g + momentum * v if rule == "nesterov" else v)
        snapshots[worker] = x - lr * momentum * total if rule == "dana" else x
        step += 1
        yield x


def history_operator(
    rule: str, law: dict[int, float], k: float, momentum: float, c: float, ratio: float, noise: float
) -> tuple[Matrix, Matrix]:
    """E[A x A] of one update of (x_t, x_{t-1}, ..., v_t, v_{t-1}, ...), and vec(b b^T) of a unit of gradient noise.

    v is in units of lr. The delay is drawn for each update; for dana it must be constant, sum_i v_i is then
    x_{t-tau-1} - x_t.
    """
    depth = 2 * max(law) + 2
    x, v = np.eye(2 * depth)[:depth], np.eye(2 * depth)[depth:]

    def state(x_new: Matrix, v_new: Matrix, *, keeps: bool) -> Matrix:
        return np.vstack([x_new, keeps * x[:-1], v_new, keeps * v[:-1]])

    def effect(g: Matrix) -> tuple[Matrix, Matrix]:
        return (-g * (1 + momentum) if rule == "nesterov" else -g), g

    operator = np.zeros((4 * depth**2, 4 * depth**2))
    for delay, probability in law.items():
        old = momentum * v[delay if rule == "shifted" or rule == "dana" else 0]
        read = x[delay] + momentum * (x[delay] - x[2 * delay + 1]) if rule == "dana" else x[delay]
        drift = momentum * old if rule == "nesterov" else old
        dx, dv = effect(c * k * (read + ratio * x[0]))
        mean = state(x[0] - drift + dx, old + dv, keeps=True)
        random = state(*effect(c * k * read), keeps=False)
        operator += probability * (np.kron(mean, mean) + noise * np.kron(random, random))
    b = np.zeros(2 * depth)
    b[0], b[depth] = effect(np.array(c))
    return operator, np.kron(b, b)


def workers_operator(rule: str, workers: int, k: float, momentum: float, c: float, noise: float) -> Matrix:
    """E[A x A] of one update of (x, v, snapshots, v_1, ..., v_N), v in units of lr, by a worker drawn at random."""
    unit = np.eye(2 + 2 * workers)
    x, v, snapshots, own = unit[0], unit[1], unit[2 : 2 + workers], unit[2 + workers :]
    is_private = rule in ("shifted", "dana")
    unused = [1] if is_private else list(range(2 + workers, len(unit)))
    operator = np.zeros((len(unit) ** 2, len(unit) ** 2))
    for worker in range(workers):
        after = []
        for g, keeps in ((c * k * snapshots[worker], 1.0), (c * k * snapshots[worker], 0.0)):
            old = keeps * (own[worker] if is_private else v)
            buffer = momentum * old + g
            new = keeps * unit
            new[unused] = 0.0
            new[0] = keeps * x - (g + momentum * buffer if rule == "nesterov" else buffer)
            new[2 + workers + worker if is_private else 1] = buffer
            others = keeps * (own.sum(axis=0) - own[worker])
            new[2 + worker] = new[0] - momentum * (others + buffer) if rule == "dana" else new[0]
            after.append(new)
        mean, random = after
        operator += (np.kron(mean, mean) + noise * np.kron(random, random)) / workers
    return operator
