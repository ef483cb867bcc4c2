"""The momentum stages of a push. Each states here, once, its buffers, its constants and its requirements; the kernels'
checks, the native rule, the drivers, the NumPy reference and the tests derive the rest. The arithmetic is in
csrc/stages/momentum.h and, for tests, in hogwild/reference/momentum.py.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import ClassVar


@dataclass(frozen=True)
class Momentum:
    """The properties of a momentum stage, with their defaults.

    Its fields are its constants; their names are those of csrc/lists.h.
    """

    kind: ClassVar[str]  # its name in csrc/stages/momenta.h
    buffers: ClassVar[tuple[str, ...]] = ("v",)  # besides x and the snapshot
    needs_snapshot: ClassVar[bool] = False  # it looks ahead, or uses the delay
    flushes: ClassVar[bool] = False  # updates all elements every N pushes
    stands_alone: ClassVar[bool] = False  # goes with no Gap or Compensation
    is_one_kernel: ClassVar[bool] = True  # every push is the same kernel, so that a CUDA graph can contain it
    takes_center: ClassVar[bool] = False  # can be combined with an elastic exchange
    scales_step: ClassVar[bool] = False  # a factor of the gradient has no effect: penalties act on the step
    counts: ClassVar[tuple[str, ...]] = ()  # buffers whose number of pushes it needs
    pulls_by_push: ClassVar[bool] = False  # its look-ahead is no weighted sum: a push without gradients makes it

    def constants(self) -> dict[str, object]:
        """Its constants by their names in csrc/lists.h."""
        return {"momentum_kind": self.kind} | {field.name: getattr(self, field.name) for field in fields(self)}

    def check(self) -> None:
        """Raises: ValueError for constants out of range."""

    def look_ahead(self, *, lr: float, pushes: int) -> dict[str, float]:  # noqa: ARG002
        """The weights of the buffers in the look-ahead: a worker that reads x after `pushes` pushes subtracts their
        weighted sum.
        """
        return {}


@dataclass(frozen=True)
class HeavyBall(Momentum):
    """v <- m v + (1 - dampening) d;  x <- x - lr v.

    With a SHARED v this is heavy-ball momentum; with a WORKER v it is shifted momentum (Giladi et al. 2020).
    `torch_first_step`: the first update of a buffer is v <- d, undampened, as torch.optim.SGD does.
    """

    kind: ClassVar[str] = "heavy_ball"
    takes_center: ClassVar[bool] = True

    momentum: float
    dampening: float = 0.0
    torch_first_step: bool = True


@dataclass(frozen=True)
class Nesterov(Momentum):
    """v <- m v + (1 - dampening) d;  x <- x - lr (d + m v), the form of torch.optim.SGD(nesterov=True).

    `lead`: v' = m v + d;  x <- x - lr (d + m v' + lead (v' - v)), which is v' + (m + lead) (v' - v): the look-ahead has
    the factor m + lead in place of m.
    """

    kind: ClassVar[str] = "nesterov"
    takes_center: ClassVar[bool] = True

    momentum: float
    dampening: float = 0.0
    torch_first_step: bool = True
    lead: float = 0.0


@dataclass(frozen=True)
class Dana(Momentum):
    """DANA-Zero (Hakimi et al. 2019, arXiv:1907.11612), in its O(1) form. Buffers v (WORKER) and v_sum (SHARED).

        v' = m v + d;   x <- x - lr v';   v_sum <- v_sum + (v' - v);   v <- v'
        snapshot <- x - lr m v_sum                                        the predicted x after one step of each worker

    v_sum accumulates differences: under RACING a lost update makes it differ permanently from the sum of the workers'
    v; under ATOMIC, STRIPED and LOCKED no update is lost.
    """

    kind: ClassVar[str] = "dana"
    buffers: ClassVar[tuple[str, ...]] = ("v", "v_sum")
    needs_snapshot: ClassVar[bool] = True

    momentum: float

    def look_ahead(self, *, lr: float, pushes: int) -> dict[str, float]:  # noqa: ARG002
        return {"v_sum": lr * self.momentum}


@dataclass(frozen=True)
class Table(Momentum):
    """A table of the workers' latest gradients. Buffers v (WORKER), the worker's row, and v_sum (SHARED), their sum.

        v' = m v + (1 - m) d;   v_sum <- v_sum + (v' - v);   v <- v';   x <- x - lr (v_sum / rows + wd x)

    `rows`: the number of rows that count. `momentum` 0 replaces the row, 1 - 1/b makes it a mean of b gradients. Weight
    decay is in the step, not in the rows. v_sum accumulates differences, with the consequences that Dana names.
    """

    kind: ClassVar[str] = "table"
    buffers: ClassVar[tuple[str, ...]] = ("v", "v_sum")
    stands_alone: ClassVar[bool] = True

    rows: int
    momentum: float = 0.0

    def constants(self) -> dict[str, object]:
        return {"momentum_kind": self.kind, "momentum": self.momentum, "workers": self.rows}

    def check(self) -> None:
        _check_workers(self, self.rows)


@dataclass(frozen=True)
class PrimalAverage(Momentum):
    """Primal averaging: x is a running average of z, the point that gradients move. Buffer v (SHARED) holds x - z.

    y = b x + (1 - b) z;   z <- z - lr d(y);   x <- m x + (1 - m) z           m `momentum`, b `interpolation`
    as:   x <- x - (1 - m) (v + lr d);   v <- m (v + lr d);   snapshot <- x - (1 - b) v
    """

    kind: ClassVar[str] = "primal"
    needs_snapshot: ClassVar[bool] = True
    stands_alone: ClassVar[bool] = True

    momentum: float
    interpolation: float = 0.0

    def constants(self) -> dict[str, object]:
        return {"momentum_kind": self.kind, "momentum": self.momentum, "beta1": self.interpolation}

    def look_ahead(self, *, lr: float, pushes: int) -> dict[str, float]:  # noqa: ARG002
        return {"v": 1 - self.interpolation}


@dataclass(frozen=True)
class Smega2(Momentum):
    """SMEGA2 (Cohen, Hakimi, Schuster 2022): one momentum v and one sum of gradients b for all workers, both SHARED.

        b <- b + d;   x <- x - lr (d + m v);   every `workers` pushes:  v <- m v + b / N,  b <- 0
        snapshot <- x - lr m ((N + c (m - 1)) v + (c / N) b)    advanced;  c pushes since the last of these
        snapshot <- x - lr m N v                                naive

    A missing or refused gradient counts as zero. The number of the push decides when v is updated: concurrent pushes
    must have different numbers, else an update may be missed or made twice.
    """

    kind: ClassVar[str] = "smega2"
    buffers: ClassVar[tuple[str, ...]] = ("v", "b")
    needs_snapshot: ClassVar[bool] = True
    flushes: ClassVar[bool] = True
    stands_alone: ClassVar[bool] = True
    is_one_kernel: ClassVar[bool] = False

    momentum: float
    workers: int
    advanced: bool = True

    def constants(self) -> dict[str, object]:
        return {"momentum_kind": self.kind, "momentum": self.momentum, "workers": self.workers}

    def check(self) -> None:
        _check_workers(self, self.workers)

    def look_ahead(self, *, lr: float, pushes: int) -> dict[str, float]:
        m, workers, c = self.momentum, self.workers, pushes % self.workers
        if not self.advanced:
            return {"v": lr * m * workers}
        return {"v": lr * m * (workers + c * (m - 1)), "b": lr * m * c / workers}


@dataclass(frozen=True)
class OrMo(Momentum):
    """Ordered momentum (Shi et al. 2024, arXiv:2407.19234). Buffer v (SHARED) holds u, with the learning rate inside.

        bucket(k) = floor(k / N);   l = bucket(pushes) - bucket(pushes - delay)
        when the bucket increases:  x <- x - m u,  u <- m u
        u <- u + m^l lr d;   x <- x - (1 - m^(l+1)) / (1 - m) lr d

    Once all gradients of the begun buckets have arrived this is synchronous momentum SGD with steps of sum lr d, bucket
    by bucket. A missing or refused gradient counts as zero; concurrent pushes must have different numbers.
    Deviates: the formula was written from memory and checked against synchronous momentum, not against the paper's
              text.
    """

    kind: ClassVar[str] = "ormo"
    needs_snapshot: ClassVar[bool] = True
    flushes: ClassVar[bool] = True
    stands_alone: ClassVar[bool] = True

    momentum: float
    workers: int

    def check(self) -> None:
        _check_workers(self, self.workers)
        if not 0 <= self.momentum < 1:
            raise ValueError(f"OrMo has momentum {self.momentum}: 0 <= momentum < 1 is needed")


def look_ahead(momentum: Momentum | None, *, lr: float, pushes: int) -> dict[str, float]:
    """The weights of the look-ahead of a worker that reads x after `pushes` pushes: snapshot <- x - sum_k weight_k
    buffer_k.

    Empty for rules that do not look ahead.
    """
    return {} if momentum is None else momentum.look_ahead(lr=lr, pushes=pushes)


def _check_workers(stage: Momentum, workers: int) -> None:
    if workers < 1:
        what = "rows" if isinstance(stage, Table) else "workers"
        raise ValueError(f"{type(stage).__name__} has {workers} {what}: at least 1 is needed")
