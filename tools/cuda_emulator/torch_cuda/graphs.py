"""CUDA graphs. The runtime captures launches on the stream. torch's operations between them are recorded in order, and
every replay runs them again on the same memory. They also run during the capture, because their results are needed, and
are undone at its end.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from torch_cuda import generators, library, streams

GLOBAL = 0
NOT_PERMITTED = "CUDA error: operation not permitted when stream is capturing"


class CUDAGraph:
    def __init__(self, keep_graph: bool = False) -> None:
        self.steps: list[Callable[[], None]] = []

    def replay(self) -> None:
        for step in self.steps:
            step()


class Instance:
    """A captured sequence of launches."""

    def __init__(self, graph: int) -> None:
        self._handle = library.handle_of("cudaGraphInstantiate", graph, 0)
        library.call("cudaGraphDestroy", graph)

    def __call__(self) -> None:
        library.call("cudaGraphLaunch", self._handle, streams.current_stream().cuda_stream)

    def __del__(self) -> None:
        library.ask("cudaGraphExecDestroy", self._handle)


class Operation:
    """An operation of torch on a device, and the memory of its results."""

    def __init__(self, function: Any, args: Any, kwargs: Any, results: list[Tensor], device: int) -> None:
        self._call, self._results, self._device = (function, args, kwargs), results, device

    def __call__(self) -> None:
        function, args, kwargs = self._call
        library.finish()
        quietly, draws = torch._C.DisableTorchFunction(), generators.drawing(str(function), self._device)
        with quietly, torch.no_grad(), library.inside(self._device), draws:
            again = tensors_in(function(*args, **kwargs))
            for old, new in zip(self._results, again, strict=True):
                if old.data_ptr() != new.data_ptr():
                    old.copy_(new)


def tensors_in(nest: Any) -> list[Tensor]:
    return [leaf for leaf in tree_leaves(nest) if isinstance(leaf, Tensor)]


class graph(TorchDispatchMode):
    """torch.cuda.graph: the operations enqueued inside it become the CUDAGraph."""

    def __init__(
        self, cuda_graph: CUDAGraph, pool: Any = None, stream: Any = None, capture_error_mode: str = "global"
    ) -> None:
        super().__init__()
        self._steps = cuda_graph.steps
        self._stream = stream or streams.Stream()
        self._written: dict[Any, tuple[Tensor, Tensor]] = {}

    def __enter__(self) -> graph:
        library.call("cudaDeviceSynchronize")
        self._steps.clear()
        self._seeds = [generators.default(device).get_state() for device in range(library.device_count())]
        self._context = streams.stream(self._stream)
        self._context.__enter__()
        self._begin()
        super().__enter__()
        return self

    def __exit__(self, *exception: Any) -> None:
        super().__exit__(*exception)
        self._end()
        self._context.__exit__(None, None, None)
        library.finish()
        with torch._C.DisableTorchFunction(), torch.no_grad():
            for tensor, before in reversed(self._written.values()):
                tensor.copy_(before)
        self._written.clear()
        for device, seed in enumerate(self._seeds):
            generators.default(device).set_state(seed)

    def __torch_dispatch__(self, function: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        with torch._C.DisableTorchFunction():
            return self._do(function, args, kwargs or {})

    def _do(self, function: Any, args: Any, kwargs: Any) -> Any:
        given = tensors_in((args, kwargs))
        if function is torch.ops.aten._local_scalar_dense.default and library.place(given[0]) >= 0:
            raise RuntimeError(NOT_PERMITTED)
        self._remember(function, args, kwargs)
        result = function(*args, **kwargs)
        results = tensors_in(result)
        where = max(map(library.place, [*given, *results]), default=library.HOST)
        if where >= 0:
            self._end()
            self._steps.append(Operation(function, args, kwargs, results, where))
            self._begin()
        return result

    def _remember(self, function: Any, args: Any, kwargs: Any) -> None:
        """Copies of the tensors that this operation writes, before it runs."""
        arguments = function._schema.arguments
        named = dict(zip((argument.name for argument in arguments), args, strict=False)) | kwargs
        for argument in arguments:
            if argument.alias_info is not None and argument.alias_info.is_write:
                for tensor in tensors_in(named.get(argument.name)):
                    key = tensor.data_ptr(), tensor.shape, tensor.stride()
                    if library.place(tensor) >= 0 and key not in self._written:
                        self._written[key] = tensor, tensor.clone()

    def _begin(self) -> None:
        library.call("cudaStreamBeginCapture", self._stream.cuda_stream, GLOBAL)

    def _end(self) -> None:
        captured = ctypes.c_void_p()
        library.call("cudaStreamEndCapture", self._stream.cuda_stream, ctypes.byref(captured))
        self._steps.append(Instance(captured.value or 0))


def install() -> None:
    torch.cuda.CUDAGraph, torch.cuda.graph = CUDAGraph, graph
