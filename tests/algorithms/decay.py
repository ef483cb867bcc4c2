"""Models under weight decay alone: the documented update of every algorithm at gradients of zero, in float64. Which
algorithm follows which: tests/algorithms/decays.py.

Each function takes the start x [n] and the number of workers, and yields the trained model after every update (every
round of a synchronous algorithm). Asynchronous workers take turns, so delays are 0, 1, ... and then workers - 1.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import count

import numpy as np
import numpy.typing as npt

from hogwild.shared.seeds import draw

Vector = npt.NDArray[np.float64]
Decay = Callable[[Vector, int], Iterator[Vector]]
LR, WD, M = 0.1, 0.3, 0.6


def turns(workers: int) -> Iterator[tuple[int, int, int]]:
    """(number of the update, rank, delay) of workers in turn."""
    return ((turn, turn % workers, min(turn, workers - 1)) for turn in count())


def shared(
    x: Vector, workers: int, *, m: float = 0.0, own: bool = False, nesterov: bool = False,
    rate: Callable[[int], float] = lambda delay: 1.0,
) -> Iterator[Vector]:  # fmt: skip
    """One model: v <- m v + wd x;  x <- x - lr rate(delay) v. `own`: a v for each worker."""
    v = np.zeros((workers, x.size))
    for _, rank, delay in turns(workers):
        i, d = rank if own else 0, WD * x
        v[i] = m * v[i] + d
        x = x - LR * rate(delay) * (d + m * v[i] if nesterov else v[i])
        yield x


def rescaled(x: Vector, workers: int) -> Iterator[Vector]:
    """x <- x - lr (t / (N c)) wd x for the t-th gradient of all, which is this worker's c-th."""
    for turn, _, _ in turns(workers):
        x = x - LR * (turn + 1) / (workers * (turn // workers + 1)) * WD * x
        yield x


def once_all_have_come(x: Vector, workers: int) -> Iterator[Vector]:
    """x <- x - lr wd x, from the first gradient of the last worker on."""
    for turn in count():
        x = x - LR * WD * x if turn >= workers - 1 else x
        yield x


def gap_aware(
    x: Vector, workers: int, *, gap_decay: float, dana: bool = False, whole: bool = False
) -> Iterator[Vector]:
    """G = 1 + |x - snapshot| / C;  v <- m v + wd x / G. `dana`: v is each worker's own, and the snapshot looks ahead by
    all of them. `whole`: v <- m v + wd x.
    """
    v, s, snapshot = np.zeros((workers, x.size)), np.zeros_like(x), np.tile(x, (workers, 1))
    for turn, rank, _ in turns(workers):
        i = rank if dana else 0
        s = gap_decay * s + (1 - gap_decay) * v[i] ** 2
        size = LR * (np.sqrt(s / (1 - gap_decay ** (turn + 1))) + 1e-8)
        penalty = np.where(s == 0, 1.0, 1 + abs(x - snapshot[rank]) / size)
        v[i] = M * v[i] + WD * x / (1 if whole else penalty)
        x = x - LR * v[i]
        snapshot[rank] = x - LR * M * v.sum(0) if dana else x
        yield x


def smega2(x: Vector, workers: int) -> Iterator[Vector]:
    v, b = np.zeros_like(x), np.zeros_like(x)
    for turn, _, _ in turns(workers):
        d = WD * x
        b, x = b + d, x - LR * (d + M * v)
        if (turn + 1) % workers == 0:
            v, b = M * v + b / workers, np.zeros_like(x)
        yield x


def ormo(x: Vector, workers: int) -> Iterator[Vector]:
    u = np.zeros_like(x)
    for turn, _, delay in turns(workers):
        d = WD * x
        if turn and turn % workers == 0:
            x, u = x - M * u, M * u
        late = turn // workers - (turn - delay) // workers
        u, x = u + M**late * LR * d, x - (1 - M ** (late + 1)) / (1 - M) * LR * d
        yield x


def elastic(
    x: Vector, workers: int, *, alpha: float, period: int, m: float = 0.0, post: bool = False
) -> Iterator[Vector]:
    """EASGD and EAMSGD in the paper's coordinates; the result is the center."""
    center, own, v = x, [x] * workers, [np.zeros_like(x)] * workers
    for turn, i, _ in turns(workers):
        step, force = turn // workers, np.zeros_like(x)
        if not post and step % period == 0:
            force = alpha * (own[i] - center)
        v[i] = m * v[i] - LR * WD * (own[i] + m * v[i])
        own[i] = own[i] + v[i]
        if post and (step + 1) % period == 0:
            force = alpha * (own[i] - center)
        own[i], center = own[i] - force, center + force
        yield center


def elastic_rounds(
    x: Vector, workers: int, *, alpha: float, period: int, m: float = 0.0, last: bool = False
) -> Iterator[Vector]:
    """All replicas are equal. `last`: the center sees them after their step."""
    center, own, v = x, x, np.zeros_like(x)
    for step in count():
        before, v = own, m * v - LR * WD * (own + m * v)
        own = own + v
        if step % period == 0:
            own = own - alpha * (before - center)
            center = center + alpha * workers * ((own if last else before) - center)
        yield center


def tree(x: Vector, workers: int, *, alpha: float, period: int, period_up: int) -> Iterator[Vector]:
    """Three workers at degree 2: the inner node "a" is above workers 0 and 1, "b" above 2; one worker: only the root"""
    parents, first = (["root"], {}) if workers == 1 else (["a", "a", "b"], {0: "a", 2: "b"})
    node, own, v = dict.fromkeys(("root", "a", "b"), x), [x] * workers, [np.zeros_like(x)] * workers
    for turn, i, _ in turns(workers):
        step = turn // workers + 1
        v[i] = M * v[i] + WD * own[i]
        own[i] = own[i] - LR * v[i]
        if step % period == 0:
            force = alpha * (own[i] - node[parents[i]])
            own[i], node[parents[i]] = own[i] - force, node[parents[i]] + force
        if step % period_up == 0 and i in first:
            force = alpha * (node[first[i]] - node["root"])
            node[first[i]], node["root"] = node[first[i]] - force, node["root"] + force
        yield node["root"]


def downpour(
    x: Vector, workers: int, *, period: int, part: float = 1.0, average: float | None = None
) -> Iterator[Vector]:
    """The center adds `part` of a worker's movement. `average`: the result is its moving average; 0: its mean."""
    centers, base, own, v = [x], [x] * workers, [x] * workers, [np.zeros_like(x)] * workers
    moving = x
    for turn, i, _ in turns(workers):
        v[i] = M * v[i] + WD * own[i]
        own[i] = own[i] - LR * v[i]
        if (turn // workers + 1) % period == 0:
            centers.append(centers[-1] + part * (own[i] - base[i]))
            own[i] = base[i] = centers[-1]
            moving = moving if average is None else (1 - average) * moving + average * centers[-1]
        yield centers[-1] if average is None else moving if average else np.mean(centers, axis=0)


def admm(x: Vector, workers: int, *, rho: float) -> Iterator[Vector]:
    center, own, multiplier = x, [x] * workers, [np.zeros_like(x)] * workers
    for _, i, _ in turns(workers):
        multiplier[i] = multiplier[i] - (own[i] - center)
        own[i] = (own[i] - LR * WD * own[i] + LR * rho * (multiplier[i] + center)) / (1 + LR * rho)
        center = np.mean([y - u for y, u in zip(own, multiplier, strict=True)], axis=0)
        yield center


def outer(x: Vector, workers: int, *, period: int, a: float, outer_m: float, nesterov: bool) -> Iterator[Vector]:
    """SlowMo and DiLoCo. All replicas are equal; the result is theirs."""
    center, own, v, u = x, x, np.zeros_like(x), np.zeros_like(x)
    for step in count(1):
        v = M * v + WD * own
        own = own - LR * v
        if step % period == 0:
            delta = center - own
            u = outer_m * u + delta
            center = own = center - a * (delta + outer_m * u if nesterov else u)
        yield own


def async_diloco(x: Vector, workers: int, *, period: int, a: float, outer_m: float, every: int) -> Iterator[Vector]:
    center, pushes, u, c = x, 0, np.zeros_like(x), np.zeros_like(x)
    base, own, v = [x] * workers, [x] * workers, [np.zeros_like(x)] * workers
    for turn, i, _ in turns(workers):
        v[i] = M * v[i] + WD * own[i]
        own[i] = own[i] - LR * v[i]
        if (turn // workers + 1) % period == 0:
            delta, pushes = base[i] - own[i], pushes + 1
            c, step = c + delta, delta / every
            if pushes % every == 0:
                u, c = outer_m * u + c / every, np.zeros_like(x)
                step = step + outer_m * u
            center = base[i] = own[i] = center - a * step
        yield center


def random_pairs(x: Vector, workers: int) -> Iterator[Vector]:
    """AD-PSGD on a complete graph, with the product's own draws; the result is the mean of the replicas."""
    own, v = [x] * workers, [np.zeros_like(x)] * workers
    for turn, i, _ in turns(workers):
        if others := [j for j in range(workers) if j != i]:
            j = others[draw(0, i, turn // workers, len(others))]
            own[i] = own[j] = (own[i] + own[j]) / 2
        v[i] = M * v[i] + WD * own[i]
        own[i] = own[i] - LR * v[i]
        yield np.mean(own, axis=0)


def push_sum(x: Vector, workers: int) -> Iterator[Vector]:
    """The mean of the z_i. The mass in mailboxes does not decay, and never comes near the ceiling here."""
    own, mass, box, box_mass = [x] * workers, [1.0] * workers, [np.zeros_like(x)] * workers, [0.0] * workers
    z, hops = [x] * workers, max(workers - 1, 1).bit_length()
    for turn, i, _ in turns(workers):
        own[i] = (1 - LR * WD) * own[i] + box[i]
        mass[i], box[i], box_mass[i] = mass[i] + box_mass[i], np.zeros_like(x), 0.0
        if workers > 1:
            j = (i + 2 ** ((turn // workers + 1) % hops)) % workers
            own[i], mass[i] = own[i] / 2, mass[i] / 2
            box[j], box_mass[j] = box[j] + own[i], box_mass[j] + mass[i]
        z[i] = own[i] / mass[i]
        yield np.mean(z, axis=0)


def quasi_global(x: Vector, workers: int, *, mu: float) -> Iterator[Vector]:
    q = np.zeros_like(x)
    while True:
        step = WD * x + M * q
        x, q = x - LR * step, mu * q + (1 - mu) * step
        yield x


def once(x: Vector, workers: int, *, m: float = 0.0, times: float = 1.0) -> Iterator[Vector]:
    """An update, or a round of equal workers, decays as one worker does."""
    return shared(x, 1, m=m, rate=lambda _: times)


def rmsprop(x: Vector, workers: int, *, beta2: float, eps: float, inside: bool = True) -> Iterator[Vector]:
    """q <- b2 q + (1 - b2) (wd x)^2;  x <- x - lr wd x / sqrt(q + eps), or over sqrt(q) + eps"""
    q = np.zeros_like(x)
    while True:
        d = WD * x
        q = beta2 * q + (1 - beta2) * d**2
        x = x - LR * d / (np.sqrt(q + eps) if inside else np.sqrt(q) + eps)
        yield x


def adagrad(x: Vector, workers: int, *, start: float, eps: float = 1e-10) -> Iterator[Vector]:
    q = np.full_like(x, start)
    while True:
        q = q + (WD * x) ** 2
        x = x - LR * WD * x / (np.sqrt(q) + eps)
        yield x


def adam(
    x: Vector, workers: int, *, beta1: float, beta2: float, own: bool = True, eps: float = 1e-8
) -> Iterator[Vector]:
    """`own`: a v for each worker, and its look-ahead (dana-slim); else one v for all."""
    v, q, pushes = np.zeros((workers, x.size)), np.zeros_like(x), np.zeros(workers)
    for turn, rank, _ in turns(workers):
        i, d = rank if own else 0, WD * x
        pushes[i] += 1
        v[i] = beta1 * v[i] + (1 - beta1) * d
        q = beta2 * q + (1 - beta2) * d**2
        along = beta1 * v[i] + (1 - beta1) * d if own else v[i]
        mean = along / (1 - beta1 ** (pushes[i] + own))
        x = x - LR * mean / (np.sqrt(q / (1 - beta2 ** (turn + 1))) + eps)
        yield x


def lion(x: Vector, workers: int, *, beta1: float, beta2: float) -> Iterator[Vector]:
    v = np.zeros_like(x)
    while True:
        d = WD * x
        c, v = beta1 * v + (1 - beta1) * d, beta2 * v + (1 - beta2) * d
        x = x - LR * np.sign(c)
        yield x
