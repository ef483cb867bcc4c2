"""One thread everywhere; the JSON describes the machine, without the host's name."""

from __future__ import annotations

import os
from typing import Any

import pytest
import torch

from bench import machine
from bench.loops import Loops, NoCompilerError
from bench.scale import QUICK

torch.set_num_threads(1)
AT_START = machine.describe()


def pytest_benchmark_update_machine_info(machine_info: dict[str, Any]) -> None:
    machine_info.clear()
    machine_info.update(AT_START, load_at_end=os.getloadavg()[0], quick=QUICK)


@pytest.fixture(scope="session")
def loops() -> Loops | str:
    """The compiled loops, or the reason for which there are none."""
    try:
        return Loops.build()
    except NoCompilerError as error:
        return str(error)
