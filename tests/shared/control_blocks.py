"""Control blocks in private memory, and threads that stand in for worker processes."""

from __future__ import annotations

import threading
from collections.abc import Callable

import torch

from hogwild.kernels.control import Control

WAIT_S = 20.0


MEMORY: list[torch.Tensor] = []  # keeps the blocks alive, because a Control does not own its block


def address_for(workers: int, stripes: int) -> int:
    MEMORY.append(torch.zeros(Control.bytes(workers, stripes) + 128, dtype=torch.uint8))
    return -(-MEMORY[-1].data_ptr() // 128) * 128


def block(workers: int) -> Control:
    return Control(address_for(workers, 1), workers, 1, create=True)


def together(*functions: Callable[[], None]) -> None:
    errors: list[BaseException] = []

    def guarded(function: Callable[[], None]) -> None:
        try:
            function()
        except BaseException as error:
            errors.append(error)

    threads = [threading.Thread(target=guarded, args=(function,), daemon=True) for function in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(WAIT_S)
        assert not thread.is_alive(), "a worker hangs"
    if errors:
        raise errors[0]
