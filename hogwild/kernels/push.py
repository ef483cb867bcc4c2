"""One worker's gradient into the shared master, in one pass over memory (csrc/push.h)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from hogwild import _C
from hogwild._C import PushStats
from hogwild.kernels import tensors
from hogwild.kernels.gradients import GradientTable
from hogwild.kernels.rule import Rule
from hogwild.rules import Access, Compensation, Dana, Gap, Guard, Momentum, Smega2, look_ahead

__all__ = ["Graph", "Push", "PushStats"]

Scalars = tuple[float, float, int, float, bool, float, float, int, float, float, float]


class Graph(Protocol):
    """A captured torch.cuda.CUDAGraph."""

    def replay(self) -> None: ...


class Push:
    """A push with its rule, buffers and segments fixed; call it once per gradient.

        scale        g <- scale g,  then g <- g min(1, clip / ||g||)
        decay        wd x
        compensation g <- g + lam g^2 (x - snapshot)                            [rules.Compensation]
        penalty      d = g + wd x,  or d = (g + wd x) / G,  G = 1 + |x - snapshot| / C       [rules.Gap]
        momentum     HeavyBall, Nesterov, Dana, Smega2, OrMo, or x <- x - lr d               [rules]
        exchange     with a center: drawn = alpha (x - center), from the values before;  center <- center + drawn
        apply        x <- x - step - drawn
        observe      gap_sq = sum (x - snapshot)^2 or sum (x - center)^2 (before), step_sq = sum step^2, count of
                     non-finite g, G
        look-ahead   snapshot <- x,  or where x is going to be (Dana, Smega2)

    Args:     x, snapshot, v, s, ms, v_sum, b: [n] float32 or float64, all alike, on one device (float64 on the CPU
              only); exactly those that the rule uses (`snapshot` may be there in any case).
              center: [n] likewise, shared; x is then this worker's own replica, and one pass does the step and the
              elastic exchange (Zhang et al. 2015, arXiv:1412.6651, Alg. 1; under Nesterov Alg. 2, where x holds the
              look-ahead point and the worker is at x + lr m v). With momentum None, HeavyBall or Nesterov, and no other
              stage. An element without gradient is exchanged all the same, one that is held back is not.
              gap_state: [segments, 4] float64 (layer) or [1, 4] (global), zero at first; a larger one is fine. A row is
              the mean of ||u||^2, its number of samples, ||x - snapshot||^2 and G of the latest push.
              segments: (offset, numel) in elements of each gradient's place in [n]; offsets on 128-byte boundaries.
              stripes, n_stripes: address and number of the control block's mutexes, for Access.STRIPED.
              cooperative: CUDA: a Gap of level layer or global, not lagged, is one cooperative launch where x and
              snapshot fit into four fifths of the second-level cache (`is_cooperative`); False: never.
    Mutates:  all of its buffers inside the segments; never the padding between them, never a gradient.
    Races:    as `access` says. RACING: concurrent pushes may lose an update of an element, a float is never torn; v_sum
              may then differ from the sum of all v for ever. ATOMIC: no update of x, v, v_sum or b is lost (CUDA: on x
              added in hardware, snapshot is then made of the value read minus the own step); s and gap_state, running
              statistics, still race. STRIPED: under one lock per 4096 elements (not: gap_state and the first pass of a
              layer or global Gap). LOCKED: runs as RACING, the caller holds the lock. The center is held to the same
              promise as x; as x has no other writer then, the locks of STRIPED are the center's. A replica that others
              average (kernels.pair_average) is pushed to under its own.
    Bytes:    per float32 parameter with gap and momentum, 36 under Guard.ELEMENT; Guard.PUSH reads the gradients once
              more beforehand, 40. A Gap of level layer or global: 36 and 40, lagged or cooperative 28 and 32. With a
              center: 20, with momentum 28.
    Raises:   ValueError for buffers, segments or rules that do not fit each other. A Gap and a Compensation exclude
              each other, and neither goes with Smega2 or OrMo.
    Deviates: from Gap-Aware as published in skipping elements whose s is still 0 (as well as the first push). The layer
              and global Gap take ||u||^2 from the observe slots of earlier pushes: for unit g that is the gradient
              before this one, else what the element-wise form takes. Under Nesterov the elastic exchange takes the
              velocity of Alg. 2 for -lr v with the current lr, which is the same as long as lr is constant.
    """

    def __init__(
        self,
        *,
        x: Tensor,
        snapshot: Tensor | None = None,
        v: Tensor | None = None,
        s: Tensor | None = None,
        ms: Tensor | None = None,
        v_sum: Tensor | None = None,
        b: Tensor | None = None,
        center: Tensor | None = None,
        gap_state: Tensor | None = None,
        segments: Sequence[tuple[int, int]],
        penalty: Gap | None = None,
        momentum: Momentum | None = None,
        compensation: Compensation | None = None,
        access: Access = Access.RACING,
        guard: Guard = Guard.PUSH,
        stripes: int = 0,
        n_stripes: int = 0,
        cooperative: bool = True,
    ) -> None:
        self._buffers = tensors.checked_buffers(
            x=x, snapshot=snapshot, v=v, s=s, ms=ms, v_sum=v_sum, b=b, center=center
        )
        self._gap_state = gap_state
        self._rule = Rule(penalty, momentum, compensation, access, guard, elastic=center is not None)
        self._rule.check(self._buffers, gap_state, len(segments))
        self._looks_ahead = isinstance(momentum, Dana | Smega2)
        self._needs_whole = self._rule.has_norm_gap
        self._takes_current_lr = penalty is not None and penalty.reference == "lr"
        tensors.check_segments(segments, x.numel(), x.element_size())
        if x.is_cuda and x.dtype is torch.float64:
            raise ValueError("x is float64 on CUDA: a float64 master is for the CPU, use float32")
        if access is Access.STRIPED and (x.is_cuda or not stripes or n_stripes < 1):
            raise ValueError("Access.STRIPED needs a master on the CPU, and the address of n_stripes >= 1 locks")

        self._n = x.numel()
        self._device = tensors.device_index(x)
        self._gradients = GradientTable([numel for _, numel in segments], x, missing_is_zero=self._rule.flushes)
        places_in_memory = (x, snapshot, v, s, ms, v_sum, b, center, gap_state)
        addresses = tuple(0 if t is None else t.data_ptr() for t in places_in_memory)
        rule = self._rule.native(x.dtype)
        rule.cooperative = cooperative
        places = [(int(offset), int(numel)) for offset, numel in segments]
        self._native: _C.CpuPush | _C.CudaPush
        self._on_gpu: _C.CudaPush | None = None
        self._held: Sequence[Tensor | None] | None = None  # by the graph
        if x.is_cuda:
            self._native = self._on_gpu = _C.CudaPush(rule, addresses, places, self._device)
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
        scale: float = 1.0,
        clip: float = 0.0,
        delay: int = 0,
        alpha: float = 0.0,
        start: int | None = None,
        stop: int | None = None,
    ) -> PushStats:
        """Push one gradient and report. On CUDA this waits for the device; `enqueue` does not.

        Args:    grads: one tensor per segment, all of one dtype (float32 or bfloat16 for a float32 master, float64 for
                 a float64 one), or None where a parameter has no gradient: there only the snapshot is brought up to
                 date (with Smega2 and OrMo, whose flush concerns every element, None counts as zeros).
                 pushes: pushes to this master before this one. Smega2 and OrMo flush by it: every push must have a
                 number of its own.  lr_max: the largest lr so far.  delay: pushes since the snapshot (OrMo).
                 first_step: nothing was pushed into v yet (torch_first_step).
                 scale: factor of the gradient.  clip: its largest L2 norm, over all segments and after `scale`; 0: any.
                 alpha: the share of their distance that x and the center each move; 0: it is only measured.
                 start, stop: touch only elements [start, stop) of the flat buffers.
        Returns: PushStats; `applied` is False where Guard.PUSH met a non-finite element and wrote nothing.
        Raises:  ValueError if a gradient does not fit its segment; if clip comes with Guard.ELEMENT, which does not
                 look at the gradient beforehand, clip or a layer or global Gap with a part of the buffers, or alpha
                 without a center.
                 RuntimeError if a CUDA launch failed.
        Deviates: the norm is summed in the master's type; float32 gradients with elements beyond 1e19 count as
                 infinitely long, and clip sets them to zero.
        """
        self._run(grads, lr, weight_decay, pushes, lr_max, first_step, scale, clip, delay, alpha, start, stop)
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
        scale: float = 1.0,
        clip: float = 0.0,
        delay: int = 0,
        alpha: float = 0.0,
        start: int | None = None,
        stop: int | None = None,
    ) -> None:
        """As a call, but on CUDA only put on PyTorch's current stream: `stats` reports, and waits."""
        self._run(grads, lr, weight_decay, pushes, lr_max, first_step, scale, clip, delay, alpha, start, stop)

    def stats(self) -> PushStats:
        """Statistics of the latest push of this object. On CUDA this waits for it."""
        return self._native.stats()

    @property
    def is_cooperative(self) -> bool:
        """Whether a Gap of level layer or global is one launch here: norms, push and bookkeeping."""
        return self._on_gpu is not None and self._on_gpu.is_cooperative

    def capture(self, grads: Sequence[Tensor | None]) -> None:
        """Inside torch.cuda.graph: adds a push of these gradients to the graph, for `replay` to run.

        The graph holds the addresses of the gradients, which this object keeps alive, and of the buffers; what else a
        call takes it reads from device memory. Nothing is allocated or waited for. Between replays this object can be
        called as before; a graph that it was captured into earlier must not be replayed any more.

        Raises: ValueError on the CPU, for Smega2, whose every N-th push is another kernel, and as a call does.
                RuntimeError if no graph is being captured.
        """
        if self._on_gpu is None:
            raise ValueError("x is on the CPU, and a CUDA graph holds pushes on a GPU: call the push instead")
        if isinstance(self._rule.momentum, Smega2):
            raise ValueError("every N-th push of Smega2 is another kernel, which no graph can choose: call the push")
        copies = self._gradients.read(grads)
        self._on_gpu.capture(self._gradients.native, tensors.current_stream(self._device))
        self._held = [*grads, *copies]

    def replay(
        self,
        graph: Graph,
        *,
        lr: float,
        weight_decay: float = 0.0,
        pushes: int,
        lr_max: float,
        first_step: bool = False,
        scale: float = 1.0,
        clip: float = 0.0,
        delay: int = 0,
        alpha: float = 0.0,
    ) -> None:
        """Replays a graph that holds this push, with these scalars: `stats` reports, and waits for the whole graph.

        The scalars travel in the arguments of a small kernel in front of the graph, so the host waits for nothing,
        however many replays are on their way. All of them on one stream.

        Raises: ValueError if nothing was captured, and as a call does.
        """
        if self._on_gpu is None or self._held is None:
            raise ValueError("this push is in no graph: call capture(grads) inside torch.cuda.graph first")
        scalars = self._scalars(lr, weight_decay, pushes, lr_max, first_step, scale, clip, delay, alpha)
        stream = tensors.current_stream(self._device)
        self._on_gpu.prepare(*scalars, stream)
        graph.replay()
        self._on_gpu.replayed(stream)

    def _run(
        self,
        grads: Sequence[Tensor | None],
        lr: float,
        weight_decay: float,
        pushes: int,
        lr_max: float,
        first_step: bool,
        scale: float,
        clip: float,
        delay: int,
        alpha: float,
        start: int | None,
        stop: int | None,
    ) -> None:
        copies = self._gradients.read(grads)
        begin, end = tensors.check_range(start, stop, self._n)
        if (clip or self._needs_whole) and (begin, end) != (0, self._n):
            raise ValueError("clip and a Gap of level layer or global concern whole segments: leave out start and stop")
        scalars = self._scalars(lr, weight_decay, pushes, lr_max, first_step, scale, clip, delay, alpha)
        self._native.run(self._gradients.native, *scalars, begin, end, tensors.current_stream(self._device))
        del copies  # they had to live until the kernel had them

    def _scalars(
        self,
        lr: float,
        weight_decay: float,
        pushes: int,
        lr_max: float,
        first_step: bool,
        scale: float,
        clip: float,
        delay: int,
        alpha: float,
    ) -> Scalars:
        """What a push brings along, as the native one takes it."""
        if clip:
            self._check_clip(clip)
        if alpha and not self._rule.elastic:
            raise ValueError(f"alpha is {alpha}, but this push has no center to exchange with: give it one")
        ahead_v = ahead_b = 0.0
        if self._looks_ahead:
            weights = look_ahead(self._rule.momentum, lr=lr, pushes=pushes + 1)
            ahead_v, ahead_b = weights.get("v_sum", weights.get("v", 0.0)), weights.get("b", 0.0)
        if self._takes_current_lr:
            lr_max = lr
        return lr, weight_decay, pushes, lr_max, first_step, scale, clip, delay, ahead_v, ahead_b, alpha

    def _check_clip(self, clip: float) -> None:
        if clip < 0:
            raise ValueError(f"clip is {clip}: expected a norm > 0, or 0 for none")
        if self._rule.guard is Guard.ELEMENT:
            raise ValueError(
                "clip needs the gradient's norm before the push: use Guard.PUSH, which reads it beforehand"
            )
