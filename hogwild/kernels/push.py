"""One worker's gradient into the shared master, in one pass over memory (csrc/push.h)."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hogwild import _C
from hogwild._C import PushStats
from hogwild.kernels import tensors
from hogwild.kernels.gradients import GradientTable
from hogwild.rules import Access, Gap, Guard, HeavyBall, Momentum

__all__ = ["Push", "PushStats"]


class Push:
    """A push with its rule, buffers and segments fixed; call it once per gradient.

        decay        wd x
        penalty      d = g + wd x,  or with a Gap [Barkai et al. 2020]  d = (g + wd x) / G,  G = 1 + |x - snapshot| / C
                     s <- Gamma s + (1 - Gamma) u^2,  C = lr_max (sqrt(s / (1 - Gamma^t)) + eps),  u = v before, or g
        momentum     v <- m v + (1 - dampening) d;  direction = v, or d + m v (Nesterov), or d without momentum
        apply        x <- x - lr direction
        observe      gap_sq = sum (x - snapshot)^2 (before), step_sq = sum (lr direction)^2, count of non-finite g
        look-ahead   snapshot <- x

    Args:     x, snapshot, v, s: [n] float32 or float64, all alike, on one device (float64 on the CPU only); None
              where the rule needs none.
              segments: (offset, numel) in elements of each gradient's place in [n]; offsets on 128-byte boundaries.
              stripes, n_stripes: address and number of the control block's mutexes, for Access.STRIPED.
    Mutates:  x, v, s, snapshot inside the segments; never the padding between them, never a gradient.
    Races:    as `access` says. RACING: concurrent pushes may lose an update of an element, a float is never torn.
              ATOMIC: no update of x or v is lost (CUDA: on x added in hardware, snapshot is then the value read minus
              the own step); s, a running statistic, still races. STRIPED: under one lock per 16384 elements. LOCKED:
              runs as RACING, the caller holds the lock.
    Bytes:    per float32 parameter with gap and momentum, 36 under Guard.ELEMENT; Guard.PUSH reads the gradients once
              more beforehand, 40.
    Raises:   ValueError for buffers, segments or rules that do not fit each other.
    Deviates: from Gap-Aware as published only in skipping elements whose s is still 0 (as well as the first push).
    """

    def __init__(
        self,
        *,
        x: Tensor,
        snapshot: Tensor | None = None,
        v: Tensor | None = None,
        s: Tensor | None = None,
        segments: Sequence[tuple[int, int]],
        penalty: Gap | None = None,
        momentum: Momentum | None = None,
        access: Access = Access.RACING,
        guard: Guard = Guard.PUSH,
        stripes: int = 0,
        n_stripes: int = 0,
    ) -> None:
        self._buffers = _checked_buffers(x=x, snapshot=snapshot, v=v, s=s)
        _check_rule(self._buffers, penalty, momentum)
        tensors.check_segments(segments, x.numel(), x.element_size())
        if x.is_cuda and x.dtype is torch.float64:
            raise ValueError("x is float64 on CUDA: a float64 master is for the CPU, use float32")
        if access is Access.STRIPED and (x.is_cuda or not stripes or n_stripes < 1):
            raise ValueError("Access.STRIPED needs a master on the CPU, and the address of n_stripes >= 1 locks")

        self._n = x.numel()
        self._device = tensors.device_index(x)
        self._gradients = GradientTable([numel for _, numel in segments], x)
        addresses = tuple(0 if t is None else t.data_ptr() for t in (x, snapshot, v, s))
        rule = _native_rule(x.dtype, penalty, momentum, access, guard)
        places = [(int(offset), int(numel)) for offset, numel in segments]
        self._native: _C.CpuPush | _C.CudaPush
        if x.is_cuda:
            self._native = _C.CudaPush(rule, addresses, places, self._device)
        else:
            locks = (stripes, n_stripes) if access is Access.STRIPED else (0, 0)
            self._native = _C.CpuPush(rule, addresses, places, locks)

    def __call__(
        self,
        grads: Sequence[Tensor | None],
        *,
        lr: float,
        weight_decay: float = 0.0,
        pushes: int,
        lr_max: float,
        first_step: bool = False,
        start: int | None = None,
        stop: int | None = None,
    ) -> PushStats:
        """Push one gradient and report. On CUDA this waits for the device; `enqueue` does not.

        Args:    grads: one tensor per segment, all of one dtype (float32 or bfloat16 for a float32 master, float64 for
                 a float64 one), or None where a parameter has no gradient: there x, v, s stay and snapshot <- x.
                 pushes: pushes to this master before this one.  lr_max: the largest lr so far.
                 first_step: nothing was pushed into v yet (torch_first_step).
                 start, stop: touch only elements [start, stop) of the flat buffers.
        Returns: PushStats; `applied` is False where Guard.PUSH met a non-finite element and wrote nothing.
        Raises:  ValueError if a gradient does not fit its segment.  RuntimeError if a CUDA launch failed.
        """
        self._run(grads, lr, weight_decay, pushes, lr_max, first_step, start, stop)
        return self._native.stats()

    def enqueue(
        self,
        grads: Sequence[Tensor | None],
        *,
        lr: float,
        weight_decay: float = 0.0,
        pushes: int,
        lr_max: float,
        first_step: bool = False,
        start: int | None = None,
        stop: int | None = None,
    ) -> None:
        """As a call, but on CUDA only put on PyTorch's current stream: `stats` reports, and waits."""
        self._run(grads, lr, weight_decay, pushes, lr_max, first_step, start, stop)

    def stats(self) -> PushStats:
        """Statistics of the latest push of this object. On CUDA this waits for it."""
        return self._native.stats()

    def _run(
        self,
        grads: Sequence[Tensor | None],
        lr: float,
        weight_decay: float,
        pushes: int,
        lr_max: float,
        first_step: bool,
        start: int | None,
        stop: int | None,
    ) -> None:
        copies, addresses, dtype = self._gradients.read(grads)
        begin, end = tensors.check_range(start, stop, self._n)
        stream = tensors.current_stream(self._device)
        self._native.run(addresses, dtype, lr, weight_decay, pushes, lr_max, first_step, begin, end, stream)
        del copies  # they had to live until the kernel had them


def _checked_buffers(*, x: Tensor, **others: Tensor | None) -> dict[str, Tensor]:
    tensors.check_flat("x", x)
    buffers = {"x": x}
    for name, tensor in others.items():
        if tensor is not None:
            tensors.check_flat(name, tensor, like=x)
            buffers[name] = tensor
    tensors.check_disjoint(buffers)
    return buffers


def _check_rule(buffers: dict[str, Tensor], penalty: Gap | None, momentum: Momentum | None) -> None:
    if penalty is not None and not {"snapshot", "s"} <= buffers.keys():
        raise ValueError("a Gap penalty needs the buffers snapshot and s")
    if penalty is None and "s" in buffers:
        raise ValueError("s is the Gap penalty's buffer, but there is no penalty")
    if (momentum is not None) != ("v" in buffers):
        raise ValueError("v is momentum's buffer: give both or neither")
    if penalty is not None and not (0 < penalty.decay < 1 and penalty.eps > 0):
        raise ValueError(f"Gap has decay {penalty.decay} and eps {penalty.eps}: 0 < decay < 1 and eps > 0 are needed")


def _native_rule(
    dtype: torch.dtype, penalty: Gap | None, momentum: Momentum | None, access: Access, guard: Guard
) -> _C.Rule:
    kind = "none" if momentum is None else "heavy_ball" if isinstance(momentum, HeavyBall) else "nesterov"
    return _C.Rule(
        master=tensors.MASTER_DTYPES[dtype],
        penalty="none" if penalty is None else "gap",
        momentum_kind=kind,
        access=access.value,
        guard=guard.value,
        momentum=momentum.momentum if momentum else 0.0,
        dampening=momentum.dampening if momentum else 0.0,
        torch_first_step=momentum.torch_first_step if momentum else False,
        gap_decay=penalty.decay if penalty else 0.0,
        gap_eps=penalty.eps if penalty else 0.0,
        penalize_decay=penalty.penalize_weight_decay if penalty else False,
    )
