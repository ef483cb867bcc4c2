"""What fills the slots of a push: small frozen descriptions, chosen by an algorithm, carried out by the push kernel.

The kernel's slots are decay -> compensation -> penalty -> momentum -> apply -> observe -> look-ahead (csrc/push.h). A
rule says which stage sits in a slot and with which constants; who owns the stage's buffer (SHARED, or WORKER) is the
algorithm's own statement.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Access(str, Enum):
    """How concurrent pushes meet in memory (docs/memory-model.md)."""

    RACING = "racing"
    ATOMIC = "atomic"
    STRIPED = "striped"
    LOCKED = "locked"


class Guard(str, Enum):
    """What a non-finite gradient element costs: PUSH refuses the whole push, ELEMENT leaves only that element out."""

    PUSH = "push"
    ELEMENT = "element"


@dataclass(frozen=True)
class HeavyBall:
    """v <- m v + (1 - dampening) d;  x <- x - lr v.

    With a SHARED v this is heavy-ball momentum; with a WORKER v it is shifted momentum (Giladi et al. 2020).
    `torch_first_step`: the first update of a buffer is v <- d, undampened, as torch.optim.SGD does.
    """

    momentum: float
    dampening: float = 0.0
    torch_first_step: bool = True


@dataclass(frozen=True)
class Nesterov:
    """v <- m v + (1 - dampening) d;  x <- x - lr (d + m v), the form of torch.optim.SGD(nesterov=True)."""

    momentum: float
    dampening: float = 0.0
    torch_first_step: bool = True


@dataclass(frozen=True)
class Dana:
    """DANA-Zero (Hakimi et al. 2019, arXiv:1907.11612), in its O(1) form. Buffers v (WORKER) and v_sum (SHARED).

        v' = m v + d;   x <- x - lr v';   v_sum <- v_sum + (v' - v);   v <- v'
        snapshot <- x - lr m v_sum                                        where the model will be when all have moved

    v_sum is an accumulator of differences: under RACING a lost update makes it differ from the sum of the workers' v
    for ever, under ATOMIC, STRIPED and LOCKED none is lost.
    """

    momentum: float


@dataclass(frozen=True)
class Smega2:
    """SMEGA2 (Cohen, Hakimi, Schuster 2022): one momentum v and one sum of gradients b for all; both SHARED.

        b <- b + d;   x <- x - lr (d + m v);   every `workers` pushes:  v <- m v + b / N,  b <- 0
        snapshot <- x - lr m ((N + c (m - 1)) v + (c / N) b)    advanced;  c pushes since the last of these
        snapshot <- x - lr m N v                                naive

    A missing or held-back gradient counts as zero. The number of pushes decides when v is updated: concurrent pushes
    must each have a number of their own, or an update may be missed or made twice.
    """

    momentum: float
    workers: int
    advanced: bool = True


@dataclass(frozen=True)
class OrMo:
    """Ordered momentum (Shi et al. 2024, arXiv:2407.19234). Buffer v (SHARED) holds u, with the learning rate inside.

        bucket(k) = floor(k / N);   l = bucket(pushes) - bucket(pushes - delay)
        when the bucket increases:  x <- x - m u,  u <- m u
        u <- u + m^l lr d;   x <- x - (1 - m^(l+1)) / (1 - m) lr d

    Once all gradients of the begun buckets have arrived this is synchronous momentum SGD with steps of sum lr d, bucket
    by bucket. A missing or held-back gradient counts as zero; concurrent pushes must each have a number of their own.
    Deviates: as recalled and checked against synchronous momentum, not read in the paper's text.
    """

    momentum: float
    workers: int


Momentum = HeavyBall | Nesterov | Dana | Smega2 | OrMo


@dataclass(frozen=True)
class Gap:
    """The gap penalty (Barkai et al. 2020, arXiv:1909.10802): d = g / G,  G = 1 + |x - snapshot| / C.

    unit:       what C is a running size of: "v" the momentum before this gradient (g where there is none),
                C = r (sqrt(s / (1 - Gamma^t)) + eps); "g" the gradient, likewise; "step" the steps lr direction made by
                earlier pushes, C = sqrt(s / (1 - Gamma^(t-1))) + eps.
    reference:  r, for the units v and g: "lr_max", the largest learning rate so far, or "lr", the current one.
    level:      "element": one G and one s an element (buffer s, SHARED). "layer", "global": one G a segment, or one
                for all, G = 1 + ||x - snapshot|| / C, C = r sqrt(mean ||u||^2 / (1 - Gamma^t)), from a first pass over
                x and snapshot; no s, but the buffer gap_state [segments, 3], float64.
    size:       the level of C; None: that of G. "layer", "global" under level "element", ours and not the paper's: one
                C a segment, or one for all, C = r (sqrt(mean ||u||^2 / n / (1 - Gamma^t)) + eps) with n the elements
                that u is of; no s, but gap_state, and no first pass.
    lagged:     layer and global, ours and not the paper's: no first pass, G is made of the gap that the previous push
                saw. With a gap_state of its own (WORKER) that is this worker's previous push.
    """

    decay: float = 0.999
    eps: float = 1e-8
    penalize_weight_decay: bool = True
    unit: str = "v"
    reference: str = "lr_max"
    level: str = "element"
    size: str | None = None
    lagged: bool = False

    @property
    def rows(self) -> str | None:
        """What a row of gap_state is of, "layer" or "global"; None: G and C are element-wise, from s."""
        level = self.size or self.level
        return None if level == "element" else level


@dataclass(frozen=True)
class Compensation:
    """Delay compensation (DC-ASGD; Zheng et al. 2017, arXiv:1609.08326): g <- g + lam g^2 (x - snapshot).

    power:     2, or 1 for lam |g| in place of lam g^2, as a public version of the authors' code has it.
    adaptive:  ms <- decay ms + (1 - decay) g^2, and lam / sqrt(ms + eps) in place of lam; buffer ms (WORKER).
    """

    lam: float = 2.0
    power: int = 2
    adaptive: bool = False
    decay: float = 0.95
    eps: float = 1e-7


@dataclass(frozen=True)
class Topology:
    """Who averages with whom (hogwild.topology.mixing): a graph by name or file, and how its edges are weighted.

    active_side: for pair averages only; the graph is bipartite, and only the workers of one side begin them.
    """

    name: str = "ring"
    weights: str = "uniform"
    self_weight: float | None = None
    active_side: bool = False


def look_ahead(momentum: Momentum | None, *, lr: float, pushes: int) -> dict[str, float]:
    """What a worker subtracts from x when it reads it after `pushes` pushes: snapshot <- x - sum_k weight_k buffer_k.

    Empty for rules that do not look ahead.
    """
    if isinstance(momentum, Dana):
        return {"v_sum": lr * momentum.momentum}
    if isinstance(momentum, Smega2):
        m, workers, c = momentum.momentum, momentum.workers, pushes % momentum.workers
        if not momentum.advanced:
            return {"v": lr * m * workers}
        return {"v": lr * m * (workers + c * (m - 1)), "b": lr * m * c / workers}
    return {}
