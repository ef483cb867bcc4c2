"""The store of a test, which ends its boxes."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from loopback import MADE, WAIT_S, Server


@pytest.fixture
def server() -> Iterator[Server]:
    """All boxes that were made with it leave, and their threads end."""
    yield Server()
    threads = [peer for box in MADE for peer in box.peers.values()]
    for box in MADE:
        box.leave()
    for thread in threads:
        thread.join(WAIT_S)
        assert not thread.is_alive()
    MADE.clear()
