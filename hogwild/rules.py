"""What fills the slots of a push: small frozen descriptions, chosen by an algorithm, carried out by the push kernel.

The kernel's slots are decay -> penalty -> momentum -> apply -> observe -> look-ahead (csrc/push.h). A rule says which
stage sits in a slot and with which constants; who owns the stage's buffer (SHARED, or WORKER) is the algorithm's own
statement.
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
class Gap:
    """Element-wise gap penalty (Barkai et al. 2020): d = g / G,  G = 1 + |x - snapshot| / C,  C from the running step
    size s.
    """

    decay: float = 0.999
    eps: float = 1e-8
    penalize_weight_decay: bool = True


Momentum = HeavyBall | Nesterov
