"""The driver of simulated boxes."""

from __future__ import annotations

from hogwild.boxes.facts import require_dense
from hogwild.boxes.simulation import BoxSimulation
from hogwild.config import Config
from hogwild.drivers.instruments.statistics import Statistics
from hogwild.drivers.job.world import world_of
from hogwild.drivers.simulated import clocks
from hogwild.drivers.simulated.clocks import TimedClock
from hogwild.drivers.simulated.simulator import Simulator


def clock_of(config: Config) -> TimedClock:
    """The clock of the workers of all boxes: worker r of box b has rank b workers + r."""
    ranks = range(config.boxes * config.workers)
    factors = {
        rank: config.straggler.get(rank % config.workers, 1.0) * config.box_straggler.get(rank // config.workers, 1.0)
        for rank in ranks
    }
    clock = clocks.parse(config.clock or "", len(ranks), config.seed, factors)
    assert isinstance(clock, TimedClock), "checked with the options"
    return clock


class BoxSimulator(Simulator):
    """A simulated run of `boxes` boxes. The world of the driver is that of box 0: it is evaluated while the run goes
    on, and the mean of all boxes at the end.
    """

    simulation: BoxSimulation
    spread: float | None = None

    def make(self) -> BoxSimulation:
        config = self.config
        require_dense(self.world)
        clock = clock_of(config)
        worlds = [self.world]
        worlds += [world_of(self.job, self.module, self.place(), 0) for _ in range(1, config.boxes)]
        modules = [self.job.build() for _ in worlds]
        return BoxSimulation(self.job, worlds, modules, clock, self.refuse_bad)

    def train(self) -> None:
        super().train()
        self.spread = self.simulation.average()

    def facts(self) -> dict[str, object]:
        config, simulation = self.config, self.simulation
        updates = [box.version for box in simulation.boxes]
        return {
            **super().facts(),
            "updates": sum(updates),
            "samples": sum(Statistics.of(box.simulation.world).samples for box in simulation.boxes),
            "boxes": config.boxes,
            "between": {"algorithm": config.between, "period": config.between_period, "wire": config.between_wire},
            "boxes_share": updates,
            "exchanges": simulation.between.exchanges,
            "exchanges_refused": simulation.between.refused,
            "exchanges_late": simulation.between.late,
            "spread_rms": self.spread,
        }
