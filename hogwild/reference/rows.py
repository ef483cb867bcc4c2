"""The oracle of sparse pushes into tables: hogwild.kernels.SparsePush, row by row in float64."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

from hogwild.reference.arrays import Array
from hogwild.rules import Access, Guard
from hogwild.tables import (
    ROW_DELAYS,
    Gradients,
    RowAdagrad,
    RowScan,
    SparseAdagrad,
    SparseAdam,
    SparseMomentum,
    SparseStats,
    TableRule,
    TableSegment,
    check_decay,
)

Sums = dict[int, Array]
"""Row -> sum of its values, in order of occurrence."""


class ReferenceSparsePush:
    """The interface of hogwild.kernels.SparsePush, for one worker: `access` and the locks have no effect.

    Computes in float64, whatever the type of the tables, and rounds once when a row is written.
    """

    def __init__(
        self,
        tables: Sequence[TableSegment],
        rule: TableRule,
        *,
        access: Access = Access.RACING,  # noqa: ARG002
        guard: Guard = Guard.PUSH,
        decay: str = "none",
        weight_decay: float = 0.0,
        row_max_norm: float | None = None,
        stripes: int = 0,  # noqa: ARG002
        n_stripes: int = 0,  # noqa: ARG002
    ) -> None:
        rule.check()
        check_decay(rule, decay, weight_decay)
        self._tables, self._rule, self._guard = list(tables), rule, guard
        self._decay, self._weight_decay, self._max_norm = decay, weight_decay, row_max_norm
        self._scanned: Gradients = ()

    def norm_sq(self, grads: Gradients) -> RowScan:
        """See SparsePush.norm_sq."""
        rows = [row for sums in self._sums(grads) for row in sums.values()]
        self._scanned = grads
        bad = sum(int(np.count_nonzero(~np.isfinite(row))) for row in rows)
        return RowScan(sum(float(np.sum(row**2)) for row in rows), bad)

    def __call__(
        self,
        grads: Gradients | None,
        *,
        lr: float,
        pushes: int,
        scale: float = 1.0,
        seen: Sequence[Any] | None = None,
    ) -> SparseStats:
        """See SparsePush.__call__."""
        grads = self._scanned if grads is None else grads
        all_sums = self._sums(grads)
        scan = self.norm_sq(grads)
        norm = abs(scale) * math.sqrt(scan.norm_sq) if self._guard is Guard.PUSH else math.nan
        if self._guard is Guard.PUSH and scan.nonfinite:
            return SparseStats(applied=False, nonfinite=scan.nonfinite, grad_norm=norm)
        step_sq, delays = 0.0, []
        for k, (table, sums) in enumerate(zip(self._tables, all_sums, strict=True)):
            self._advance(table, lr)
            for row, g in sums.items():
                if self._decay == "lazy":
                    write(table.x, row, array(table.x[row]) * (1 - self._rate(table, lr)))
                self._catch_up(table, row, lr, pushes, last=pushes + 1)
                step = self._step(table, row, scale * g, lr * table.lr_factor, pushes)
                step_sq += float(np.sum(step**2))
                x = array(table.x[row]) - step
                if self._max_norm is not None and (length := float(np.sqrt(np.sum(x**2)))) > self._max_norm:
                    x *= self._max_norm / length
                write(table.x, row, x)
                if table.row_version is not None:
                    if seen is not None and (versions := seen[k]) is not None and (at := grads[k]) is not None:
                        first = at[0].tolist().index(row)
                        delays.append((int(table.row_version[row]) - int(versions[first])) % 2**32)
                    table.row_version[row] += 1
        return SparseStats(
            nonfinite=scan.nonfinite,
            step_sq=step_sq,
            grad_norm=norm,
            rows=sum(len(g[0]) for g in grads if g is not None),
            unique_rows=sum(map(len, all_sums)),
            row_delay_sum=sum(delays),
            shared_rows=sum(delay > 0 for delay in delays),
            row_delays=[sum(delay.bit_length() == place for delay in delays) for place in range(ROW_DELAYS)],
        )

    def catch_up(self, *, lr: float, pushes: int) -> None:
        """See SparsePush.catch_up."""
        for table in self._tables:
            for row in range(len(table.x)):
                self._catch_up(table, row, lr, pushes, last=pushes)

    def _sums(self, grads: Gradients) -> list[Sums]:
        all_sums: list[Sums] = []
        for k, (table, g) in enumerate(zip(self._tables, grads, strict=True)):
            sums: Sums = {}
            if g is not None:
                for row, value in zip(g[0].tolist(), array(g[1]), strict=True):
                    if not 0 <= row < len(table.x):
                        name = table.name or f"table {k}"
                        raise ValueError(f"{name} has no row {row}: its rows are 0 to {len(table.x) - 1}")
                    sums[row] = sums[row] + value if row in sums else value
            all_sums.append(sums)
        return all_sums

    def _advance(self, table: TableSegment, lr: float) -> None:
        """log_decay <- log_decay + log(1 - lr wd)"""
        if self._decay == "catch-up":
            table.state["log_decay"][0] += math.log(1 - self._rate(table, lr))

    def _rate(self, table: TableSegment, lr: float) -> float:
        """lr wd, with the factors of the table"""
        return lr * table.lr_factor * self._weight_decay * table.decay_factor

    def _catch_up(self, table: TableSegment, row: int, lr: float, pushes: int, last: int) -> None:
        """Makes up for the pushes before push `pushes` that missed the row; decay includes that of this push"""
        x, rule = array(table.x[row]), self._rule
        if self._decay == "catch-up":
            now, before = float(table.state["log_decay"][0]), float(table.state["decayed"][row])
            x *= math.exp(now - before)
            table.state["decayed"][row] = now
        if isinstance(rule, SparseMomentum) and rule.catch_up:
            v, m = array(table.state["v"][row]), rule.momentum
            missed = max(0, pushes - int(table.state["last"][row]))
            x -= lr * table.lr_factor * v * m * (1 - m**missed) / (1 - m)
            write(table.state["v"], row, v * m**missed)
            table.state["last"][row] = last
        write(table.x, row, x)

    def _step(self, table: TableSegment, row: int, d: Array, lr: float, pushes: int) -> Array:
        """Updates the state of a row and returns the step; an element that is not finite is left out"""
        rule, state = self._rule, table.state
        good = np.isfinite(d)
        d = np.where(good, d, 0.0)
        if isinstance(rule, RowAdagrad):
            q = float(state["q"][row]) + float(np.mean(d**2))
            state["q"][row] = q
            return lr * d / (math.sqrt(float(state["q"][row])) + rule.eps)
        direction = d
        if isinstance(rule, SparseMomentum):
            direction = store(state["v"], row, good, rule.momentum * array(state["v"][row]) + d)
        if isinstance(rule, SparseAdagrad):
            q_row = store(state["q"], row, good, array(state["q"][row]) + d**2)
            direction = d / (np.sqrt(q_row) + rule.eps)
        if isinstance(rule, SparseAdam):
            v_row = store(state["v"], row, good, rule.beta1 * array(state["v"][row]) + (1 - rule.beta1) * d)
            q_row = store(state["q"], row, good, rule.beta2 * array(state["q"][row]) + (1 - rule.beta2) * d**2)
            bc1, bc2 = 1 - rule.beta1 ** (pushes + 1), 1 - rule.beta2 ** (pushes + 1)
            direction = (v_row / bc1) / (np.sqrt(q_row / bc2) + rule.eps)
        return np.where(good, lr * direction, 0.0)


def array(tensor: Any) -> Array:
    """A copy of a tensor in float64."""
    copied: Array = tensor.detach().cpu().double().numpy().copy()
    return copied


def write(tensor: Any, row: int, values: Array) -> None:
    """tensor[row] <- values, rounded to its type"""
    tensor.data[row] = tensor.new_tensor(values)


def store(tensor: Any, row: int, good: Any, values: Array) -> Array:
    """The same where `good`; returns the row as it is then"""
    write(tensor, row, np.where(good, values, array(tensor[row])))
    return array(tensor[row])
