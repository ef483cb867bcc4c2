"""A worker's forward and backward pass as one CUDA graph, captured once and replayed for every batch of its shape."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from hogwild.algorithms.base import Gradients
from hogwild.errors import UsageError
from hogwild.shared.devices import map_tensors

WARM_UPS = 3  # warm-up runs: libraries choose algorithms and allocate workspaces before the capture

Work = Callable[[], tuple[Tensor, Gradients]]
Evaluate = Callable[[Any, Any], tuple[Tensor, Gradients]]
Capture = Callable[[Work], tuple[Callable[[], None], tuple[Tensor, Gradients]]]


def capture(work: Work) -> tuple[Callable[[], None], tuple[Tensor, Gradients]]:
    """Runs `work` a few times, then captures it. Returns a function that replays it, and the tensors that then hold its
    results.

    Random numbers are those of an eager run: each replay uses the current seed and offset of torch's generator.

    Raises: UsageError, in one line, for work that cannot be captured.
    """
    stream = torch.cuda.Stream()  # type: ignore[no-untyped-call]
    stream.wait_stream(torch.cuda.current_stream())
    with torch.cuda.stream(stream):
        for _ in range(WARM_UPS):
            work()
    torch.cuda.current_stream().wait_stream(stream)
    graph = torch.cuda.CUDAGraph()
    try:
        with torch.cuda.graph(graph):
            results = work()
    except RuntimeError as error:
        first = error.__context__ or error  # ending a failed capture fails too
        reason = str(first).strip().partition("\n")[0]
        raise UsageError(
            f"the model or its loss cannot be captured in a CUDA graph, perhaps it asks for a value ({reason}): leave "
            "--cuda-graph out"
        ) from error
    return graph.replay, results


class GraphedGradient:
    """Runs `evaluate`, inputs and targets -> detached loss [] and gradients, as a CUDA graph.

    A batch is copied into the memory of the captured batch. The results are in the graph's memory: the next call
    overwrites them, in the order of the stream. A batch of another shape or type (the last one of an epoch may be
    smaller) is evaluated without the graph; so is every batch while the parameters are at another address (`place`)
    than at the capture.
    """

    def __init__(
        self, evaluate: Evaluate, module: nn.Module, place: Callable[[], int], capture: Capture = capture
    ) -> None:
        self._evaluate = evaluate
        self._module = module
        self._place = place
        self._capture = capture
        self._make: Any = None

    def prepare(self, inputs: Any, targets: Any) -> None:
        """Captures the graph, with a batch like the later ones. Runs `evaluate`, with all its side effects.

        Raises: UsageError if it cannot be captured, or if the module moves its buffers to other memory.
        """
        batch, places = (inputs, targets), self._places()
        self._batch = map_tensors(torch.clone, batch)
        self._replay, self._results = self._capture(lambda: self._evaluate(*self._batch))
        self._make = self._make_of(batch)
        if self._places() != places:
            raise UsageError(
                "the model replaces its buffers, which a CUDA graph cannot follow: write to them in place, or "
                "leave --cuda-graph out"
            )

    def __call__(self, inputs: Any, targets: Any) -> tuple[Tensor, Gradients]:
        batch = (inputs, targets)
        if self._make_of(batch) != self._make:
            return self._evaluate(inputs, targets)
        for place, tensor in zip(_tensors(self._batch), _tensors(batch), strict=True):
            place.copy_(tensor)
        self._replay()
        return self._results

    def _make_of(self, batch: Any) -> tuple[Any, int]:
        """The properties of a batch on which a graph depends, besides its elements."""
        return map_tensors(_shape, batch), self._place()

    def _places(self) -> list[int]:
        return [buffer.data_ptr() for buffer in self._module.buffers()]


def _tensors(nest: Any) -> list[Tensor]:
    found: list[Tensor] = []

    def see(tensor: Tensor) -> Tensor:
        found.append(tensor)
        return tensor

    map_tensors(see, nest)
    return found


def _shape(tensor: Tensor) -> Any:
    return tensor.shape, tensor.dtype, tensor.stride()
