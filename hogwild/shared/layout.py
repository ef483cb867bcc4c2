"""Memory layouts: of the parameters in one flat buffer, and of the named buffers in one arena."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from torch import Tensor, nn
from torch.nn.parameter import UninitializedParameter

from hogwild.buffers import Scope
from hogwild.errors import UsageError
from hogwild.shared.embeddings import tables_of

ALIGNMENT_BYTES = 128


def _aligned(count: int, itemsize: int) -> int:
    per_line = ALIGNMENT_BYTES // itemsize
    return math.ceil(count / per_line) * per_line


@dataclass(frozen=True)
class ParameterLayout:
    """The parameters of a module as segments of a flat buffer `[n]`: each starts on a 128-byte boundary, gaps are
    padding. Tables (hogwild.shared.embeddings) are none of them; if there is nothing else, the buffer is 128 bytes of
    padding.
    """

    names: tuple[str, ...]
    shapes: tuple[tuple[int, ...], ...]
    offsets: tuple[int, ...]
    n: int
    dtype: torch.dtype

    @classmethod
    def of(cls, module: nn.Module, dtype: torch.dtype) -> ParameterLayout:
        """The layout of a module's trainable parameters, tied ones once, in the order of `named_parameters()`.

        UsageError if there are none, and no tables.
        """
        itemsize = torch.empty((), dtype=dtype).element_size()
        tables = tables_of(module)
        names, shapes, offsets, n = [], [], [], 0
        for name, parameter in module.named_parameters():
            if not parameter.requires_grad or name in tables:
                continue
            names.append(name)
            shapes.append(tuple(parameter.shape))
            offsets.append(n)
            n += _aligned(parameter.numel(), itemsize)
        if not names and not tables:
            raise UsageError("the model has no trainable parameters: nothing requires a gradient")
        return cls(tuple(names), tuple(shapes), tuple(offsets), n or _aligned(1, itemsize), dtype)

    @cached_property
    def segments(self) -> list[tuple[int, int]]:
        """The (offset, numel) of each parameter, in elements."""
        return [(offset, math.prod(shape)) for offset, shape in zip(self.offsets, self.shapes, strict=True)]

    @cached_property
    def parameters(self) -> int:
        """Number of parameters, without padding."""
        return sum(numel for _, numel in self.segments)

    def views(self, flat: Tensor) -> list[Tensor]:
        """The parameters as shaped views of `flat` [n]; writing to one writes to the other."""
        return [
            flat[offset : offset + numel].view(shape)
            for (offset, numel), shape in zip(self.segments, self.shapes, strict=True)
        ]

    def bind(self, module: nn.Module, flat: Tensor) -> None:
        """Makes `flat` [n] the storage of the module's parameters, without a copy, and sets their gradients to None."""
        for parameter, view in zip(trainable(module), self.views(flat), strict=True):
            parameter.data = view
            parameter.grad = None


def require_real_values(module: nn.Module) -> None:
    """UsageError if the module cannot be trained here: a parameter without values yet, or with complex values."""
    for name, parameter in module.named_parameters():
        if isinstance(parameter, UninitializedParameter) or parameter.is_meta:
            raise UsageError(
                f"the model's parameter {name} has no values yet, as in lazy and meta modules: let the function that "
                "makes the model give it values, such as by one forward pass"
            )
        if parameter.is_complex():
            raise UsageError(f"the model's parameter {name} is complex: keep real and imaginary parts as real numbers")


def trainable(module: nn.Module) -> list[nn.Parameter]:
    """The parameters a layout holds, in its order: the trained ones, without tables."""
    tables = {id(table) for table in tables_of(module).values()}
    return [parameter for parameter in module.parameters() if parameter.requires_grad and id(parameter) not in tables]


def frozen(module: nn.Module) -> dict[str, nn.Parameter]:
    """The parameters that are not trained (requires_grad=False), by name, tied ones once."""
    return {name: parameter for name, parameter in module.named_parameters() if not parameter.requires_grad}


@dataclass(frozen=True)
class BufferSpec:
    """One named buffer: SHARED exists once, WORKER and REPLICA once per worker."""

    name: str
    scope: Scope
    numel: int
    dtype: torch.dtype

    @property
    def stride_bytes(self) -> int:
        itemsize = torch.empty((), dtype=self.dtype).element_size()
        return _aligned(max(self.numel, 1), itemsize) * itemsize


@dataclass(frozen=True)
class ArenaLayout:
    """The byte offsets of all buffers of an arena; every copy of every buffer starts on a 128-byte boundary."""

    specs: Mapping[str, BufferSpec]
    offsets: Mapping[str, int]
    workers: int
    nbytes: int

    @classmethod
    def of(cls, specs: Sequence[BufferSpec], workers: int) -> ArenaLayout:
        offsets, nbytes = {}, 0
        for spec in specs:
            if spec.name in offsets:
                raise ValueError(f"two buffers are called {spec.name!r}")
            offsets[spec.name] = nbytes
            nbytes += spec.stride_bytes * (1 if spec.scope is Scope.SHARED else workers)
        return cls({spec.name: spec for spec in specs}, offsets, workers, max(nbytes, ALIGNMENT_BYTES))

    def position(self, name: str, rank: int | None) -> tuple[int, BufferSpec]:
        """The (byte offset, spec) of a buffer; `rank` selects the copy of a WORKER or REPLICA buffer."""
        spec = self.specs[name]
        if spec.scope is Scope.SHARED:
            return self.offsets[name], spec
        if rank is None or not 0 <= rank < self.workers:
            raise IndexError(f"buffer {name!r} is kept per worker: rank {rank} is not one of {self.workers}")
        return self.offsets[name] + rank * spec.stride_bytes, spec

    def describe(self) -> str:
        """A description of the memory for error messages: MB per kind of buffer."""
        parts = []
        for spec in self.specs.values():
            copies = 1 if spec.scope is Scope.SHARED else self.workers
            if (size := spec.stride_bytes * copies) >= 1 << 20:
                parts.append(f"{spec.name} {size / (1 << 20):,.0f}" + (f" for {copies} workers" if copies > 1 else ""))
        return " + ".join(parts) or "buffers"
