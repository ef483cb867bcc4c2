"""Turns autograd's gradients, one per segment, into the table of addresses that a push needs.

Usually a push reads the tensors itself (csrc/gradients.h), in the call that runs it; this module handles the other
cases.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from hogwild import _C
from hogwild.kernels import tensors


class GradientTable:
    """Gradients for segments of `numels` elements of the master `x`. `native` is the table.

    With `missing_is_zero` a None stands for zeros; the zero tensor is kept for the next call.
    """

    def __init__(self, numels: Sequence[int], x: Tensor, *, missing_is_zero: bool = False) -> None:
        self._numels = list(numels)
        self._missing_is_zero = missing_is_zero
        self._zeros: dict[torch.dtype, Tensor] = {}
        self._device = x.device
        self._device_index = tensors.device_index(x)
        dtypes = (torch.float64,) if x.dtype is torch.float64 else (torch.float32, torch.bfloat16)
        self._names = {dtype: tensors.GRADIENT_DTYPES[dtype] for dtype in dtypes}
        self._default = tensors.MASTER_DTYPES[x.dtype]
        self.native = _C.GradientTable(Tensor, self._numels, self._default, self._device_index)

    def owes_zeros(self, grads: Sequence[Tensor | None]) -> bool:
        """Whether one of the gradients is None and stands for zeros."""
        return self._missing_is_zero and any(g is None for g in grads)

    def look_closer(self, grads: Sequence[Tensor | None]) -> list[Tensor]:
        """Fills `native` when it could not read the tensors itself: an address per segment, 0 for None. Returns the
        copies it made, which must outlive the launch.

        Raises: ValueError naming the gradient that does not fit.
        """
        try:
            copies, addresses, dtype = self._read(self._with_zeros(grads) if self._missing_is_zero else grads)
        except Exception:  # mismatches below; sparse tensors have no data_ptr(), and other objects no attributes
            self._explain(grads)
            raise
        self.native.set(addresses, dtype)
        return copies

    def _read(self, grads: Sequence[Tensor | None]) -> tuple[list[Tensor], list[int], str]:
        device, dtype, name = self._device_index, None, self._default
        copies: list[Tensor] = []
        addresses = []
        for g, numel in zip(grads, self._numels, strict=True):
            if g is None:
                addresses.append(0)
                continue
            if g.dtype is not dtype:
                if dtype is not None:
                    raise ValueError("gradients of several dtypes")
                dtype = g.dtype
                name = self._names[dtype]
            if g.numel() != numel or g.get_device() != device:
                raise ValueError("a gradient of another size or device")
            if not g.is_contiguous():
                g = g.contiguous()
                copies.append(g)
            address = g.data_ptr()
            if not address and numel:
                raise ValueError("a gradient without memory")
            addresses.append(address)
        return copies, addresses, name

    def _with_zeros(self, grads: Sequence[Tensor | None]) -> list[Tensor]:
        dtype = next((g.dtype for g in grads if g is not None), tensors.DTYPES[self._default])
        if dtype not in self._zeros:
            self._zeros[dtype] = torch.zeros(max(self._numels, default=0), dtype=dtype, device=self._device)
        zeros = self._zeros[dtype]
        return [zeros[:numel] if g is None else g for g, numel in zip(grads, self._numels, strict=True)]

    def _explain(self, grads: Sequence[Tensor | None]) -> None:
        if len(grads) != len(self._numels):
            raise ValueError(f"{len(grads)} gradients for {len(self._numels)} segments: give one each, or None")
        dtype = None
        for k, (g, numel) in enumerate(zip(grads, self._numels, strict=True)):
            if g is None:
                continue
            tensors.check_dense(k, g)
            if g.device != self._device:
                raise ValueError(f"gradient {k} is on {g.device}, but x is on {self._device}")
            if g.numel() != numel:
                raise ValueError(f"gradient {k} has {g.numel()} elements, its segment has {numel}")
            if g.dtype not in self._names:
                names = " or ".join(map(str, self._names))
                raise ValueError(f"gradient {k} is {g.dtype}: a {self._default} master takes {names}")
            if dtype not in (None, g.dtype):
                raise ValueError(f"gradient {k} is {g.dtype}, but those before it are {dtype}: all must be alike")
            dtype = g.dtype
