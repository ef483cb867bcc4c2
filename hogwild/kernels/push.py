"""One worker's gradient into the shared master, in one pass over memory (csrc/push.h)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol

import torch
from torch import Tensor

from hogwild import _C
from hogwild._C import PushStats
from hogwild.kernels import tensors
from hogwild.kernels.gradients import GradientTable
from hogwild.kernels.mix import check_neighbours, diffuse, weighted_sum
from hogwild.kernels.rule import Rule
from hogwild.rules import Access, Compensation, Gap, Guard, Momentum, Scalars, look_ahead

if TYPE_CHECKING:
    from typing_extensions import Unpack

__all__ = ["Graph", "Push", "PushStats"]


class Graph(Protocol):
    """A captured torch.cuda.CUDAGraph."""

    def replay(self) -> None: ...


class Push:
    """A push with a fixed rule, buffers and segments; call it once per gradient.

        scale        g <- scale g,  then g <- g min(1, clip / ||g||)
        decay        wd x
        compensation g <- g + lam g^2 (x - snapshot)                            [rules.Compensation]
        penalty      d = g + wd x,  or d = (g + wd x) / G,  G = 1 + |x - snapshot| / C       [rules.Gap]
        momentum     HeavyBall, Nesterov, Dana, Smega2, OrMo, or x <- x - lr d               [rules]
                     AdamW, RMSprop, Adagrad, Lion: their step / G + lr wd x (decoupled), and d = g or g + wd x
        exchange     with a center: drawn = alpha (x - center), from the old values;  center <- center + drawn
        apply        x <- x - step - drawn
        observe      gap_sq = sum (x - snapshot)^2 or sum (x - center)^2 (before), step_sq = sum step^2, count of
                     non-finite g, G
        look-ahead   snapshot <- x,  or the predicted x (Dana, Smega2)

    Args:     x: [n] float32 or float64 (float64 on the CPU only).
              buffers: by name (csrc/lists.h), flat, [n] like x and on its device; exactly those that the stages need
              (rules.buffers_of), `snapshot` if they need one (allowed in any case), and optionally these two:
              center: [n] likewise, shared; x is then this worker's own replica, and one pass does the step and the
              elastic exchange (Zhang et al. 2015, arXiv:1412.6651, Alg. 1; under Nesterov Alg. 2, where x holds the
              look-ahead point and the worker is at x + lr m v). With momentum None or one that `takes_center`, and no
              other stage. An element without a gradient is exchanged; one that Guard.ELEMENT leaves out is not.
              gap_state: [segments, 3] float64 (layer) or [1, 3] (global), zero at first; a larger one is allowed. A row
              holds the running mean of ||u||^2 (per element if G is element-wise), the weight of the samples in it, 1 -
              Gamma^t, and ||x - snapshot||^2 of the latest push.
              segments: (offset, numel) in elements of each gradient's place in [n]; offsets on 128-byte boundaries.
              groups: factors of lr and of the weight decay for each segment; none: 1. Statistics are of all segments.
              own_v: v has no other writer than this worker, so Access.ATOMIC does not exchange it element by element.
              stripes, n_stripes: address and number of the control block's mutexes, for Access.STRIPED.
              cooperative: on CUDA, a Gap of level layer or global, not lagged, is one cooperative launch if x and
              snapshot fit into four fifths of the L2 cache (`is_cooperative`); False: never.
    Mutates:  all of its buffers inside the segments; never the padding between them, never a gradient.
    Races:    depend on `access`. RACING: concurrent pushes may lose an update of an element, a float is never torn;
              after a lost update v_sum differs permanently from the sum of all v. ATOMIC: no update of x, v, v_sum or b
              is lost (CUDA: added to x in hardware; snapshot is then the value read minus this push's step); an x
              beside a center, and a v with own_v, have one writer and are plainly written; s and gap_state, running
              statistics, still race. STRIPED: one lock per 4096 elements is held (not for gap_state and the first pass
              of a layer or global Gap). LOCKED: runs as RACING, and the caller holds the lock. A
              center has the same guarantees as x; since x then has no other writer, the locks of STRIPED are those of
              the center. For a replica that other workers average (kernels.pair_average), they are those of the
              replica.
    Bytes:    per float32 parameter with gap and momentum, 36 under Guard.ELEMENT; Guard.PUSH first reads the gradients
              once more, 40. A Gap of level layer or global: 36 and 40; lagged or cooperative, or with only its size
              layer or global: 28 and 32. With a center: 20, with momentum 28.
    Raises:   ValueError for buffers, segments or rules that do not fit each other. A Gap and a Compensation exclude
              each other, and neither goes with Smega2 or OrMo.
    Deviates: from published Gap-Aware: there is no penalty for elements with s = 0 (and none in the first push). The
              layer and global Gap take ||u||^2 from the observe slots of earlier pushes: for unit g that is the
              previous gradient, else the same values as in the element-wise form. Under Nesterov the elastic exchange
              takes -lr v with the current lr for the velocity of Alg. 2, which is equal as long as lr is constant.

    >>> from hogwild.rules import HeavyBall
    >>> x, v, g = torch.ones(3), torch.zeros(3), torch.tensor([1.0, 0.0, -1.0])
    >>> push = Push(x=x, v=v, segments=[(0, 3)], momentum=HeavyBall(0.5))
    >>> stats = [push([g], lr=0.5, pushes=k, lr_max=0.5) for k in range(2)]
    >>> x, v, stats[1].step_sq
    (tensor([-0.2500,  1.0000,  2.2500]), tensor([ 1.5000,  0.0000, -1.5000]), 1.125)
    """

    def __init__(
        self,
        *,
        x: Tensor,
        segments: Sequence[tuple[int, int]],
        penalty: Gap | None = None,
        momentum: Momentum | None = None,
        compensation: Compensation | None = None,
        access: Access = Access.RACING,
        guard: Guard = Guard.PUSH,
        groups: Sequence[tuple[float, float]] = (),
        own_v: bool = False,
        stripes: int = 0,
        n_stripes: int = 0,
        cooperative: bool = True,
        **buffers: Tensor | None,
    ) -> None:
        self._buffers = tensors.checked_buffers({"x": x, **buffers})
        self._rule = Rule(penalty, momentum, compensation, access, guard, "center" in self._buffers, own_v)
        self._rule.check(self._buffers, len(segments))
        self._rule.check_groups(groups, len(segments))
        tensors.check_segments(segments, x.numel(), x.element_size())
        if x.is_cuda and x.dtype is torch.float64:
            raise ValueError("x is float64 on CUDA: a float64 master is for the CPU, use float32")
        if access is Access.STRIPED and (x.is_cuda or not stripes or n_stripes < 1):
            raise ValueError("Access.STRIPED needs a master on the CPU, and the address of n_stripes >= 1 locks")

        self._n = x.numel()
        self._device = tensors.device_index(x)
        self._looks_ahead = bool(look_ahead(momentum, lr=1.0, pushes=0))
        self._takes_current_lr = penalty is not None and penalty.reference == "lr"
        self._gradients = GradientTable([numel for _, numel in segments], x, missing_is_zero=self._rule.flushes)
        rule = self._rule.native(x.dtype, cooperative=cooperative)
        addresses = {name: tensor.data_ptr() for name, tensor in self._buffers.items()}
        self._segments = places = [(int(offset), int(numel)) for offset, numel in segments]
        self._native: _C.CpuPush | _C.CudaPush
        self._on_gpu: _C.CudaPush | None = None
        self._held: Sequence[Tensor | None] | None = None  # by the graph
        if x.is_cuda:
            self._native = self._on_gpu = _C.CudaPush(rule, addresses, places, groups, self._device)
        else:
            locks = (stripes, n_stripes) if access is Access.STRIPED else (0, 0)
            self._native = _C.CpuPush(rule, addresses, places, groups, locks)

    def __call__(self, grads: Sequence[Tensor | None], **scalars: Unpack[Scalars]) -> PushStats:
        """Push one gradient and report. On CUDA this waits for the device; `enqueue` does not.

        Args:    grads: one tensor per segment, all of one dtype (float32 or bfloat16 for a float32 master, float64 for
                 a float64 one), or None where a parameter has no gradient: there only the snapshot is updated (with
                 Smega2 and OrMo, which flush every element, None counts as zeros).
                 scalars: lr, pushes, lr_max and more, by name: hogwild.rules.Scalars.
        Returns: PushStats; `applied` is False if Guard.PUSH found a non-finite element and wrote nothing.
        Raises:  ValueError if a gradient does not fit its segment; for clip with Guard.ELEMENT, which does not read the
                 gradient beforehand; for clip, or a Gap with gap_state, on a part of the buffers; for alpha without a
                 center.  TypeError for a scalar that is missing or unknown. RuntimeError if a CUDA launch failed.
        Deviates: the norm is summed in the master's type: the norm of float32 gradients with elements beyond 1e19 is
                  infinite, and clip sets such gradients to zero.
        """
        self._run(grads, scalars)
        return self._native.stats()

    def enqueue(self, grads: Sequence[Tensor | None], **scalars: Unpack[Scalars]) -> None:
        """As a call, but on CUDA the push is only enqueued on PyTorch's current stream; `stats` waits for it and
        reports.
        """
        self._run(grads, scalars)

    def mean(self, inputs: Sequence[Tensor], **scalars: Unpack[Scalars]) -> PushStats:
        """Push the mean of gradients that lie in flat buffers like x, and report. On the CPU in one pass over memory:
        the mean is made piece by piece, in the cache.

        Args:    inputs: [n] each, like x; of finite numbers. An element whose sum is not finite (it overflows) is left
                 out, as under Guard.ELEMENT.  scalars: as in a call, without clip.
        Mutates: as a call.
        Raises:  ValueError for no input, and for one that is not like x; as a call does.
        """
        if not inputs or scalars.get("clip"):
            raise ValueError(f"a mean of {len(inputs)} gradients, clip {scalars.get('clip')}: give inputs, and no clip")
        tensors.check_alike({"x": self._buffers["x"], **{f"inputs[{j}]": given for j, given in enumerate(inputs)}})
        if isinstance(self._native, _C.CpuPush):
            self._native.run_mean([given.data_ptr() for given in inputs], self._for_kernel(scalars))
            return self._native.stats()
        mean = torch.empty_like(self._buffers["x"])
        weighted_sum(mean, inputs, [1 / len(inputs)] * len(inputs))
        return self([mean[offset : offset + numel] for offset, numel in self._segments], **scalars)

    def among(
        self,
        neighbours: Sequence[Tensor],
        weights: Sequence[float],
        grads: Sequence[Tensor | None],
        **scalars: Unpack[Scalars],
    ) -> None:
        """x <- x + sum_j weights[j] (neighbours[j] - x), then `enqueue`. On the CPU in one pass over memory.

        Of a push that is refused only the gradients are left out. The mix is that of `diffuse`, to the last bit.

        Args:    neighbours[j]: [n] like x, other memory.  weights: one per neighbour.  grads, scalars: as in a call, of
                 whole buffers.
        Mutates: as a call.
        Races:   x has no other writer. The neighbours' elements are read untorn.
        Bytes:   4 (k + 3) per float32 parameter with k neighbours, without momentum and guard.
        Raises:  ValueError for buffers that are not like x, or overlap, and for a part; as a call does.
        """
        if is_part(scalars):
            raise ValueError("neighbours are mixed in as a whole: leave out start and stop")
        x, told = self._buffers["x"], self._for_kernel(scalars)
        check_neighbours({"x": x}, neighbours, weights)
        if isinstance(self._native, _C.CpuPush):
            addresses = [each.data_ptr() for each in neighbours]
            self._feed(self._native.run_among, grads, told, addresses, weights)
            return
        native = self._native

        def run(table: _C.GradientTable, grads: Sequence[object] | None, *arguments: Any) -> bool:
            if grads is not None and not table.read(grads):  # what is wrong with one is said before x is mixed
                return False
            diffuse(x, x, neighbours, weights)
            return native.run(table, None, *arguments)

        self._feed(run, grads, told, tensors.current_stream(self._device))

    def stats(self) -> PushStats:
        """Statistics of the latest push of this object. On CUDA this waits for it."""
        return self._native.stats()

    @property
    def is_cooperative(self) -> bool:
        """Whether a Gap of level layer or global is one launch here, with norms, push and updates of gap_state."""
        return self._on_gpu is not None and self._on_gpu.is_cooperative

    def capture(self, grads: Sequence[Tensor | None]) -> None:
        """Inside torch.cuda.graph: adds a push of these gradients to the graph; `replay` runs it.

        The graph contains the addresses of the gradients, which this object keeps alive, and of the buffers; it reads
        the scalars from device memory. The call allocates no memory and does not wait. Between replays this object can
        be called as before. A graph into which it was captured earlier must not be replayed any more.

        Raises: ValueError on the CPU; for Smega2, because every N-th of its pushes is another kernel; and as a call
                does. RuntimeError if no graph is being captured.
        """
        if self._on_gpu is None:
            raise ValueError("x is on the CPU, and a CUDA graph holds pushes on a GPU: call the push instead")
        if self._rule.momentum is not None and not self._rule.momentum.is_one_kernel:
            name = type(self._rule.momentum).__name__
            raise ValueError(f"every N-th push of {name} is another kernel, which no graph can choose: call the push")
        on_gpu, table, stream = self._on_gpu, self._gradients.native, tensors.current_stream(self._device)
        copies: Sequence[Tensor] = ()
        if self._gradients.owes_zeros(grads) or not on_gpu.capture(table, grads, stream):
            copies = self._gradients.look_closer(grads)
            on_gpu.capture(table, None, stream)
        self._held = [*grads, *copies]

    def replay(self, graph: Graph, **scalars: Unpack[Scalars]) -> None:
        """Replays a graph that holds this push, with these scalars: `stats` reports, and waits for the whole graph.

        The scalars are arguments of a small kernel in front of the graph, so the host never waits, for any number of
        enqueued replays. All replays must be on one stream.

        Raises: ValueError if no push was captured, for a part of the buffers, and as a call does.
        """
        if self._on_gpu is None or self._held is None:
            raise ValueError("this push is in no graph: call capture(grads) inside torch.cuda.graph first")
        if is_part(scalars):
            raise ValueError("a graph holds a push of whole buffers: leave out start and stop, or call the push")
        stream = tensors.current_stream(self._device)
        self._on_gpu.prepare(self._for_kernel(scalars), stream)
        graph.replay()
        self._on_gpu.replayed(stream)

    def _run(self, grads: Sequence[Tensor | None], scalars: Scalars) -> None:
        stream = 0 if self._device < 0 else tensors.current_stream(self._device)
        self._feed(self._native.run, grads, self._for_kernel(scalars), stream)

    def _feed(self, run: Callable[..., bool], grads: Sequence[Tensor | None], *arguments: Any) -> None:
        """run(table, grads, *arguments), on copies of gradients that the kernel cannot read as they are."""
        table = self._gradients.native
        if self._gradients.owes_zeros(grads) or not run(table, grads, *arguments):
            copies = self._gradients.look_closer(grads)
            run(table, None, *arguments)
            del copies  # the copies must live until the kernel has read them

    def _for_kernel(self, scalars: Scalars) -> dict[str, Any]:
        """Checks and completes a push's scalars for csrc/lists.h. Mutates: scalars."""
        told: dict[str, Any] = scalars  # type: ignore[assignment]
        if clip := told.get("clip"):
            self._rule.check_clip(clip)
        if (alpha := told.get("alpha")) and not self._rule.elastic:
            raise ValueError(f"alpha is {alpha}, but this push has no center to exchange with: give it one")
        if is_part(scalars):
            told["start"], told["stop"] = start, stop = tensors.check_range(
                told.get("start"), told.get("stop"), self._n
            )
            if (clip or self._rule.has_rows) and (start, stop) != (0, self._n):
                raise ValueError("clip and a Gap with gap_state concern whole segments: leave out start and stop")
        try:
            if self._looks_ahead:
                told["ahead"] = look_ahead(self._rule.momentum, lr=told["lr"], pushes=told["pushes"] + 1)
            if self._takes_current_lr:
                told["lr_max"] = told["lr"]
        except KeyError as missing:
            raise TypeError(f"a push needs {missing.args[0]}") from None
        return told


def is_part(scalars: Scalars) -> bool:
    """Whether start and stop restrict a push to a part of its buffers."""
    return scalars.get("start") is not None or scalars.get("stop") is not None
