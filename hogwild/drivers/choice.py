"""Chooses the driver of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hogwild.config import Config
    from hogwild.drivers.base import Driver


def driver_for(config: Config) -> type[Driver]:
    """The simulator if the run has a virtual clock, else worker processes. Only the chosen one is imported."""
    if config.clock is not None:
        from hogwild.drivers.simulated.simulator import Simulator

        return Simulator
    from hogwild.drivers.processes.trainer import Trainer

    return Trainer
