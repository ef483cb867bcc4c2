"""Makes a torch without CUDA behave as if it had EMULATED_GPUS devices: those of libcudart_emulated.so.

A tensor is on a GPU if its memory is. torch's own operations run its CPU code at once, after all enqueued operations.
hogwild's launches and non-blocking copies are enqueued on the emulated streams.
"""

from __future__ import annotations

from typing import Any


def install() -> None:
    """Install the emulation. Call it once, right after torch has been imported."""
    from torch_cuda import generators, graphs, mode, runtime, sharing, streams

    for part in (generators, streams, graphs, runtime, sharing, mode):
        part.install()


def rebuild(*facts: Any) -> Any:
    """A tensor of another process; defined here because the process that unpickles it may not have torch yet."""
    import torch  # noqa: F401

    from torch_cuda import sharing

    return sharing.rebuild(*facts)
