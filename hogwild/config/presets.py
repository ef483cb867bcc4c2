"""Default values for each data set, and the learning rate that follows from them for an algorithm and a delay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from hogwild.algorithms.base import Algorithm
from hogwild.config.limits import LIMITS
from hogwild.errors import UsageError

if TYPE_CHECKING:
    from hogwild.config import Config


@dataclass(frozen=True)
class Preset:
    """Default values for a data set. `lr` is for plain SGD: momentum m and dampening d scale it by (1-m)/(1-d)."""

    epochs: float = 2.0
    batch_size: int = 64
    lr: float = 0.05


PRESETS = {
    "digits": Preset(epochs=20.0, batch_size=32, lr=0.1),
    **dict.fromkeys(("movielens_100k", "movielens_100k_bpr"), Preset(epochs=20.0, batch_size=256, lr=0.3)),
    **dict.fromkeys(("movielens_1m", "zipf_ratings"), Preset(batch_size=256, lr=0.3)),
    **dict.fromkeys(("text8", "zipf_text"), Preset(epochs=1.0, batch_size=256, lr=5.0)),
}


FULL_NORM = {"norm_alpha": 0.03, "norm_state": "shared", "clip": 1.0, "warmup": 0.05}
"""The defaults that keep Full Normalization finite at the learning rates of BatchNorm: a bad batch affects its averages
for many updates.
"""


def norm_defaults(norm: str | None, guard: str, clip: float) -> dict[str, object]:
    """Defaults that follow from --norm. `clip`: the algorithm's default; a guard that reads gradients in parts cannot
    clip.
    """
    defaults: dict[str, object] = {"clip": clip, "warmup": 0.0}
    if norm == "full":
        defaults |= FULL_NORM if guard == "push" else {**FULL_NORM, "clip": clip}
    return defaults | ({"norm_state": "shared"} if norm is None else {})


def default_lr(preset: Preset, algorithm: Algorithm) -> float:
    """The algorithm's own, or the data set's lr at the same effective rate: times (1 - m) / (1 - d)."""
    if algorithm.lr:
        return algorithm.lr
    momentum, dampening = (float(getattr(algorithm, name, 0.0)) for name in ("momentum", "dampening"))
    return rounded(preset.lr * (1 - momentum) / max(1 - dampening, 1 - momentum))


class Theory(NamedTuple):
    """An algorithm's parameters in hogwild.theory.stability."""

    rule: str
    momentum: float
    dampening: float


def theory(algorithm: Algorithm, asked: str) -> Theory:
    """The linear theory of the algorithm with its options; of an adaptive one for a fixed q, with momentum and
    dampening beta1. UsageError, naming `asked`, if there is none.
    """
    if algorithm.stability_rule is None:
        raise UsageError(f"{asked}: no stability theory is known for algorithm {algorithm.name} with these options")
    if (stage := algorithm.adaptive()) is not None:
        momentum = dampening = float(getattr(stage, "beta1", 0.0))
    else:
        momentum, dampening = (float(getattr(algorithm, name, 0.0)) for name in ("momentum", "dampening"))
    has_rule = momentum or algorithm.stability_rule == "table"
    return Theory(algorithm.stability_rule, momentum, dampening) if has_rule else Theory("none", 0.0, 0.0)


def expected_delay(algorithm: Algorithm, workers: int) -> int:
    """The mean delay: N - 1 for N asynchronous workers, each of which starts its next gradient right after a push."""
    return 0 if algorithm.barriers_per_round else workers - 1


def stable_lr(preset: Preset, algorithm: Algorithm, delay: int) -> float:
    """The lr for which the stable minima are those of plain SGD without delay at the data set's lr.

    hogwild.theory.stability.learning_rate, `effective`, in six digits. UsageError if no theory is known, and for
    adaptive algorithms: their q adapts to the delay, so that no lr follows from another.
    """
    from hogwild.theory import stability

    if algorithm.adaptive() is not None:
        raise UsageError(
            f"--lr auto: no lr of {algorithm.name} follows from that of SGD, for its q adapts to the delay; leave --lr "
            "out for its own"
        )
    rule, momentum, dampening = theory(algorithm, "--lr auto, instead of a number")
    rates = stability.learning_rate(preset.lr, delay, momentum, dampening, rule, sync_momentum=0.0, sync_dampening=0.0)
    return rounded(rates.effective)


def rounded(lr: float) -> float:
    """Rounded to six digits, as in config.yaml."""
    return float(f"{lr:.6g}")


def of_data(config: Config, algorithm: Algorithm, *, wants_stable_lr: bool) -> dict[str, object]:
    """The data set's values of the options that were not given: length of the run, batch size, learning rate."""
    preset = PRESETS.get(config.data, Preset())
    found: dict[str, object] = {}
    if not any(getattr(config, limit) for limit in LIMITS):
        found["epochs"] = preset.epochs
    if config.batch_size is None:
        found["batch_size"] = preset.batch_size
    if config.lr is None:
        delay = expected_delay(algorithm, config.workers)
        found["lr"] = stable_lr(preset, algorithm, delay) if wants_stable_lr else default_lr(preset, algorithm)
    return found
