"""Averages two replicas while their owners continue to compute (csrc/pair.h)."""

from __future__ import annotations

from typing import NamedTuple

from torch import Tensor

from hogwild import _C
from hogwild.kernels import tensors

ORDERS = ("skip", "blocking")


class Lags(NamedTuple):
    """The lags w_a and w_b [n] of two replicas, and the constants of their pair average (csrc/pair.h).

    `rest_a`, `rest_b`: the part of a lag that is gone after the time since the last event of that end. `gain`: of the
    distance a - b that goes into the lags.
    """

    a: Tensor
    b: Tensor
    rest_a: float
    rest_b: float
    gain: float


class PairStats(NamedTuple):
    """The number of chunks averaged and skipped in a pair average; `recovered` counts locks with a dead holder."""

    averaged: int
    skipped: int
    recovered: int


def pair_average(
    a: Tensor,
    b: Tensor,
    *,
    locks_a: int = 0,
    locks_b: int = 0,
    n_locks: int = 0,
    weight: float = 0.5,
    lags: Lags | None = None,
    order: str = "skip",
    start: int | None = None,
    stop: int | None = None,
) -> PairStats:
    """d = weight (b - a);  a <- a + d;  b <- b - d, chunk by chunk of 4096 elements: 1/2 gives both their mean.

    The step of AD-PSGD (Lian et al. 2018, arXiv:1710.06952) and of elastic averaging on an edge. Both sides use the
    same d: a + b is conserved up to one rounding on each side, and exchanging a with b changes no bit of the result.

    With lags, each end first relaxes by its own time, and both become their mean:

        a <- a + rest_a w_a,  w_a <- w_a - rest_a w_a;   b, w_b likewise
        d = b - a;   a <- a + d / 2,  b <- b - d / 2;   w_a <- w_a + gain d,  w_b <- w_b - gain d

    which conserves a + b + w_a + w_b. The chunks of all four are averaged or skipped together.

    Args:    a, b: [n] float32 or float64, alike (float64 on the CPU only).  weight: 0 leaves both, 1 exchanges them.
             locks_a, locks_b: addresses of the replicas' n_locks locks, in one block of shared memory (World.locks);
             chunk k of a replica is guarded by its lock k modulo n_locks, as in a push under Access.STRIPED. None on
             CUDA.  order: the treatment of a chunk with a lock that is held. "skip": the chunk is left unchanged and
             counted; the call never waits. "blocking": the call waits; all processes take the two locks in the order of
             the addresses, so there is no deadlock. start, stop: touch only [start, stop).
    Returns: the number of chunks averaged and skipped, and of locks taken over from dead processes.
    Mutates: a and b, and the lags, inside [start, stop).
    Races:   CPU: a chunk is averaged under both locks, so no update is lost against operations that take them (pair
             averages, and pushes under Access.STRIPED with the replica's locks). Plain readers see elements from before
             or after, never torn. If a process is killed inside a chunk, some elements may be updated on one side only:
             the sum changes by at most that chunk's d. The next process takes the lock over and continues.
             CUDA: no locks; both sides are added to in hardware, so the sum is kept, but m concurrent averages of one
                   pair that read the same values multiply a - b by 1 - 2 m weight: run one at a time per pair. Push
                   with Access.ATOMIC.
    Bytes:   16 per float32 element, 32 with lags.
    Raises:  ValueError if sizes, dtypes or devices differ, two of them overlap, locks are missing or the same for both,
             or a weight is given beside lags.
    """
    tensors.check_flat("a", a)
    tensors.check_flat("b", b, like=a)
    named = {"a": a, "b": b}
    if lags is not None:
        tensors.check_flat("lags.a", lags.a, like=a)
        tensors.check_flat("lags.b", lags.b, like=a)
        named |= {"lags.a": lags.a, "lags.b": lags.b}
        if weight != 0.5:
            raise ValueError(f"weight is {weight}, and a pair average with lags makes both the mean: leave it out")
    tensors.check_disjoint(named)
    if order not in ORDERS:
        raise ValueError(f"order is {order!r}: expected one of {', '.join(map(repr, ORDERS))}")
    if a.is_cuda and (locks_a or locks_b or n_locks):
        raise ValueError("a pair average on CUDA takes no locks: leave them out")
    if a.is_cuda and a.element_size() != 4:
        raise ValueError(f"a is {a.dtype} on CUDA: replicas there are float32")
    if not a.is_cuda and (not locks_a or not locks_b or locks_a == locks_b or n_locks < 1):
        raise ValueError(
            "a pair average on the CPU needs the addresses of n_locks >= 1 locks of each replica: "
            f"here are {n_locks} at {locks_a:#x} and {locks_b:#x}"
        )
    begin, end = tensors.check_range(start, stop, a.numel())
    device = tensors.device_index(a)
    counts = _C.pair_average(
        {
            "dtype": tensors.MASTER_DTYPES[a.dtype],
            "a": a.data_ptr(),
            "b": b.data_ptr(),
            "weight": weight,
            "lag_a": lags.a.data_ptr() if lags else None,
            "lag_b": lags.b.data_ptr() if lags else None,
            "rest_a": lags.rest_a if lags else 0.0,
            "rest_b": lags.rest_b if lags else 0.0,
            "gain": lags.gain if lags else 0.0,
            "locks_a": locks_a,
            "locks_b": locks_b,
            "n_locks": n_locks,
            "waits": order == "blocking",
            "start": begin,
            "stop": end,
            "device": device,
            "stream": tensors.current_stream(device),
        }
    )
    return PairStats(*counts)
