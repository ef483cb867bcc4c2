"""The forward pass of a run: under autocast, compiled, or with channels last, as configured; else the plain module."""

from __future__ import annotations

import contextlib
import os
from typing import Any

import torch
from torch import Tensor, nn

from hogwild.config import Config
from hogwild.shared.devices import map_tensors
from hogwild.shared.seeds import seed_others
from hogwild.tasks.data import Data
from hogwild.tasks.steps import step

BACKEND = "inductor"
STEP = 1  # of the random numbers of NumPy and Python in a batch: those of its step


class Forward:
    """A call of `module` for a batch: inputs -> output, differentiable with respect to the module's parameters.

    `amp` bf16: matrix products and convolutions in bfloat16 (torch.autocast); parameters, gradients and outputs keep
    their types. `compile`: torch.compile, in this process and with one thread. The parameters may be rebound to other
    memory of the same shapes at any time. `channels_last`: 4-dimensional inputs are laid out [n, h, w, c]; the
    parameters keep their layout in the flat buffer.
    """

    def __init__(self, module: nn.Module, config: Config, device: torch.device, backend: str = BACKEND) -> None:
        self._device = device
        self._dtype = torch.bfloat16 if config.amp == "bf16" else None
        self._channels_last = config.channels_last
        self._call = _compiled(module, backend) if config.compile else module

    def __call__(self, inputs: Any) -> Any:
        if self._channels_last:
            inputs = map_tensors(_channels_last, inputs)
        if self._dtype is None:
            return self._call(inputs)
        with torch.autocast(self._device.type, self._dtype):
            output = self._call(inputs)
        return map_tensors(_full_precision, output)

    def loss(self, data: Data, inputs: Any, targets: Any) -> Tensor:
        """The loss of a batch, with a graph: data.loss of the output, or what the data set's own step returns."""
        if data.step is None:
            return data.loss(self(inputs), targets)
        if self._channels_last:
            inputs = map_tensors(_channels_last, inputs)
        seed_others(STEP)
        with contextlib.ExitStack() as stack:
            if self._dtype is not None:
                stack.enter_context(torch.autocast(self._device.type, self._dtype))
            loss: Tensor = step(data.step, self._call, inputs, targets).loss
        return _full_precision(loss)


def _compiled(module: nn.Module, backend: str) -> Any:
    os.environ.setdefault("TORCHINDUCTOR_COMPILE_THREADS", "1")  # read when the compiler is imported, by the first call
    return torch.compile(module, backend=backend)


def _channels_last(tensor: Tensor) -> Tensor:
    return tensor.contiguous(memory_format=torch.channels_last) if tensor.dim() == 4 else tensor


def _full_precision(tensor: Tensor) -> Tensor:
    return tensor.float() if tensor.dtype is torch.bfloat16 else tensor
