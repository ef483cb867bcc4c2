"""ASGD: asynchronous SGD, lock-free on a shared master (Hogwild!), with its cures for delay chosen one by one.

    worker:   snapshot <- x;   g = grad F(snapshot);   tau = versions since the snapshot
              g <- g / max(1, tau)                        penalty staleness
              g <- g min(1, c / ||g||)                    clip c, an option of the run
              g <- g + lam g g (x - snapshot)             compensation dc; dc-adaptive: lam / sqrt(mean of g g)
              d = g + wd x;   d <- d / G                  penalty gap: G = 1 + |x - snapshot| / C
              v <- m v + (1 - dampening) d                momentum_kind: one v or one a worker, and its use
              x <- x - lr v                               penalty staleness-lr: lr / max(1, tau)

Every named algorithm with one update per gradient and these parts is a composition: gap-aware is penalty gap with
momentum 0.9, shifted is momentum_kind shifted, dana-ga is gap with dana (and penalize_wd = false), and so on.

Weight decay is neither clipped, nor divided by the delay (penalty staleness), nor compensated; the delay divides the
whole step under penalty staleness-lr, and so does the gap unless penalize_wd is false.

Source: Recht et al. 2011 (NIPS), Hogwild!, for the lock-free update of a shared x; with heavy-ball momentum v is shared
by all workers, as a parameter server keeps it. The parts: the files of the named algorithms.
Deviates: the update is dense. Recht et al. prove convergence for sparse updates and a bounded lag. The compositions
without a name are ours. What makes no sense together is refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields
from typing import ClassVar, NamedTuple

from hogwild.algorithms.base import (
    SHARED,
    SNAPSHOT,
    WORKER,
    Algorithm,
    Buffer,
    Gradient,
    Steps,
    View,
    dampening_option,
    first_step_option,
    momentum_option,
    option,
)
from hogwild.algorithms.stale.corrections import CompensationOptions, GapOptions
from hogwild.rules import Dana, HeavyBall, Momentum, Nesterov, OrMo, Smega2


class Kind(NamedTuple):
    """A kind of momentum: its rule, its buffers, its linear stability theory, and what it demands."""

    rule: type[HeavyBall | Nesterov | Dana | Smega2 | OrMo]
    buffers: Mapping[str, Buffer]
    stability_rule: str | None
    looks_ahead: bool = False
    numbers_pushes: bool = False


KINDS = {
    "heavy-ball": Kind(HeavyBall, {"v": SHARED}, "standard"),
    "nesterov": Kind(Nesterov, {"v": SHARED}, "nesterov"),
    "shifted": Kind(HeavyBall, {"v": WORKER}, "shifted"),
    "dana": Kind(Dana, {"v": WORKER, "v_sum": SHARED}, "dana", looks_ahead=True),
    "dana-slim": Kind(Nesterov, {"v": WORKER}, "dana"),
    "smega2": Kind(Smega2, {"v": SHARED, "b": SHARED}, None, looks_ahead=True, numbers_pushes=True),
    "ormo": Kind(OrMo, {"v": SHARED}, None, numbers_pushes=True),
}
DAMPED = ("heavy-ball", "shifted")
PENALTIES = ("none", "gap", "staleness", "staleness-lr")
COMPENSATIONS = ("none", "dc", "dc-adaptive")


@dataclass(frozen=True)
class ASGD(GapOptions, CompensationOptions, Algorithm):
    """Asynchronous SGD; penalty, compensation and kind of momentum compose freely."""

    name: ClassVar[str] = "asgd"
    summary: ClassVar[str] = "asynchronous SGD on the shared master (Hogwild!); its parts compose freely"
    buffers: ClassVar[Mapping[str, Buffer]] = {"x": SHARED, "v": SHARED, "snapshot": SNAPSHOT}

    momentum: float = momentum_option(0.0, "momentum factor m")
    momentum_kind: str = option("heavy-ball", "what momentum does, and whether workers share it", choices=tuple(KINDS))
    dampening: float = dampening_option()
    first_step: str = first_step_option()
    penalty: str = option("none", "what a stale gradient is divided by: its gap, its delay", choices=PENALTIES)
    compensation: str = option("none", "first-order correction of a stale gradient", choices=COMPENSATIONS)

    def __post_init__(self) -> None:
        super().__post_init__()
        for refusal in self._refusals():
            raise ValueError(refusal)

    def keeps(self) -> Mapping[str, Buffer]:
        return {
            "x": SHARED,
            **(self._kind.buffers if self.momentum else {}),
            **(self.gap_buffers() if self.penalty == "gap" else {}),
            **({"ms": WORKER} if self.compensation == "dc-adaptive" else {}),
            "snapshot": SNAPSHOT,
        }

    @property
    def stability_rule(self) -> str | None:
        """The momentum's. A gap and a limit to the norm only shorten steps; a compensation is of second order."""
        return None if self.penalty.startswith("staleness") else self._kind.stability_rule

    @property
    def needs_snapshot(self) -> bool:
        return self.penalty == "gap" or self.compensation != "none" or self._kind.looks_ahead

    @property
    def numbers_pushes(self) -> bool:
        return self._kind.numbers_pushes

    def worker(self, w: View) -> Steps:
        momentum = self._momentum(w.workers) if self.momentum else None
        penalty = self.gap() if self.penalty == "gap" else None
        compensation = None
        if self.compensation != "none":
            compensation = self.compensated(adaptive=self.compensation == "dc-adaptive")

        def slower(delay: int) -> float:
            return w.lr / max(1, delay)

        def smaller(delay: int) -> float:
            return 1 / max(1, delay)

        lr = slower if self.penalty == "staleness-lr" else None
        scale = smaller if self.penalty == "staleness" else None
        w.pull(momentum)
        while True:
            g = yield Gradient(at=w.snapshot)
            w.push(g, lr=lr, scale=scale, momentum=momentum, penalty=penalty, compensation=compensation)

    @property
    def _kind(self) -> Kind:
        return KINDS[self.momentum_kind]

    def _momentum(self, workers: int) -> Momentum:
        rule = self._kind.rule
        if issubclass(rule, HeavyBall):
            return HeavyBall(self.momentum, self.dampening, torch_first_step=self.first_step == "torch")
        if issubclass(rule, Smega2 | OrMo):
            return rule(self.momentum, workers)
        return rule(self.momentum)

    def _refusals(self) -> Iterator[str]:
        """What makes no sense, one line each: parts that exclude each other, and options of a part that is off."""
        kind, penalty, compensation = self.momentum_kind, self.penalty, self.compensation
        if not self.momentum:
            for name in self._given("momentum_kind", "dampening", "first_step"):
                yield f"{name} is {getattr(self, name)} but there is no momentum: give one, such as momentum 0.9"
        if kind not in DAMPED:
            for name in self._given("dampening", "first_step"):
                yield f"{name} is for momentum_kind {' or '.join(DAMPED)}, this one is {kind}: leave it out"
        if self.first_step == "damped" and not self.dampening:
            yield "first_step is damped but there is no dampening: give one, such as the momentum's value"
        if penalty != "gap":
            for name in self._given(*(field.name for field in fields(GapOptions))):
                yield f"{name} is an option of penalty gap, this one is {penalty}: add penalty gap or leave it out"
        if compensation == "none":
            for name in self._given(*(field.name for field in fields(CompensationOptions))):
                yield f"{name} is an option of compensation dc: add it or leave {name} out"
        if self._given("dc_decay") and compensation == "dc":
            yield "dc_decay is an option of compensation dc-adaptive, this one is dc: leave it out"
        if penalty == "gap" and compensation != "none":
            yield f"penalty gap shrinks the error that compensation {compensation} corrects: choose one of the two"
        if penalty == "staleness" and compensation != "none":
            yield f"compensation {compensation} takes whole gradients: use penalty staleness-lr, it divides the step"
        if penalty == "staleness-lr" and self._kind.looks_ahead:
            yield f"momentum_kind {kind} looks ahead by lr, which staleness-lr changes: use penalty staleness"
        if self._kind.numbers_pushes and (penalty == "gap" or compensation != "none"):
            part = "penalty gap" if penalty == "gap" else f"compensation {compensation}"
            yield f"momentum_kind {kind} orders all gradients and takes no {part}: leave it out, or choose another kind"

    def _given(self, *names: str) -> list[str]:
        """Those of the options that are not what they are by default."""
        defaults = {field.name: field.default for field in fields(self)}
        return [name for name in names if getattr(self, name) != defaults[name]]
