"""The papers' recursions for one worker, in float64, of those algorithms that are not plain SGD with one worker.

Each function takes the start x [n], `gradient(k, at)`, the k-th gradient taken at `at`, and the number of steps; it
returns the trained model. The center and the worker's replica are separate vectors; the paper's velocity is -lr times
the v of hogwild.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial

import numpy as np
import numpy.typing as npt
from muon_by_svd import muon

Vector = npt.NDArray[np.float64]
GradientFn = Callable[[int, Vector], Vector]
Recursion = Callable[..., Vector]


def eamsgd(
    x: Vector, gradient: GradientFn, steps: int, *, lr: float, weight_decay: float, alpha: float, period: int,
    momentum: float = 0.0, center_last: bool = False,
) -> Vector:  # fmt: skip
    """Zhang, Choromanska and LeCun 2015, Algorithms 1 and 2; `center_last`: its Gauss-Seidel form."""
    center, v = x.copy(), np.zeros_like(x)
    for k in range(steps):
        at = x + momentum * v
        g = gradient(k, at) + weight_decay * at
        v = momentum * v - lr * g
        if k % period == 0:
            before, x = x, x + v - alpha * (x - center)
            center = center + alpha * ((x if center_last else before) - center)
        else:
            x = x + v
    return center


def easgd_tree(
    x: Vector, gradient: GradientFn, steps: int, *, lr: float, weight_decay: float, alpha: float, period: int,
    momentum: float,
) -> Vector:  # fmt: skip
    """The root is the only node above the worker: EASGD that exchanges after the period-th step, with heavy-ball."""
    center, v = x.copy(), np.zeros_like(x)
    for k in range(steps):
        v = momentum * v + gradient(k, x) + weight_decay * x
        x = x - lr * v
        if (k + 1) % period == 0:
            force = alpha * (x - center)
            x, center = x - force, center + force
    return center


def overlapped(
    x: Vector, gradient: GradientFn, steps: int, *, lr: float, weight_decay: float, period: int, alpha: float,
    outer_momentum: float,
) -> Vector:  # fmt: skip
    """arXiv:2002.09539: the mean of one worker is what it began a period ago."""
    z, begun, u = x.copy(), x.copy(), np.zeros_like(x)
    for k in range(steps):
        x = x - lr * (gradient(k, x) + weight_decay * x)
        if (k + 1) % period == 0:
            z = begun
            x = (1 - alpha) * x + alpha * z
            u = outer_momentum * u + z - x
            begun = z - u
    return x


def admm(x: Vector, gradient: GradientFn, steps: int, *, lr: float, weight_decay: float, rho: float) -> Vector:
    """Zhang, Choromanska and LeCun 2015, equations 8 to 11; the mean over workers is that of one."""
    center, multiplier = x.copy(), np.zeros_like(x)
    for k in range(steps):
        g = gradient(k, x) + weight_decay * x
        multiplier = multiplier - (x - center)
        x = (x - lr * g + lr * rho * (multiplier + center)) / (1 + lr * rho)
        center = x - multiplier
    return center


def lookahead(
    x: Vector, gradient: GradientFn, steps: int, *, lr: float, weight_decay: float, period: int, slow_rate: float,
    momentum: float, outer_momentum: float = 0.0,
) -> Vector:  # fmt: skip
    """Zhang et al. 2019: the slow weights move a fraction of the way, and the fast weights restart from them; with an
    outer momentum the Nesterov step of SNOO.
    """
    slow, v, u = x.copy(), np.zeros_like(x), np.zeros_like(x)
    for k in range(steps):
        v = momentum * v + gradient(k, x) + weight_decay * x
        x = x - lr * v
        if (k + 1) % period == 0:
            u = outer_momentum * u + slow - x
            slow = slow - slow_rate * (outer_momentum * u + slow - x)
            x = slow
    return slow


def gpa(
    x: Vector, gradient: GradientFn, steps: int, *, lr: float, weight_decay: float, averaging: float,
    interpolation: float,
) -> Vector:  # fmt: skip
    """arXiv:2512.17131; weight decay is taken at the average."""
    z = x.copy()
    for k in range(steps):
        d = gradient(k, interpolation * x + (1 - interpolation) * z) + weight_decay * x
        z = z - lr * d
        x = averaging * x + (1 - averaging) * z
    return x


def ahead_of_velocity(
    x: Vector, gradient: GradientFn, steps: int, *, lr: float, weight_decay: float, momentum: float, ahead: float
) -> Vector:
    """A step of v' + l (v' - v)."""
    v = np.zeros_like(x)
    for k in range(steps):
        before, v = v, momentum * v + gradient(k, x) + weight_decay * x
        x = x - lr * (v + ahead * (v - before))
    return x


def slowmo(
    x: Vector, gradient: GradientFn, steps: int, *, lr: float, weight_decay: float, period: int, momentum: float,
    outer_lr: float, outer_momentum: float, nesterov: bool = False, outer_every: int = 1,
) -> Vector:  # fmt: skip
    """Wang et al. 2020; `nesterov`: Douillard et al. 2023; `outer_every` N: the delayed momentum of Liu et al. 2024."""
    center, v = x.copy(), np.zeros_like(x)
    u, gathered, pushes = np.zeros_like(x), np.zeros_like(x), 0
    for k in range(steps):
        v = momentum * v + gradient(k, x) + weight_decay * x
        x = x - lr * v
        if (k + 1) % period == 0:
            delta, pushes = center - x, pushes + 1
            gathered = gathered + delta / outer_every
            step = delta / outer_every if nesterov else np.zeros_like(x)
            if pushes % outer_every == 0:
                u, gathered = outer_momentum * u + gathered, np.zeros_like(x)
                step = step + (outer_momentum * u if nesterov else u)
            center = center - outer_lr * step
            x = center
    return center


def averaged_downpour(
    x: Vector, gradient: GradientFn, steps: int, *, lr: float, weight_decay: float, period: int, momentum: float,
    average_rate: float = 0.0,
) -> Vector:  # fmt: skip
    """One worker's center is its last delivery; the result is the mean of all centers, or their moving average."""
    v, centers = np.zeros_like(x), [x]
    for k in range(steps):
        v = momentum * v + gradient(k, x) + weight_decay * x
        x = x - lr * v
        if (k + 1) % period == 0:
            centers.append(x)
    if not average_rate:
        return np.mean(centers, axis=0)
    average = centers[0]
    for center in centers[1:]:
        average = (1 - average_rate) * average + average_rate * center
    return average


def dana_ga(
    x: Vector, gradient: GradientFn, steps: int, *, lr: float, weight_decay: float, momentum: float, gap_decay: float,
    penalize_wd: bool, eps: float = 1e-8,
) -> Vector:  # fmt: skip
    """Barkai et al. 2020: the gap of one worker is its look-ahead, lr m v; C is a running size of v times lr."""
    v, s = np.zeros_like(x), np.zeros_like(x)
    for k in range(steps):
        ahead = lr * momentum * v
        g, decay = gradient(k, x - ahead), weight_decay * x
        s = gap_decay * s + (1 - gap_decay) * v**2
        size = lr * (np.sqrt(s / (1 - gap_decay ** (k + 1))) + eps)
        penalty = 1 + np.abs(ahead) / size
        v = momentum * v + g / penalty + (decay / penalty if penalize_wd else decay)
        x = x - lr * v
    return x


def qg_dsgdm(
    x: Vector, gradient: GradientFn, steps: int, *, lr: float, weight_decay: float, momentum: float,
    quasi_global: float,
) -> Vector:  # fmt: skip
    """Lin et al. 2021, with no neighbour: q is a running mean of the steps over lr."""
    q = np.zeros_like(x)
    for k in range(steps):
        step = gradient(k, x) + weight_decay * x + momentum * q
        x, q = x - lr * step, quasi_global * q + (1 - quasi_global) * step
    return x


def adamw(
    x: Vector, gradient: GradientFn, steps: int, *, lr: float, weight_decay: float, beta1: float, beta2: float,
    eps: float, momentum_kind: str, decoupled: bool,
) -> Vector:  # fmt: skip
    """Loshchilov and Hutter 2019, Algorithm 2; dana-slim steps along what v will be if the next gradient is the same,
    and dana takes its gradient where that step leads.
    """
    v, q, ahead = np.zeros_like(x), np.zeros_like(x), np.zeros_like(x)
    for t in range(1, steps + 1):
        g = gradient(t - 1, x - ahead) + (0 if decoupled else weight_decay * x)
        v, q = beta1 * v + (1 - beta1) * g, beta2 * q + (1 - beta2) * g**2
        root = np.sqrt(q / (1 - beta2**t)) + eps
        mean = v / (1 - beta1**t)
        if momentum_kind == "dana-slim":
            mean = (beta1 * v + (1 - beta1) * g) / (1 - beta1 ** (t + 1))
        x = x - lr * mean / root - (lr * weight_decay * x if decoupled else 0)
        ahead = lr * beta1 * mean / root if momentum_kind == "dana" else ahead
    return x


def scaled(
    x: Vector, gradient: GradientFn, steps: int, *, lr: float, weight_decay: float, eps: float, beta2: float = 1.0,
    eps_inside: bool = False, initial_accumulator: float = 0.0,
) -> Vector:  # fmt: skip
    """RMSprop of Tieleman and Hinton 2012; with beta2 = 1 Adagrad, where q is the sum of Duchi et al. 2011."""
    q = np.full_like(x, initial_accumulator)
    for k in range(steps):
        g = gradient(k, x) + weight_decay * x
        q = beta2 * q + (1 - beta2 if beta2 < 1 else 1) * g**2
        x = x - lr * g / (np.sqrt(q + eps) if eps_inside else np.sqrt(q) + eps)
    return x


def lion(
    x: Vector, gradient: GradientFn, steps: int, *, lr: float, weight_decay: float, beta1: float, beta2: float
) -> Vector:
    """Chen et al. 2023, Algorithm 2."""
    v = np.zeros_like(x)
    for k in range(steps):
        g = gradient(k, x)
        x, v = x - lr * (np.sign(beta1 * v + (1 - beta1) * g) + weight_decay * x), beta2 * v + (1 - beta2) * g
    return x


ADAM: Mapping[str, object] = {"beta1": 0.8, "beta2": 0.95, "eps": 1e-3}
OUTER: Mapping[str, float] = {"period": 3, "momentum": 0.7, "outer_lr": 0.6, "outer_momentum": 0.4}
ELASTIC: Mapping[str, float] = {"alpha": 0.3, "period": 3}
GAUSS_SEIDEL = {"form": "gauss-seidel"}

RECURSIONS: list[tuple[str, Recursion, Mapping[str, object], Mapping[str, object]]] = [
    # the algorithm, its recursion for one worker, the options of both, options of the algorithm alone
    *(
        ("adamw", adamw, {**ADAM, "momentum_kind": kind, "decoupled": decoupled}, {})
        for kind in ("dana-slim", "dana", "shifted", "heavy-ball")
        for decoupled in (True, False)
    ),
    ("rmsprop", scaled, {"beta2": 0.9, "eps": 0.01, "eps_inside": True}, {}),
    ("rmsprop", scaled, {"beta2": 0.9, "eps": 0.01, "eps_inside": False}, {"q_scope": "worker"}),
    ("adagrad", scaled, {"eps": 1e-4, "initial_accumulator": 0.2}, {}),
    ("lion", lion, {"beta1": 0.8, "beta2": 0.95}, {}),
    ("ringmaster-muon", muon, {"momentum": 0.8}, {}),
    ("easgd", eamsgd, ELASTIC, {}),
    ("eamsgd", eamsgd, {**ELASTIC, "momentum": 0.7}, {}),
    ("easgd-sync", eamsgd, ELASTIC, {}),
    ("easgd-sync", eamsgd, {**ELASTIC, "momentum": 0.7}, {}),
    ("easgd-sync", partial(eamsgd, center_last=True), ELASTIC, GAUSS_SEIDEL),
    ("easgd-sync", partial(eamsgd, center_last=True), {**ELASTIC, "momentum": 0.7}, GAUSS_SEIDEL),
    ("easgd-tree", easgd_tree, {**ELASTIC, "momentum": 0.7}, {}),
    ("admm", admm, {"rho": 2.5}, {}),
    ("lookahead", lookahead, {"period": 3, "slow_rate": 0.4, "momentum": 0.7}, {}),
    ("lookahead", lookahead, {"period": 3, "slow_rate": 0.4, "momentum": 0.7, "outer_momentum": 0.6}, {}),
    ("gpa", gpa, {"averaging": 0.9, "interpolation": 0.8}, {}),
    ("gpa", gpa, {"averaging": 0.0, "interpolation": 1.0}, {}),
    ("nag-asgd", ahead_of_velocity, {"momentum": 0.7, "ahead": 0.2}, {}),
    ("dana-slim", ahead_of_velocity, {"momentum": 0.7, "ahead": 1.0}, {}),
    *((name, partial(ahead_of_velocity, ahead=0.7), {"momentum": 0.7}, {}) for name in ("nag-asgd", "dana-slim")),
    ("slowmo", slowmo, OUTER, {}),
    ("diloco", partial(slowmo, nesterov=True), OUTER, {}),
    ("noloco", slowmo, OUTER, {}),
    ("noloco", partial(slowmo, nesterov=True), OUTER, {"nesterov": True}),
    ("streaming-diloco", partial(slowmo, nesterov=True), OUTER, {"fragments": 1, "overlap": 0, "alpha": 0.0}),
    ("overlap-sgd", overlapped, {"period": 3, "alpha": 0.6, "outer_momentum": 0.7}, {}),
    ("async-diloco", partial(slowmo, nesterov=True), {**OUTER, "outer_every": 4}, {}),
    ("adownpour", averaged_downpour, {"period": 3, "momentum": 0.7}, {}),
    ("mvadownpour", averaged_downpour, {"period": 3, "momentum": 0.7, "average_rate": 0.2}, {}),
    ("qg-dsgdm", qg_dsgdm, {"momentum": 0.7, "quasi_global": 0.8}, {}),
    ("dana-ga", dana_ga, {"momentum": 0.7, "gap_decay": 0.9, "penalize_wd": False}, {}),
    ("dana-ga", dana_ga, {"momentum": 0.7, "gap_decay": 0.9, "penalize_wd": True}, {}),
]
