"""The live edge ratio: how close a run is to the learning rate at which, with its delays, a minimum becomes unstable.

    ratio = curvature x lr / threshold(rule, delays since the last measurement, momentum, dampening)

Above 1 the linear theory (hogwild.theory) says that the run is moving away from the minimum. The curvature is the
largest eigenvalue of the Hessian of the loss on one batch, the same 250 training samples each time, at a consistent
copy of the master in eval mode: no dropout, no augmentation, BatchNorm with its pooled statistics. Delays are taken as
independent of each other; the last of 256 bins also holds all longer ones. The gap penalty and clipping are ignored:
they only shorten steps. This measurement is ours, not the paper's.

An adaptive rule divides its step by D = sqrt(q / bc2) + eps or the like (AdaptiveStage.divisor). With q held fixed it
is momentum on the loss in other coordinates, so the curvature is the largest eigenvalue of D^-1/2 H D^-1/2, and
momentum and dampening are beta1. But q grows where a run oscillates, and keeps it near the ratio 1 (Cohen et al. 2022,
arXiv:2207.14484), above it by up to 1.6 where momentum is shared: a warning comes above ADAPTED.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from hogwild import delays
from hogwild.config.presets import PRESETS, Preset, expected_delay, stable_lr, theory
from hogwild.drivers.instruments.curvature import Curvature, largest_curvature
from hogwild.drivers.instruments.statistics import Statistics
from hogwild.drivers.job.job import Job
from hogwild.drivers.job.samples import Reader
from hogwild.runs.console import Console
from hogwild.runs.journal import Journal
from hogwild.shared.devices import to_device
from hogwild.shared.layout import trainable
from hogwild.tasks.steps import apply
from hogwild.theory import stability

SAMPLES = 250
ADAPTED = 2.0  # the ratio above which q has not kept up, in adaptive rules
GROWTH = 2.0  # growth of the ratio since the last warning before there is another warning
MANY = 2.0  # a mean delay above this multiple of the expected one is reported under --lr auto


class Edge:
    """The measurements of one run: events of kind edge, warnings, the summary's `edge`. `begins`: version at which the
    run begins.
    """

    def __init__(self, job: Job, journal: Journal, console: Console, begins: Statistics) -> None:
        self.job, self.journal, self.console = job, journal, console
        self.every = job.config.edge_every
        self.ratio: float | None = None  # last measurement
        self._line: dict[str, float] = {}
        self._largest = -math.inf
        self._measurements = 0
        self._spent_s = 0.0
        self._version = begins.version  # version of the last measurement
        self._delays = begins.delays  # delays counted until then
        self._vector: list[Tensor] | None = None
        self._limit = 1.0 if job.algorithm.adaptive() is None else ADAPTED
        self._warned = self._limit / GROWTH  # ratio of the last warning

    def is_due(self, version: int) -> bool:
        """Whether a measurement is due: every `edge_every` updates; never if that is 0."""
        return self.every > 0 and version // self.every > self._version // self.every

    def measure(
        self,
        module: nn.Module,
        stats: Statistics,
        lr: float,
        pulse: Callable[[], object],
        divisor: Sequence[Tensor] | None = None,
    ) -> None:
        """Measures at the parameters of `module`, a consistent copy; `pulse` is called between gradients. `divisor`: D
        of an adaptive rule, one tensor for each trained parameter.
        """
        began = time.monotonic()
        law = self._recent(stats.delays)
        self._version = stats.version
        if law is None:
            return
        try:
            found = self._curvature(module, pulse, divisor)
        except RuntimeError as error:  # the model has an operation without a second derivative
            self.every = 0
            self.console.warn(f"no edge ratio: the loss cannot be differentiated twice ({_first_line(error)})")
            return
        if found is None:
            return
        threshold = stability.edge(*self._theory(law))
        self.ratio = found.value * lr / threshold
        self._line = {"curvature": found.value, "lr": lr, "threshold": threshold, "ratio": self.ratio}
        self._largest = max(self._largest, self.ratio)
        self._measurements += 1
        facts = {"delay_mean": delays.mean(law), "products": found.products, "converged": found.converged}
        self.journal.event("edge", updates=stats.version, **self._line, **facts, **self.journal.took(began))
        if self.ratio > self._limit and self.ratio >= GROWTH * self._warned:
            self._warned = self.ratio
            self.console.warn(self._warning(law))
        self._spent_s += time.monotonic() - began

    def summary(self, wall_s: float) -> dict[str, Any]:
        """{edge: last line, largest ratio, number of measurements, share of the time that they took}; {} if off."""
        if not self.job.config.edge_every:
            return {}
        spent = {"measurements": self._measurements, "spent_s": self._spent_s, "share": self._spent_s / wall_s}
        return {"edge": {**self._line, "largest": self._largest if self._measurements else None, **spent}}

    def _theory(self, law: delays.Law) -> tuple[str, delays.Law, float, float]:
        rule, momentum, dampening = theory(self.job.algorithm, "--edge-every")
        return rule, law, momentum, dampening

    def _recent(self, counts: tuple[int, ...]) -> delays.Law | None:
        """The distribution of the delays since the last measurement; None if nothing was pushed."""
        before, self._delays = self._delays, counts
        recent = {delay: now - then for delay, (now, then) in enumerate(zip(counts, before, strict=True))}
        return delays.normalise(recent) if any(recent.values()) else None

    def _curvature(
        self, module: nn.Module, pulse: Callable[[], object], divisor: Sequence[Tensor] | None
    ) -> Curvature | None:
        """None if none of the samples can be read."""
        data, was_training, place = self.job.data, module.training, next(module.parameters())
        generator = torch.Generator().manual_seed(self.job.config.seed)
        index = torch.randperm(len(data.train), generator=generator)[:SAMPLES]
        batch = Reader(data.train).read(index, train=False)  # those that cannot be read are told of in training
        if not len(batch):
            return None
        inputs, targets = to_device((batch.inputs, batch.targets), place.device, place.dtype)
        module.eval()
        try:
            with sdpa_kernel(SDPBackend.MATH):  # the fused kernels have no second derivative
                loss = apply(data, module, inputs, targets).loss
            found = largest_curvature(
                loss, trainable(module), start=self._vector, seed=self.job.config.seed, pulse=pulse, divisor=divisor
            )
        finally:
            module.train(was_training)
        self._vector = found.vector if math.isfinite(found.value) else None
        return found

    def _warning(self, law: delays.Law) -> str:
        line, lr = self._line, self.job.config.lr
        rule, _, momentum, dampening = self._theory(law)
        known = f"rule {rule}, momentum {momentum:g}, mean delay {delays.mean(law):.3g}"
        if self.job.algorithm.adaptive() is not None:
            return (
                f"edge ratio {line['ratio']:.3g} at update {self._version}: q of {self.job.config.algorithm} has not "
                f"kept up with the curvature ({known}). Lower --lr, give a --warmup, or a smaller --beta2"
            )
        text = (
            f"edge ratio {line['ratio']:.3g} at update {self._version}: curvature {line['curvature']:.4g} x lr "
            f"{line['lr']:.4g} is above {line['threshold']:.4g}, the largest that is stable here ({known}). "
            f"Lower --lr below {lr / line['ratio']:.3g}"
        )
        if rule in ("standard", "nesterov"):
            shifted = stability.edge("shifted", law, momentum, dampening) / line["threshold"]
            if shifted > 1.0:
                shifts = "--algorithm shifted (asgd --momentum-kind shifted)"
                text += f", or use {shifts}, which is stable up to {shifted:.2g} times that"
        return text


def long_delays(job: Job, delay_mean: float) -> str | None:
    """A warning if --lr auto chose lr for delays that are much shorter than the measured ones; else None."""
    config, algorithm = job.config, job.algorithm
    expected, preset = expected_delay(algorithm, config.workers), PRESETS.get(config.data, Preset())
    if delay_mean <= MANY * max(expected, 1) or algorithm.stability_rule is None or algorithm.adaptive() is not None:
        return None
    if config.lr != stable_lr(preset, algorithm, expected):
        return None
    lr = stable_lr(preset, algorithm, math.ceil(delay_mean))
    return (
        f"the mean delay is {delay_mean:.3g}, and --lr auto chose lr {config.lr:g} for {expected}, the mean delay of "
        f"--workers {config.workers}: lower --lr to {lr:g}"
    )


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0]
