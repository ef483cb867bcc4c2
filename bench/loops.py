"""Compiles loops.cpp with the system's compiler and calls it through ctypes."""

from __future__ import annotations

import ctypes
import itertools
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from torch import Tensor

from bench.eager import Constants

SOURCE = Path(__file__).with_name("loops.cpp")
FLAGS = "-std=c++17 -O3 -march=native -fno-math-errno -shared -fPIC"


class NoCompilerError(RuntimeError):
    """The hand-written loops cannot be measured: there is no C++ compiler, or it refuses the flags."""


@dataclass(frozen=True)
class Loops:
    """The compiled functions. Every tensor is a flat float32 buffer [n]; the functions change all but g."""

    library: ctypes.CDLL

    @classmethod
    def build(cls) -> Loops:
        compiler = shlex.split(os.environ.get("CXX") or "c++")
        if shutil.which(compiler[0]) is None:
            raise NoCompilerError(f"no C++ compiler '{compiler[0]}'")
        with tempfile.TemporaryDirectory() as folder:
            target = Path(folder) / "loops.so"
            command = [*compiler, *shlex.split(FLAGS), str(SOURCE), "-o", str(target)]
            done = subprocess.run(command, capture_output=True, text=True)
            if done.returncode != 0:
                raise NoCompilerError(f"{shlex.join(compiler)} failed: {done.stderr.strip().splitlines()[-1:]}")
            return cls(ctypes.CDLL(str(target)))  # the library stays mapped after its file is deleted

    def gap_push(self, buffers: tuple[Tensor, ...], n: int, h: Constants) -> Callable[[], object]:
        """A call with arguments that are converted beforehand; buffers are x, snapshot, v, s, g."""
        scalars = [ctypes.c_float(value) for value in (h.lr, h.momentum, h.rule.decay, h.scale, h.floor)]
        return self._call(self.library.gap_push, buffers, n, scalars)

    def streams(self, buffers: tuple[Tensor, ...], n: int) -> Callable[[], object]:
        return self._call(self.library.streams, buffers, n, [])

    def table_rows(
        self, x: Tensor, versions: Tensor, batches: Sequence[tuple[Tensor, Tensor]], lr: float, ahead: int = 16
    ) -> Callable[[], object]:
        """A call that pushes the next of `batches`, (rows [k], values [k, dim]), into x [rows, dim]."""
        calls = itertools.cycle(
            [
                self._call(
                    self.library.table_rows, (x, versions, rows, values), len(rows),
                    [ctypes.c_int64(x.shape[1]), ctypes.c_int64(ahead), ctypes.c_float(lr)],
                )
                for rows, values in batches
            ]
        )  # fmt: skip
        return lambda: next(calls)()

    def pair(self, name: str, a: Tensor, b: Tensor, weight: float) -> Callable[[], object]:
        """`name`: pair_plain or pair_atomic."""
        return self._call(getattr(self.library, name), (a, b), a.numel(), [ctypes.c_float(weight)])

    @staticmethod
    def _call(
        function: Callable[..., object],
        buffers: tuple[Tensor, ...],
        n: int,
        scalars: Sequence[ctypes.c_float | ctypes.c_int64],
    ) -> Callable[[], object]:
        pointers = [ctypes.c_void_p(tensor.data_ptr()) for tensor in buffers]
        arguments = [*pointers, ctypes.c_int64(n), *scalars]
        return lambda: function(*arguments)
