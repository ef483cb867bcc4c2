"""Values of a checkpoint against the types that its classes declare."""

from __future__ import annotations

import pytest
import torch

from hogwild.drivers.checkpoints.fitting import fits
from hogwild.drivers.checkpoints.statistics import WorkerStatistics

TOTALS = {"pushes": 3, "loss_sum": 0.5}


@pytest.mark.parametrize(
    ("value", "good"),
    [
        ({"totals": TOTALS, "delays": [1, 2], "gaps": [0, 3]}, True),
        ({"totals": TOTALS, "delays": [1, 2]}, True),  # as version 0.1.0 wrote it
        ({"totals": TOTALS, "delays": []}, True),
        ({"totals": TOTALS}, False),
        ({"totals": TOTALS, "delays": [1], "gap": [0]}, False),
        ({"totals": TOTALS, "delays": [1.5]}, False),
        ({"totals": {"pushes": "3"}, "delays": [1]}, False),
        ({"totals": TOTALS, "delays": [1], "gaps": None}, False),
        ([("totals", TOTALS)], False),
    ],
)
def test_statistics_of_a_worker(value: object, good: bool) -> None:
    assert fits(value, WorkerStatistics) == good


@pytest.mark.parametrize(
    ("value", "hint", "good"),
    [
        (torch.ones(3), torch.Tensor, True),
        (torch.ones(3).to_sparse(), torch.Tensor, False),
        (1 << 63, int, False),
        (True, int, False),
        (3, float, True),
        ([1, "2"], list[int], False),
        (None, list[int] | None, True),
    ],
)
def test_elements_of_containers_and_ranges_of_numbers(value: object, hint: object, good: bool) -> None:
    assert fits(value, hint) == good
