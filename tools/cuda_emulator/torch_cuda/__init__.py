"""A torch without CUDA that behaves as if it had EMULATED_GPUS devices: those of libcudart_emulated.so.

A tensor is on a GPU if its memory is. What torch does itself is done at once by its CPU code, after everything that is
enqueued; hogwild's launches and the copies that nobody waits for lie on the emulated streams.
"""

from __future__ import annotations

from typing import Any


def install() -> None:
    """Once, right after torch has been imported."""
    from torch_cuda import generators, graphs, mode, runtime, sharing, streams

    for part in (generators, streams, graphs, runtime, sharing, mode):
        part.install()


def rebuild(*facts: Any) -> Any:
    """A tensor of another process; here, because whoever unpickles it may not have imported torch yet."""
    import torch  # noqa: F401

    from torch_cuda import sharing

    return sharing.rebuild(*facts)
