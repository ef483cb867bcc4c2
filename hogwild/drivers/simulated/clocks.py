"""Virtual clocks: the duration of each gradient in the simulator. One unit is the mean duration of a gradient.

    round-robin                every gradient takes exactly 1: workers in turn, delay N - 1
    gamma:cv=0.1,het=0.6       gamma distributed with that coefficient of variation; het: that of the machines' means
    random                     exponential: every next push comes from a worker drawn uniformly at random
    trace:FILE                 the turns of a recorded run, in their order (--record)
    const:4, uniform:1:8, normal:8:1, geometric:8, hist:FILE
                               the delay itself, drawn independently for every push

Gamma execution times: Ali et al. 2000 (CVB model), shape 1/cv^2 as in the DANA and Gap-Aware papers: their homogeneous
cluster has cv = 0.1 (shape 100), and the heterogeneous one het = 0.6.
"""

from __future__ import annotations

import copy
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from hogwild.config import TIMED_CLOCKS
from hogwild.delays import parse as parse_delays
from hogwild.drivers.instruments import trace
from hogwild.drivers.instruments.trace import Trace
from hogwild.errors import UsageError
from hogwild.text import quoted

VARIATION = (1e-6, 10.0)  # coefficients other than 0: beyond, a gamma distribution is a constant, or rounds to 0
FACTOR_LIMIT = 1e6


@dataclass
class TimedClock:
    """Durations of gradients: `duration(rank)` draws the next one of that worker, independently of other workers."""

    workers: int
    seed: int
    cv: float = 0.0  # coefficient of variation of one worker's gradients; 1 with gamma is exponential
    het: float = 0.0  # coefficient of variation of the workers' means
    burst: float = 0.0  # probability that a gradient is held up
    burst_factor: float = 10.0
    factors: Mapping[int, float] = field(default_factory=dict)  # factors of permanent stragglers

    def __post_init__(self) -> None:
        self._rng = [np.random.default_rng([self.seed, rank]) for rank in range(self.workers)]
        shape = 1 / self.het**2 if self.het else 0.0
        means = [max(rng.gamma(shape, 1 / shape), sys.float_info.min) if shape else 1.0 for rng in self._rng]
        self.means = [mean * self.factors.get(rank, 1.0) for rank, mean in enumerate(means)]

    def part(self, first: int, workers: int) -> TimedClock:
        """The clock of the workers from `first` on, numbered from 0."""
        part = copy.copy(self)
        last = first + workers
        part.workers, part.means, part._rng = workers, self.means[first:last], self._rng[first:last]
        return part

    def duration(self, rank: int) -> float:
        rng, mean = self._rng[rank], self.means[rank]
        if self.burst and rng.random() < self.burst:
            mean *= self.burst_factor
        if not self.cv:
            return mean
        shape = 1 / self.cv**2
        return max(float(rng.gamma(shape, mean / shape)), sys.float_info.min)  # a small shape underflows


@dataclass
class DelayClock:
    """Delays drawn independently for every push, P(delay = d) as given; push t uses the model of version t - d."""

    distribution: Mapping[int, float]
    seed: int

    def __post_init__(self) -> None:
        self._rng = np.random.default_rng([self.seed])
        self._delays = np.array(sorted(self.distribution))
        weights = np.array([self.distribution[int(delay)] for delay in self._delays])
        self._weights = weights / weights.sum()

    @property
    def largest(self) -> int:
        return int(self._delays[-1])

    def delay(self) -> int:
        return int(self._rng.choice(self._delays, p=self._weights))


@dataclass
class TraceClock:
    """The turns of a recorded run, in order."""

    trace: Trace


Clock = TimedClock | DelayClock | TraceClock


def parse(spec: str, workers: int, seed: int, factors: Mapping[int, float]) -> Clock:
    """The clock that `spec` describes. UsageError if it describes none."""
    name, _, rest = spec.partition(":")
    if name == "trace":
        return TraceClock(trace.read(Path(rest), workers))
    if name not in TIMED_CLOCKS:
        if factors:
            raise UsageError(
                f"--straggler slows workers down, but --clock {quoted(spec)} draws delays: use gamma or round-robin"
            )
        return DelayClock(parse_delays(spec), seed)
    options = _options(spec, rest, ("burst",) if name == "round-robin" else ("cv", "het", "burst"))
    if name == "random":
        options["cv"] = 1.0
    elif name == "gamma":
        options.setdefault("cv", 0.1)
    return TimedClock(workers, seed, factors=factors, **options)


def _options(spec: str, text: str, known: tuple[str, ...]) -> dict[str, float]:
    """{"cv": 0.1, "het": 0.6} of "cv=0.1,het=0.6"; burst=PxF gives the probability and the factor of a burst."""
    values: dict[str, float] = {}
    for part in filter(None, text.split(",")):
        key, _, value = part.partition("=")
        try:
            if key not in known:
                raise ValueError
            if key == "burst":
                probability, _, factor = value.partition("x")
                values["burst"], values["burst_factor"] = float(probability), float(factor)
            else:
                values[key] = float(value)
        except ValueError:
            example = {"cv": "cv=0.1", "het": "het=0.6", "burst": "burst=0.01x10"}
            raise UsageError(
                f"--clock {quoted(spec)}: {quoted(part)} is not understood; "
                f"known: {', '.join(example[key] for key in known)}"
            ) from None
    smallest, largest = VARIATION
    for name in ("cv", "het"):
        if not (values.get(name, 0) == 0 or smallest <= values[name] <= largest):
            raise UsageError(f"--clock {quoted(spec)}: {name} is 0, or from {smallest:g} to {largest:g}")
    if not 0 <= values.get("burst", 0) <= 1 or not 0 <= values.get("burst_factor", 0) <= FACTOR_LIMIT:
        raise UsageError(f"--clock {quoted(spec)}: a burst's probability is 0 to 1, its factor to {FACTOR_LIMIT:,.0f}")
    return values
