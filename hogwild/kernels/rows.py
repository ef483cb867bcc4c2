"""One worker's sparse gradients into shared tables, row by row (csrc/rows.h)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor

from hogwild import _C
from hogwild.kernels import tensors
from hogwild.rules import Access, Guard
from hogwild.tables import (
    Gradients,
    RowScan,
    SparseGradient,
    SparseStats,
    TableRule,
    TableSegment,
    check_decay,
    table_state,
)

_STATE_DTYPES = {"float64": torch.float64, "int64": torch.int64}


class SparsePush:
    """A push of sparse gradients into tables, with a fixed rule; call it once per gradient.

        sum          g_r = sum of the values of row r, in order of occurrence;  g_r <- scale g_r
        decay        x_r <- (1 - lr wd) x_r; catch-up: for each push since the row's last, by its lr
        rule         x_r, q_r, v_r: RowAdagrad, SparseAdagrad, SparseSgd, SparseMomentum, SparseAdam      [tables]
        bound        x_r <- x_r min(1, row_max_norm / ||x_r||)
        observe      delay_r = row_version_r - seen_r;  row_version_r <- row_version_r + 1

    Each touched row is updated once; the others are neither read nor written. All rows are checked before the first
    write. A table has no snapshot: workers read it in place.

    Args:     tables: x [rows, dim] float32, or float64 on the CPU, all alike, contiguous; `state` as table_state says.
              rule: of all tables.   decay: "none", "lazy" (touched rows), "catch-up" (all, exactly, when they are
              touched next).   weight_decay: wd, always decoupled; for SGD the same as L2.
              row_max_norm: largest norm of a touched row after the update, in place of max_norm of nn.Embedding.
              stripes, n_stripes: address and number of the control block's mutexes, for Access.STRIPED.
    Mutates:  touched rows of x, of the state and of row_version; log_decay.
    Races:    depend on `access`, row by row. RACING: concurrent pushes may lose an update of an element (or of q_r); a
              float is never torn, a row may be a mixture of two. ATOMIC: no update of x, v or q is lost. STRIPED: the
              lock of the row's first element is held, (table offset + row dim) / 4096 modulo n_stripes; one at a time,
              and never two for a row. LOCKED: runs as RACING, and the caller holds the lock. Readers take no lock.
              `last`, `decayed` and `log_decay` are exchanged under every policy, so that no backlog is taken twice;
              under RACING a lost row_version is a lost statistic.
    Bytes:    per touched row of float32: SGD 12 dim + 8, row Adagrad 12 dim + 16, Adagrad and momentum 20 dim + 8,
              Adam 28 dim + 8.
    Raises:   ValueError for tables, state or constants that do not fit each other.
    """

    def __init__(
        self,
        tables: Sequence[TableSegment],
        rule: TableRule,
        *,
        access: Access = Access.RACING,
        guard: Guard = Guard.PUSH,
        decay: str = "none",
        weight_decay: float = 0.0,
        row_max_norm: float | None = None,
        stripes: int = 0,
        n_stripes: int = 0,
    ) -> None:
        rule.check()
        check_decay(rule, decay, weight_decay)
        if not tables:
            raise ValueError("a sparse push needs at least one table")
        if row_max_norm is not None and not row_max_norm > 0:
            raise ValueError(f"row_max_norm is {row_max_norm}: expected a norm > 0, or None")
        self._tables, self._guard = list(tables), guard
        self._names = [table.name or f"table {k}" for k, table in enumerate(tables)]
        for name, table in zip(self._names, tables, strict=True):
            _check_table(name, table, tables[0].x, rule, decay)
        tensors.check_disjoint(
            {
                f"{label} of {name}": tensor
                for name, table in zip(self._names, tables, strict=True)
                for label, tensor in _addressed(table).items()
            }
        )
        x = tables[0].x
        if x.is_cuda and x.dtype is torch.float64:
            raise ValueError("tables are float64 on CUDA: float64 is for the CPU, use float32")
        if access is Access.STRIPED and (x.is_cuda or not stripes or n_stripes < 1):
            raise ValueError("Access.STRIPED needs tables on the CPU, and the address of n_stripes >= 1 locks")
        self._device, self._place, self._dtype = tensors.device_index(x), x.device, x.dtype
        self._dims = [table.x.shape[1] for table in tables]
        self._values = (torch.float64,) if x.dtype is torch.float64 else (torch.float32, torch.bfloat16)
        self._catches_up = rule.catches_up or decay == "catch-up"
        self._held: list[SparseGradient | None] | None = None  # the gradients that were scanned, or copies
        native_rule = _C.Rule(
            master=tensors.MASTER_DTYPES[x.dtype], access=access.value, guard=guard.value, **rule.constants()
        )
        constants: dict[str, object] = {
            "row_wise": rule.row_wise,
            "catches_up": rule.catches_up,
            "decays": decay != "none",
            "decay_catches_up": decay == "catch-up",
            "weight_decay": weight_decay,
            "max_norm": row_max_norm or 0.0,
        }
        self._gradients = _C.RowGradientTable(Tensor, self._dims, tensors.MASTER_DTYPES[x.dtype], self._device)
        locks = (stripes, n_stripes) if access is Access.STRIPED else (0, 0)
        natives = [(name, _native(table)) for name, table in zip(self._names, tables, strict=True)]
        self._native: _C.CpuRows | _C.CudaRows
        if x.is_cuda:
            self._native = _C.CudaRows(native_rule, constants, natives, self._device)
        else:
            self._native = _C.CpuRows(native_rule, constants, natives, locks)

    def norm_sq(self, grads: Gradients) -> RowScan:
        """The sum of squares of the summed rows of all tables, and their non-finite elements. Writes nothing.

        A call with None for its gradients pushes these. They are not to be changed in between.

        Raises: ValueError for a row that does not exist, and for gradients that do not fit their tables.
        """
        self._begin(grads)
        return RowScan(*self._native.scan())

    def __call__(
        self,
        grads: Gradients | None,
        *,
        lr: float,
        pushes: int,
        scale: float = 1.0,
        seen: Sequence[Tensor | None] | None = None,
    ) -> SparseStats:
        """Push one gradient and report.

        Args:    grads: (rows, values) per table, or None where the push does not touch the table; None: those of the
                 latest norm_sq. values: of the tables' dtype, or bfloat16 for float32 tables.
                 pushes: pushes to the master before this one.   scale: factor of the gradient.
                 seen: int32 [k] per table, row_version[rows] when the rows were read; of several occurrences the first
                 counts.
        Returns: SparseStats; `applied` is False if Guard.PUSH found a non-finite element and wrote nothing.
        Raises:  as norm_sq, before anything is written; and for lr wd >= 1.
        """
        if grads is not None:
            self._begin(grads)
            if self._guard is Guard.PUSH:
                self._native.scan()
        elif self._held is None:
            raise ValueError("there are no gradients to push: give them, or call norm_sq first")
        scalars: dict[str, Any] = {"lr": lr, "pushes": pushes, "scale": scale, "stream": self._stream()}
        if seen is not None:
            scalars["seen"] = self._versions(seen)
        try:
            return SparseStats(*self._native.push(scalars))
        finally:
            self._held = None

    def catch_up(self, *, lr: float, pushes: int) -> None:
        """Makes all rows catch up, as before evaluation: decay "catch-up", SparseMomentum(catch_up=True).

        Args:    pushes: pushes to the master so far.   lr: of the momentum's missed pushes.
        Mutates: all rows; nothing under other rules.
        """
        if self._catches_up:
            self._native.catch_up({"lr": lr, "pushes": pushes, "stream": self._stream()})

    def _stream(self) -> int:
        return tensors.current_stream(self._device)

    def _begin(self, grads: Gradients) -> None:
        self._held = None
        if self._native.read(self._gradients, grads, self._stream()):
            self._held = list(grads)
            return
        if len(grads) != len(self._tables):
            raise ValueError(f"{len(grads)} sparse gradients for {len(self._tables)} tables: give one each, or None")
        held = [None if g is None else self._checked(k, *g) for k, g in enumerate(grads)]
        self._native.begin(
            [
                None
                if g is None
                else (g[0].data_ptr(), g[1].data_ptr(), g[0].numel(), tensors.GRADIENT_DTYPES[g[1].dtype])
                for g in held
            ],
            self._stream(),
        )
        self._held = held

    def _checked(self, k: int, rows: Tensor, values: Tensor) -> SparseGradient:
        """The gradient of table k, contiguous."""
        count, dim = rows.numel(), self._dims[k]
        fits = (
            rows.dtype is torch.int64
            and rows.dim() == 1
            and values.shape == (count, dim)
            and values.dtype in self._values
            and rows.device == values.device == self._place
        )
        if not fits:
            self._explain(k, rows, values)
        return rows.contiguous(), values.contiguous()

    def _explain(self, k: int, rows: Tensor, values: Tensor) -> None:
        """Raises: ValueError saying why a gradient does not fit table k."""
        name, count, dim = self._names[k], rows.numel(), self._dims[k]
        if rows.dtype is not torch.int64 or rows.dim() != 1:
            raise ValueError(f"the rows of {name} are {rows.dtype} {list(rows.shape)}: expected torch.int64 [k]")
        if values.shape != (count, dim):
            raise ValueError(
                f"the values of {name} are {list(values.shape)} for {count} rows: expected [{count}, {dim}]"
            )
        if values.dtype not in self._values:
            names = " or ".join(map(str, self._values))
            raise ValueError(f"the values of {name} are {values.dtype}: a {self._dtype} table takes {names}")
        raise ValueError(f"the gradient of {name} is on {rows.device} and {values.device}, the table on {self._place}")

    def _versions(self, seen: Sequence[Tensor | None]) -> list[int]:
        """The addresses of the versions; 0 where there are none."""
        assert self._held is not None
        if len(seen) != len(self._tables):
            raise ValueError(f"{len(seen)} lists of versions for {len(self._tables)} tables: give one each, or None")
        for k, (versions, g) in enumerate(zip(seen, self._held, strict=True)):
            if versions is None:
                continue
            count = 0 if g is None else len(g[0])
            fits = versions.dtype is torch.int32 and versions.shape == (count,) and versions.is_contiguous()
            if not fits or versions.device != self._tables[k].x.device:
                raise ValueError(
                    f"the versions of {self._names[k]} are {versions.dtype} {list(versions.shape)} on "
                    f"{versions.device}: expected contiguous torch.int32 [{count}], one for each row of the gradient"
                )
        return [tensors.address(versions) for versions in seen]


def _addressed(table: TableSegment) -> dict[str, Tensor]:
    versions = {} if table.row_version is None else {"row_version": table.row_version}
    return {"x": table.x, **table.state, **versions}


def _native(table: TableSegment) -> dict[str, object]:
    rows, dim = table.x.shape
    addresses = {name: tensor.data_ptr() for name, tensor in _addressed(table).items()}
    return {
        "rows": rows, "dim": dim, "lr_factor": table.lr_factor, "decay_factor": table.decay_factor, **addresses,
    }  # fmt: skip


def _check_table(name: str, table: TableSegment, like: Tensor, rule: TableRule, decay: str) -> None:
    x = table.x
    if x.dim() != 2 or not x.is_contiguous() or x.dtype not in tensors.MASTER_DTYPES or not (x.is_cpu or x.is_cuda):
        raise ValueError(
            f"{name} is {x.dtype} {list(x.shape)} on {x.device}: expected contiguous float32 or float64 [rows, dim]"
        )
    if x.dtype is not like.dtype or x.device != like.device:
        raise ValueError(f"{name} is {x.dtype} on {x.device}, the first table {like.dtype} on {like.device}: all alike")
    for factor in (table.lr_factor, table.decay_factor):
        if not 0 <= factor < math.inf:
            raise ValueError(
                f"the factors of {name} are {table.lr_factor} for lr, {table.decay_factor} for decay: >= 0"
            )
    rows, dim = x.shape
    wanted = table_state(rule, decay, rows, dim)
    if table.state.keys() != wanted.keys():
        raise ValueError(
            f"{name} has the state {', '.join(sorted(table.state)) or 'none'}: {type(rule).__name__} with decay "
            f"{decay!r} needs {', '.join(sorted(wanted)) or 'none'}"
        )
    expected = {label: (state.shape, _STATE_DTYPES.get(state.dtype or "", x.dtype)) for label, state in wanted.items()}
    if table.row_version is not None:
        expected["row_version"] = ((rows,), torch.int32)
    for label, tensor in _addressed(table).items():
        shape, dtype = expected.get(label, (x.shape, x.dtype))
        if tuple(tensor.shape) != tuple(shape) or tensor.dtype is not dtype or not tensor.is_contiguous():
            raise ValueError(
                f"{label} of {name} is {tensor.dtype} {list(tensor.shape)}: expected contiguous {dtype} {list(shape)}"
            )
        if tensor.device != x.device:
            raise ValueError(f"{label} of {name} is on {tensor.device}, its table on {x.device}")
