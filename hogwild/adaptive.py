"""Adaptive momentum stages: they divide a gradient by the root of its running square, buffer q.

A constant factor of the gradient has no effect on them. A penalty for staleness therefore acts on their step, and those
in other units (rules.Gap.unit v, g; rules.Compensation) are refused. docs/adaptive.md has the equations, which count
corrects which buffer, and what races cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar

from hogwild.momenta import Momentum


@dataclass(frozen=True, kw_only=True)
class AdaptiveStage(Momentum):
    """The properties that adaptive stages share.

    `decoupled`: weight decay is a part lr wd x of the step, next to the scaled direction; False: it is added to the
    gradient, d = g + wd x, and then scaled with it (L2).
    """

    scales_step: ClassVar[bool] = True

    decoupled: bool

    def divisor(self, q: Any, *, pushes: int) -> Any:  # noqa: ARG002
        """The elements by which a step along v divides lr, once q has absorbed `pushes` pushes: an array or a tensor
        like q [n], of squared gradients. It is not changed. None for a rule without q.
        """
        return None

    def check(self) -> None:
        betas = {name: getattr(self, name) for name in ("beta1", "beta2") if hasattr(self, name)}
        for name, beta in betas.items():
            if not 0 <= beta < 1:
                raise ValueError(f"{type(self).__name__} has {name} {beta}: 0 <= {name} < 1 is needed")
        if not (eps := getattr(self, "eps", 1.0)) > 0:
            raise ValueError(f"{type(self).__name__} has eps {eps}: eps > 0 is needed, an element may have no gradient")


@dataclass(frozen=True, kw_only=True)
class AdamW(AdaptiveStage):
    """AdamW (Loshchilov and Hutter 2019, arXiv:1711.05101); Adam (Kingma and Ba 2015) without decoupled decay.

        v <- b1 v + (1 - b1) d;   q <- b2 q + (1 - b2) d^2
        x <- x - lr (v / bc1) / (sqrt(q / bc2) + eps)
        bc1 = 1 - b1^(pushes into v),   bc2 = 1 - b2^(pushes into q), this one included

    With a SHARED v this is what a common optimizer would do; with a WORKER v momentum is as old as the gradient
    (shifted momentum). The step takes the q that this push wrote, which contains its own d^2.
    """

    kind: ClassVar[str] = "adam"
    buffers: ClassVar[tuple[str, ...]] = ("v", "q")
    counts: ClassVar[tuple[str, ...]] = ("v", "q")
    takes_center: ClassVar[bool] = True

    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    decoupled: bool = True

    def divisor(self, q: Any, *, pushes: int) -> Any:
        return (q / (1 - self.beta2**pushes)) ** 0.5 + self.eps


@dataclass(frozen=True, kw_only=True)
class AdamWSlim(AdamW):
    """AdamW with the look-ahead of DANA-Slim: along b1 v + (1 - b1) d in place of v, for a WORKER v.

    bc1 is the sum of the weights in that direction, 1 - b1^(pushes into v + 1).
    """

    kind: ClassVar[str] = "adam_slim"
    takes_center: ClassVar[bool] = False


@dataclass(frozen=True, kw_only=True)
class AdamWDana(AdamW):
    """AdamW with the look-ahead of DANA-Zero. Buffers v (WORKER), v_sum and q (SHARED).

        v, q, x as AdamW;   v_sum <- v_sum + (v' - v)
        snapshot <- x - lr b1 (v_sum / bc1) / (sqrt(q / bc2) + eps)

    v_sum accumulates differences: under RACING a lost update is never made up for, as in Dana.
    """

    kind: ClassVar[str] = "adam_dana"
    buffers: ClassVar[tuple[str, ...]] = ("v", "v_sum", "q")
    needs_snapshot: ClassVar[bool] = True
    takes_center: ClassVar[bool] = False
    pulls_by_push: ClassVar[bool] = True


@dataclass(frozen=True, kw_only=True)
class RMSprop(AdaptiveStage):
    """q <- a q + (1 - a) d^2;  x <- x - lr d / sqrt(q + eps)   (Tieleman and Hinton 2012; A3C, arXiv:1602.01783)

    `beta2`: a. `eps_inside` False: lr d / (sqrt(q) + eps), the form of torch.optim.RMSprop. No bias correction.
    """

    kind: ClassVar[str] = "scaled"
    buffers: ClassVar[tuple[str, ...]] = ("q",)
    takes_center: ClassVar[bool] = True

    beta2: float = 0.99
    eps: float = 0.1
    eps_inside: bool = True
    decoupled: bool = False

    def constants(self) -> dict[str, object]:
        return {**super().constants(), "q_rest": 1 - self.beta2}

    def divisor(self, q: Any, *, pushes: int) -> Any:  # noqa: ARG002
        return (q + self.eps) ** 0.5 if self.eps_inside else q**0.5 + self.eps


@dataclass(frozen=True, kw_only=True)
class Adagrad(AdaptiveStage):
    """q <- q + d^2;  x <- x - lr d / (sqrt(q) + eps)   (Duchi, Hazan and Singer 2011)

    q only grows: an update of it that races and is lost stays lost, and makes later steps longer by a little.
    """

    kind: ClassVar[str] = "scaled"
    buffers: ClassVar[tuple[str, ...]] = ("q",)
    takes_center: ClassVar[bool] = True

    eps: float = 1e-10
    decoupled: bool = False

    def constants(self) -> dict[str, object]:
        return {**super().constants(), "beta2": 1.0, "q_rest": 1.0}

    def divisor(self, q: Any, *, pushes: int) -> Any:  # noqa: ARG002
        return q**0.5 + self.eps


@dataclass(frozen=True, kw_only=True)
class Lion(AdaptiveStage):
    """c = b1 v + (1 - b1) d;  v <- b2 v + (1 - b2) d;  x <- x - lr sign(c)   (Chen et al. 2023, arXiv:2302.06675)

    c is made from the v before this push; sign(0) = 0.
    """

    kind: ClassVar[str] = "lion"
    takes_center: ClassVar[bool] = True

    beta1: float = 0.9
    beta2: float = 0.99
    decoupled: bool = True
