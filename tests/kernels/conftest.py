"""Fixtures for the concurrency tests of several kernels."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
import torch

from hogwild.kernels.control import Control


@pytest.fixture
def locks() -> Iterator[tuple[int, int]]:
    """Address and number of striped locks; `memory` holds them."""
    size = Control.bytes(1, 2)
    memory = torch.zeros(size + 128, dtype=torch.uint8)
    address = -(-memory.data_ptr() // 128) * 128
    control = Control(address, 1, 2, True)
    yield control.stripe_locks, 2
    del memory
