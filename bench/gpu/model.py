"""Parameters with the shapes of a network: one flat buffer, and one gradient tensor per parameter tensor."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from bench.eager import Constants
from bench.field import LR, MOMENTUM, PUSHES
from hogwild.kernels import Push
from hogwild.rules import Gap, Guard, HeavyBall, Momentum
from hogwild.shared.layout import ALIGNMENT_BYTES

LINE = ALIGNMENT_BYTES // 4


def resnet50_sizes() -> list[int]:
    """Numbers of parameters of ResNet-50's 161 tensors: 25.6 million together (He et al. 2016, arXiv:1512.03385)."""
    sizes = [64 * 3 * 7 * 7, 64, 64]
    width_in = 64
    for blocks, width in zip((3, 4, 6, 3), (64, 128, 256, 512), strict=True):
        for block in range(blocks):
            for weight, channels in (
                (width_in * width, width),
                (width * width * 9, width),
                (width * width * 4, width * 4),
                *([(width_in * width * 4, width * 4)] if block == 0 else []),
            ):
                sizes += [weight, channels, channels]
            width_in = width * 4
    return [*sizes, 2048 * 1000, 1000]


def scaled(n: int) -> list[int]:
    """161 tensors in the proportions of ResNet-50, with about n parameters in total."""
    sizes = resnet50_sizes()
    return [max(1, size * n // sum(sizes)) for size in sizes]


class Model:
    """x, snapshot, v, s as flat buffers [n] float32 with 128-byte segments; `grads` as autograd would return them."""

    def __init__(self, sizes: Sequence[int], device: torch.device) -> None:
        self.sizes = list(sizes)
        ends = list(itertools.accumulate(-(-size // LINE) * LINE for size in sizes))
        self.segments = list(zip([0, *ends[:-1]], sizes, strict=True))
        self.n = sum(sizes)
        generator = torch.Generator(device).manual_seed(0)
        flats = (torch.empty(ends[-1], device=device).normal_(generator=generator) for _ in range(4))
        self.x, self.snapshot, self.v, self.s = flats
        self.s.square_()
        self.grads: list[Tensor] = [torch.empty(n, device=device).normal_(generator=generator) for n in sizes]

    def views(self, flat: Tensor) -> list[Tensor]:
        return [flat[offset : offset + size] for offset, size in self.segments]

    def push(
        self, guard: Guard, gap: Gap | None = None, momentum: Momentum | None = None, snapshot: bool = False
    ) -> Callable[[], object]:
        """Our push of `grads`, enqueued on the stream."""
        push = self.make_push(guard, gap, momentum, snapshot)
        return lambda: push.enqueue(self.grads, lr=LR, pushes=PUSHES, lr_max=LR)

    def replayed_push(self, guard: Guard, gap: Gap | None, momentum: Momentum | None) -> Callable[[], object]:
        """The same push, replayed from a CUDA graph."""
        push, graph = self.make_push(guard, gap, momentum), torch.cuda.CUDAGraph()
        push.enqueue(self.grads, lr=LR, pushes=PUSHES, lr_max=LR)
        with torch.cuda.graph(graph):
            push.capture(self.grads)
        return lambda: push.replay(graph, lr=LR, pushes=PUSHES, lr_max=LR)

    def make_push(
        self,
        guard: Guard,
        gap: Gap | None = None,
        momentum: Momentum | None = None,
        snapshot: bool = False,
        cooperative: bool = True,
    ) -> Push:
        return Push(
            x=self.x,
            snapshot=self.snapshot if snapshot or gap else None,
            v=self.v if momentum else None,
            s=self.s if gap and gap.rows is None else None,
            gap_state=self._gap_state() if gap and gap.rows else None,
            segments=self.segments,
            penalty=gap,
            momentum=momentum,
            guard=guard,
            cooperative=cooperative,
        )

    def _gap_state(self) -> Tensor:
        state = torch.ones(len(self.sizes), 3, dtype=torch.float64, device=self.x.device)
        state[:, 1] = 1 - Gap().decay ** PUSHES
        return state

    def sgd(self, **form: bool) -> Callable[[], object]:
        """torch.optim.SGD with momentum on views of x."""
        parameters = [nn.Parameter(view) for view in self.views(self.x)]
        for parameter, g in zip(parameters, self.grads, strict=True):
            parameter.grad = g
        return torch.optim.SGD(parameters, lr=LR, momentum=MOMENTUM, **form).step

    def foreach_gap(self) -> Callable[[], object]:
        """The gap-aware push with shifted momentum as a chain of torch's foreach operations on lists of tensors."""
        x, snapshot, v, s = (self.views(flat) for flat in (self.x, self.snapshot, self.v, self.s))
        g, h = self.grads, Constants(LR, MOMENTUM, Gap(), PUSHES + 1)

        def push() -> None:
            gap = torch._foreach_sub(x, snapshot)
            torch._foreach_abs_(gap)
            torch._foreach_mul_(s, h.rule.decay)
            torch._foreach_addcmul_(s, v, v, value=1 - h.rule.decay)
            c = torch._foreach_sqrt(s)
            torch._foreach_mul_(c, h.scale)
            torch._foreach_add_(c, h.floor)
            torch._foreach_add_(gap, c)
            torch._foreach_div_(c, gap)
            torch._foreach_mul_(v, h.momentum)
            torch._foreach_addcmul_(v, g, c)
            torch._foreach_add_(x, v, alpha=-h.lr)
            torch._foreach_copy_(snapshot, x)

        return push

    def check_foreach(self) -> float:
        """Largest difference, relative to 1 + |x|, between our push and the foreach chain, from equal buffers."""
        before = [flat.clone() for flat in (self.x, self.snapshot, self.v, self.s)]
        self.push(Guard.ELEMENT, Gap(), HeavyBall(MOMENTUM))()
        ours = [flat.clone() for flat in (self.x, self.v, self.s)]
        for flat, value in zip((self.x, self.snapshot, self.v, self.s), before, strict=True):
            flat.copy_(value)
        self.foreach_gap()()
        theirs = (self.x, self.v, self.s)
        return max(
            float(((a - b).abs() / (1 + b.abs()))[offset : offset + size].max())
            for a, b in zip(ours, theirs, strict=True)
            for offset, size in self.segments
        )
