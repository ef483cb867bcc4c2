"""The sum of all boxes moves by their workers' additions alone, however many exchanges there are (oracle H)."""

from __future__ import annotations

import pytest
from loopback import Adders, Server, boxes_of, exchange, spread, until
from slow import rest_is_slow

from hogwild.boxes.pacing import Pacing
from hogwild.rules import Access

LIMIT = 5e-5  # rms of an element of the sum
LARGE = 65_537  # elements
CASES = [
    (count, n, wire, access)
    for count, n in ((2, 4099), (2, LARGE), (4, LARGE))
    for wire in ("f32", "int8")
    for access in (Access.ATOMIC, Access.STRIPED)
]
QUIET = {2: [(0, 1)], 4: [(0, 1), (2, 3), (0, 2), (1, 3)]}
"""Pairs after which all boxes have the mean."""
ALWAYS = {(2, 4099, "f32", Access.STRIPED), (2, 4099, "int8", Access.ATOMIC)}


def moved(server: Server, count: int, n: int, exchanges: int, **options) -> tuple[float, list]:
    """(rms error of the sum, the boxes) after so many exchanges of random pairs, while two threads add to each box."""
    boxes = boxes_of(server, count, n, **options)
    before = sum(box.x.double() for box in boxes)
    adders, pacing = Adders(*boxes), Pacing(1, seed=count, box=0, version=0)
    done = lambda: sum(box.memory.counted("exchanges") for box in boxes)  # noqa: E731
    while exchanges and done() < 2 * exchanges:
        box = pacing.draw(boxes)
        box.peers[pacing.draw([other.number for other in boxes if other is not box])].begin()
    until(lambda: min(box.world.control.version for box in boxes) > (200 if n == LARGE else 20), "the threads add")
    added = adders.stop()
    until(lambda: all(not box.exchange.busy.locked() for box in boxes), "all exchanges are over")
    after = sum(box.x.double() for box in boxes)
    return float((after - before - added).square().mean().sqrt()), boxes


@pytest.mark.parametrize(("count", "n", "wire", "access"), rest_is_slow(CASES, ALWAYS))
def test_the_sum_moves_by_the_workers_additions_alone(server: Server, count: int, n: int, wire: str, access: Access):
    is_large = n == LARGE
    error, boxes = moved(server, count, n, 200 if is_large else 15, wire=wire, access=access)
    assert error < LIMIT
    assert all(box.memory.counted("exchanges_nonfinite") == 0 for box in boxes)
    for k in range(40 if is_large else 12):  # a quiet phase: the boxes come to agree
        i, j = QUIET[count][k % len(QUIET[count])]
        exchange(boxes[i], j)
    until(lambda: sum(box.memory.counted("exchanges") for box in boxes) % 2 == 0, "both sides have applied all")
    assert spread(boxes) == 0 if (count, wire) == (2, "f32") else spread(boxes) < 1e-6
    if is_large:
        control, _ = moved(Server(), count, n, 0, wire=wire, access=access)
        print(f"{count} boxes, {wire}, {access.value}: rms of the sum {error:.1e}, without exchanges {control:.1e}")
        assert control < LIMIT
