"""Gradients into a flat buffer, with a check that they are finite, in one call."""

from __future__ import annotations

from collections.abc import Sequence

from torch import Tensor

from hogwild import _C
from hogwild.kernels import tensors
from hogwild.kernels.gradients import GradientTable
from hogwild.kernels.mix import count_nonfinite


class Deposit:
    """x[segment k] <- gradient k, and zeros where there is none. The padding between segments is not written.

    Args:    x: [n] float32 or float64.  segments: (offset, numel) of each gradient's place in [n].
    Bytes:   per float32 parameter 8, or 12 with `keeps`.
    Raises:  ValueError for segments that do not fit.
    """

    def __init__(self, x: Tensor, segments: Sequence[tuple[int, int]]) -> None:
        tensors.check_flat("x", x)
        tensors.check_segments(segments, x.numel(), x.element_size())
        self._parts = [x[offset : offset + numel] for offset, numel in segments]
        self._gradients = GradientTable([numel for _, numel in segments], x)
        self._native: _C.CpuDeposit | None = None
        if x.is_cpu:
            places = [(int(offset), int(numel)) for offset, numel in segments]
            self._native = _C.CpuDeposit(x.data_ptr(), tensors.MASTER_DTYPES[x.dtype], places)

    def __call__(self, grads: Sequence[Tensor | None], *, keeps: bool = False) -> int:
        """Returns the number of elements that are NaN or infinite. On CUDA this waits for the device.

        Args:    grads: one tensor per segment as in a Push, or None.  keeps: x stays as it is if an element is not
                 finite; else it then has parts of the gradients.
        Mutates: x.
        Raises:  ValueError if a gradient does not fit its segment.
        """
        if self._native is None:
            return self._on_gpu(grads, keeps)
        nonfinite = self._native.run(self._gradients.native, grads, keeps)
        if nonfinite is None:
            copies = self._gradients.look_closer(grads)
            nonfinite = self._native.run(self._gradients.native, None, keeps)
            del copies
        assert nonfinite is not None, "what was looked at closer is read from the table"
        return nonfinite

    def _on_gpu(self, grads: Sequence[Tensor | None], keeps: bool) -> int:
        nonfinite = count_nonfinite(grads)
        if nonfinite and keeps:
            return nonfinite
        for part, gradient in zip(self._parts, grads, strict=True):
            if gradient is None:
                part.zero_()
            else:
                part.copy_(gradient.reshape(-1))
        return nonfinite
