"""Chooses the driver of a run."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from hogwild.config import Config
    from hogwild.drivers.base import Driver


def driver_for(config: Config) -> type[Driver]:
    """The simulator if the run has a virtual clock, else worker processes, of one box or of several. Only the chosen
    driver is imported.
    """
    if config.clock is not None:
        if config.between is not None:
            from hogwild.boxes.simulator import BoxSimulator

            return BoxSimulator
        from hogwild.drivers.simulated.simulator import Simulator

        return Simulator
    from hogwild.boxes.part import boxes_of

    if boxes_of(config) is not None:
        from hogwild.boxes.trainer import BoxTrainer

        return BoxTrainer
    from hogwild.drivers.processes.trainer import Trainer

    return Trainer
