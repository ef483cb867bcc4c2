"""Exchanges between one worker's buffers and one shared buffer, in one pass over memory (csrc/mix.h)."""

from __future__ import annotations

import math
from dataclasses import dataclass

from torch import Tensor

from hogwild import _C
from hogwild.kernels import tensors
from hogwild.rules import Access

# The caller's names of buffers, and those of csrc/mix.h.
_ROLES = {"average": "center", "box": "center", "base": "memory", "multiplier": "memory"}


@dataclass(frozen=True)
class Exchange:
    """The exchanges of one worker with a center, an average or a mailbox, under one access policy.

    Every method takes flat buffers [n], float32 or float64, all of one dtype, on one device and without overlap. It
    changes the elements [start, stop) and returns the number of stripe locks with a dead holder (0 unless striped).

    Args:   stripes, n_stripes: address and number of the control block's mutexes, for Access.STRIPED.
    Races:  x, base and multiplier are the caller's own; concurrent readers see whole elements. The shared buffer
            (center, average, box) is accessed according to `access`. RACING: when two workers add to an element at the
            same time, one of the additions may be lost. ATOMIC: no addition is lost, and one side receives exactly the
            value that the other side gives; a difference is computed with the one value of the center that was read.
            (CUDA: added in hardware, which flushes denormals; the worker's copy of the center is then the value read
            plus its own addition.) STRIPED: as RACING under one lock per 16384 elements. LOCKED: runs as RACING, the
            caller holds the lock.
    Raises: ValueError for buffers that differ or overlap, rates out of range, or locks that are missing.
    """

    access: Access = Access.RACING
    stripes: int = 0
    n_stripes: int = 0

    def __post_init__(self) -> None:
        if self.access is Access.STRIPED and (not self.stripes or self.n_stripes < 1):
            raise ValueError("Access.STRIPED needs the address of n_stripes >= 1 locks")

    def elastic(
        self, x: Tensor, center: Tensor, alpha: float, *, start: int | None = None, stop: int | None = None
    ) -> int:
        """d = alpha (x - c);  x <- x - d;  c <- c + d

        EASGD's elastic force (Zhang, Choromanska, LeCun 2015, arXiv:1412.6651, Algorithm 1). Conserves x + c up to
        rounding, and the sum of all workers' x and c over any set of exchanges that loses no addition.

        Mutates: x, center.   Bytes: 16 a float32 parameter.
        """
        return self._run("elastic", {"x": x, "center": center}, start, stop, share=_finite("alpha", alpha))

    def deliver(
        self, x: Tensor, base: Tensor, center: Tensor, *, start: int | None = None, stop: int | None = None
    ) -> int:
        """c <- c + (x - base);  x <- base <- c

        DOWNPOUR's push and pull in one (Dean et al. 2012). `base` is x as it was after the last delivery, so x - base
        is the accumulator of the paper, v. Conserves c + sum over workers of (x - base) up to rounding.

        Mutates: x, base, center.   Bytes: 24.
        Deviates: the steps since the last delivery are recovered as x - base, rounded to the precision of x.
        """
        return self._run("deliver", {"x": x, "center": center, "base": base}, start, stop)

    def admm(
        self,
        x: Tensor,
        multiplier: Tensor,
        center: Tensor,
        g: Tensor,
        *,
        lr: float,
        rho: float,
        workers: int,
        start: int | None = None,
        stop: int | None = None,
    ) -> int:
        """lambda' = lambda - (x - c);  x' = (x - lr g + lr rho (lambda' + c)) / (1 + lr rho);  c <- c + (x' - c) / p

        One worker's turn of linearised ADMM, lambda in units of rho (Zhang, Choromanska, LeCun 2015, eqs. 8-11). The
        paper sets c = mean_j (x_j - lambda_j). If only this worker changes its x and lambda, p times that mean changes
        by (x' - lambda') - (x - lambda) = (x' - x) - (lambda' - lambda) = (x' - x) + (x - c) = x' - c, which is p times
        the increment of c. So c stays equal to the mean if it is so at the start (lambda = 0 and c the mean of all x).
        As lambda' and the increment use the same c, this also holds for overlapping turns, as long as no addition is
        lost.

        Args:    g: gradient at x, [n] as the others.  workers: p.
        Mutates: x, multiplier, center.   Bytes: 28.
        """
        if not (math.isfinite(lr) and lr >= 0 and math.isfinite(rho) and rho >= 0 and workers >= 1):
            raise ValueError(f"lr {lr}, rho {rho}, workers {workers}: expected lr >= 0, rho >= 0, workers >= 1")
        buffers = {"x": x, "center": center, "multiplier": multiplier, "g": g}
        return self._run("admm", buffers, start, stop, share=1 / workers, lr=lr, rho=rho)

    def send(self, box: Tensor, x: Tensor, share: float, *, start: int | None = None, stop: int | None = None) -> int:
        """box <- box + share x;  x <- x - share x

        The sending half of a push-sum edge: a share of x moves to another worker's mailbox. Conserves x + box up to
        rounding.

        Mutates: box, x.   Bytes: 16.
        """
        return self._run("send", {"x": x, "box": box}, start, stop, share=_fraction("share", share))

    def drain(self, x: Tensor, box: Tensor, *, start: int | None = None, stop: int | None = None) -> int:
        """x <- x + box;  box <- 0

        The receiving half: this worker empties its mailbox. Under ATOMIC each element is exchanged for 0, so a
        concurrent addition is either in this x or still in the box.

        Mutates: x, box.   Bytes: 16.
        """
        return self._run("drain", {"x": x, "box": box}, start, stop)

    def blend(self, average: Tensor, x: Tensor, a: float, *, start: int | None = None, stop: int | None = None) -> int:
        """z <- z + a (x - z)

        The moving average z of a center x: ADOWNPOUR with a = 1 / (t + 1), MVADOWNPOUR with a constant a. `x` may be
        written by others meanwhile.

        Mutates: average.   Bytes: 12.
        """
        return self._run("blend", {"x": x, "average": average}, start, stop, share=_fraction("a", a))

    def _run(
        self,
        kind: str,
        buffers: dict[str, Tensor],
        start: int | None,
        stop: int | None,
        *,
        share: float = 0.0,
        lr: float = 0.0,
        rho: float = 0.0,
    ) -> int:
        """Checks `buffers` under the caller's names for them, and runs the kernel."""
        x = buffers["x"]
        tensors.check_alike(buffers)
        tensors.check_disjoint(buffers)
        if self.access is Access.STRIPED and x.is_cuda:
            raise ValueError("x is on CUDA: Access.STRIPED is for buffers on the CPU")
        begin, end = tensors.check_range(start, stop, x.numel())
        device = tensors.device_index(x)
        addresses = {_ROLES.get(name, name): tensor.data_ptr() for name, tensor in buffers.items()}
        is_striped = self.access is Access.STRIPED
        return _C.exchange(
            {
                "kind": kind,
                "dtype": tensors.MASTER_DTYPES[x.dtype],
                "access": self.access.value,
                "share": share,
                "lr": lr,
                "rho": rho,
                "stripes": self.stripes if is_striped else 0,
                "n_stripes": self.n_stripes if is_striped else 0,
                "start": begin,
                "stop": end,
                "device": device,
                "stream": tensors.current_stream(device),
                "x": addresses["x"],
                "center": addresses["center"],
                "memory": addresses.get("memory", 0),
                "g": addresses.get("g", 0),
            }
        )


def _finite(name: str, value: float) -> float:
    if not math.isfinite(value):
        raise ValueError(f"{name} is {value}: expected a finite number")
    return value


def _fraction(name: str, value: float) -> float:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is {value}: expected a number from 0 to 1")
    return value
